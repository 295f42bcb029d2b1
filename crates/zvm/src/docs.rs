//! The Rust examples of the README and of the book, compiled and run as doc tests.

/// One module per page, so that a failing example names it.
macro_rules! pages {
    ($($name:ident $path:literal)*) => {
        $(
            #[doc = include_str!(concat!("../../../", $path))]
            mod $name {}
        )*
    };
}

pages! {
    readme "README.md"
    databases "docs/src/databases.md"
    forks "docs/src/forks.md"
    journal "docs/src/journal.md"
    library "docs/src/library.md"
    tracing "docs/src/tracing.md"
}

//! Where a failed run went wrong, from the parts of a fixture that a passing run never reads.

use serde::Deserialize;
use zvm_core::StateDiff;

use super::{Case, Indexes, Run};
use crate::{difference, values::Entries, world::Alloc};

#[derive(Deserialize)]
struct Raw {
    post: Entries<String, Vec<Post>>,
}

#[derive(Deserialize)]
struct Post {
    indexes: Indexes,
    state: Option<Alloc>,
}

impl Case {
    /// How the state after `run` differs from the one in the fixture `text`; nothing where it
    /// carries none (older files have only the root).
    pub(crate) fn explain(&self, entry: usize, run: &Run, text: &str) -> Vec<String> {
        let (label, indexes) = self.label(entry);
        let Ok(raw) = serde_json::from_str::<Raw>(text) else { return Vec::new() };
        let posts = raw.post.0.into_iter().find(|(fork, _)| fork == label).map(|(_, posts)| posts);
        let post = posts.into_iter().flatten().find(|post| post.indexes == indexes);
        let Some(expected) = post.and_then(|post| post.state) else { return Vec::new() };
        let untouched = StateDiff::default();
        let diff = run.executed.as_ref().map_or(&untouched, |executed| &executed.diff);
        difference::between(&self.world, diff, expected)
    }
}

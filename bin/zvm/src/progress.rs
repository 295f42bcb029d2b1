//! What asking a node has come to so far, on standard error while it goes on.

use std::{
    fmt,
    io::{self, IsTerminal},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use zvm::Traffic;

static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Shows the counters of `traffic` from now on, if somebody looks.
pub(crate) fn follow(traffic: &Arc<Traffic>) {
    if !io::stderr().is_terminal() {
        return;
    }
    let traffic = traffic.clone();
    let show = move |_: &ProgressState, out: &mut dyn fmt::Write| {
        // A line that cannot be shown is no reason to stop.
        let _ = write!(out, "{traffic}");
    };
    let style = ProgressStyle::with_template("{spinner} {elapsed} upstream: {traffic}");
    let bar = ProgressBar::new_spinner();
    bar.set_style(style.expect("a known template").with_key("traffic", show));
    bar.enable_steady_tick(Duration::from_millis(100));
    replace(Some(bar));
}

/// Makes room for what is printed.
pub(crate) fn end() {
    replace(None);
}

fn replace(bar: Option<ProgressBar>) {
    let before = std::mem::replace(&mut *BAR.lock().unwrap_or_else(PoisonError::into_inner), bar);
    if let Some(before) = before {
        before.finish_and_clear();
    }
}

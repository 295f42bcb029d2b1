//! Killing a process that says what it does.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::kv::compliance::Random;

/// How long a child may live once it does its work, in milliseconds.
const LIFE_MAX: u64 = 300;

/// How long a child may take until its first word. Opening a store takes a busy machine a while.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Starts `child`, kills it (SIGKILL on Unix) at a random moment, and answers what `parse` has made
/// of the lines it had printed until then.
///
/// Most children die within 300 ms of their first word, however long that takes to come; one in four
/// as long after its start. `here` tells in a panic which child it was.
///
/// # Panics
///
/// If the child cannot be started, does not say a word for a minute, or ends by itself.
pub fn kill<W: Send + 'static>(
    child: &mut Command,
    random: &mut Random,
    parse: fn(&str) -> Option<W>,
    here: &str,
) -> Vec<W> {
    let (is_after_word, life) = match random.below(8) {
        0 => (false, 20),
        1 => (false, LIFE_MAX),
        _ => (true, LIFE_MAX),
    };
    let life = Duration::from_millis(random.below(life));
    let mut child =
        child.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("this program starts");
    let said = child.stdout.take().expect("piped");
    let (sender, heard) = mpsc::channel();
    let listener = thread::spawn(move || {
        let lines = BufReader::new(said).lines().map_while(Result::ok);
        let words = lines.filter_map(|line| parse(&line));
        // Nobody listens any more after the first.
        words
            .inspect(|_| {
                let _ = sender.send(());
            })
            .collect()
    });
    if is_after_word {
        let waited = heard.recv_timeout(SILENCE_MAX);
        assert!(waited.is_ok(), "{here}: not a word in {SILENCE_MAX:?}");
    }
    thread::sleep(life);
    let ended = child.try_wait().expect("a child of ours");
    assert!(ended.is_none(), "{here}: the child ended by itself, {ended:?}");
    child.kill().expect("a child of ours");
    child.wait().expect("a child of ours");
    listener.join().expect("reading lines")
}

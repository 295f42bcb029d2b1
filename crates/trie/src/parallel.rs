//! The children of the root on several threads.

use std::{
    panic::resume_unwind,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use zvm_core::DbError;

use crate::{
    Nibbles,
    update::{Change, Node, Present, Record, Worker},
};

/// Below this many changes a thread takes longer to start than it saves.
const CHANGES_MIN: usize = 256;

/// A child of the root: its nibble, what is there, and the changes below it.
pub(crate) type Group<'g, 'c> = (u8, Present, &'g [Change<'c>]);

/// A child after the changes, and the records that were visited below it.
pub(crate) type Done<'c> = (u8, Node<'c>, Vec<Record>);

/// Whether to use threads at all.
pub(crate) fn pays(threads: usize, changes: usize) -> bool {
    threads > 1 && changes >= CHANGES_MIN
}

/// All children, in order of their nibbles. Each thread takes the next one that is left.
pub(crate) fn children<'c>(
    worker: &Worker<'_>,
    threads: usize,
    groups: &[Group<'_, 'c>],
) -> Result<Vec<Done<'c>>, DbError> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut part = worker.part();
        let mut done = Vec::new();
        while let Some((nibble, present, changes)) =
            groups.get(next.fetch_add(1, Ordering::Relaxed))
        {
            let start = part.here();
            let mut node = part.child(Nibbles::EMPTY.child(*nibble), *present, changes)?;
            part.complete(start, &mut node);
            done.push((*nibble, node, part.take_records()));
        }
        Ok::<_, DbError>(done)
    };
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(groups.len())).map(|_| scope.spawn(run)).collect();
        let mut done = run()?;
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok::<_, DbError>(done)
    })?;
    done.sort_unstable_by_key(|(nibble, ..)| *nibble);
    Ok(done)
}

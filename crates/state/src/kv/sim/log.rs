//! The log of a simulated store: one record per batch, each with a checksum.
//!
//! A record is `mark u8 ‖ length u32 ‖ changes ‖ CRC-32 of the changes`. A change is its kind and
//! its table, one byte each, and one or two byte strings with their lengths before them.

use crate::kv::{MemoryTables, Table, WriteBatch};

/// The first byte of a record, so that zeros are none.
const MARK: u8 = 0xb5;

const PUT: u8 = 0;
const DELETE: u8 = 1;
/// Deletes from the first key up to the second.
const DELETE_RANGE: u8 = 2;
/// Deletes from the key to the end of the table.
const DELETE_FROM: u8 = 3;

/// Appends the record of `batch`.
pub(super) fn push(log: &mut Vec<u8>, batch: WriteBatch) {
    let mut changes = Vec::new();
    for table in batch.into_tables() {
        let id = table.table() as u8;
        for (first, end) in table.ranges() {
            match end {
                Some(end) => push_change(&mut changes, DELETE_RANGE, id, &[first, end]),
                None => push_change(&mut changes, DELETE_FROM, id, &[first]),
            }
        }
        for (key, value) in table.records() {
            match value {
                Some(value) => push_change(&mut changes, PUT, id, &[key, value]),
                None => push_change(&mut changes, DELETE, id, &[key]),
            }
        }
    }
    log.push(MARK);
    log.extend(length(&changes));
    log.extend_from_slice(&changes);
    log.extend(crc32fast::hash(&changes).to_be_bytes());
}

fn push_change(changes: &mut Vec<u8>, kind: u8, table: u8, strings: &[&[u8]]) {
    changes.extend([kind, table]);
    for string in strings {
        changes.extend(length(string));
        changes.extend_from_slice(string);
    }
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("tests write less than 4 GiB").to_be_bytes()
}

/// What the whole records of `log` leave behind, and where the last of them ends.
pub(super) fn replay(log: &[u8]) -> (MemoryTables, usize) {
    let mut tables = MemoryTables::default();
    let mut rest = log;
    while let Some(behind) = apply(rest, &mut tables) {
        rest = behind;
    }
    (tables, log.len() - rest.len())
}

/// Makes the changes of the first record of `log`, and says what is behind it; `None` if it is not
/// whole.
pub(super) fn apply<'a>(log: &'a [u8], tables: &mut MemoryTables) -> Option<&'a [u8]> {
    let (&mark, mut rest) = log.split_first()?;
    let mut changes = take_string(&mut rest)?;
    let (checksum, behind) = rest.split_first_chunk()?;
    if mark != MARK || u32::from_be_bytes(*checksum) != crc32fast::hash(changes) {
        return None;
    }
    while let Some((&[kind, table], rest)) = changes.split_first_chunk() {
        changes = rest;
        let table = *Table::ALL.get(usize::from(table))?;
        let key = take_string(&mut changes)?;
        match kind {
            PUT => tables.put(table, key, take_string(&mut changes)?),
            DELETE => tables.delete(table, key),
            DELETE_RANGE => tables.delete_range(table, key, Some(take_string(&mut changes)?)),
            DELETE_FROM => tables.delete_range(table, key, None),
            _ => return None,
        }
    }
    Some(behind)
}

fn take_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    let (string, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = behind;
    Some(string)
}

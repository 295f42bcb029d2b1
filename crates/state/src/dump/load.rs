//! In: which of the known forms a text has.

use std::{
    io::{BufRead, BufReader, Cursor, Read},
    ops::ControlFlow,
};

use flate2::bufread::MultiGzDecoder;
use zvm_core::{B256, BlockId, StateBackend};

use super::{LoadError, Seeder, document, hexed::Hexed, lines};
use crate::{config::DatabaseConfig, draft::Draft};

/// How much of a text is looked at to tell what it is.
const HEAD_BYTES: u64 = 4096;

/// What has been loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The block whose state it is. A genesis file has the number 0 unless it says otherwise, and
    /// neither it nor anvil gives the hash.
    pub block: BlockId,
    /// The root of the state.
    pub root: B256,
    /// Number of accounts.
    pub accounts: u64,
    /// Number of slots.
    pub slots: u64,
}

/// Loads a state into `target`, which must be empty, in bounded parts.
///
/// `text` is a dump of this program, a geth `genesis.json`, or what anvil's `anvil_dumpState` and
/// `--dump-state` write; which, it says itself. The root of a dump is verified before the state
/// is given its block. After an error the target may hold a part of the state, still without a
/// block, and is to be thrown away; [`load_new`] does that for a store in a folder.
pub fn load(text: impl Read, target: &mut dyn StateBackend) -> Result<Loaded, LoadError> {
    if !is_empty(target)? {
        return Err(LoadError::NotEmpty);
    }
    let (mut head, mut text) = peek(BufReader::new(text))?;
    if is_hex_of_gzip(&head) {
        (head, text) = peek(BufReader::new(MultiGzDecoder::new(BufReader::new(Hexed::new(text)))))?;
    } else if head.starts_with(&[0x1f, 0x8b]) {
        (head, text) = peek(BufReader::new(MultiGzDecoder::new(text)))?;
    }

    let mut seeder = Seeder::new(target);
    let (block, root) = if is_dump(&head) {
        let header = lines::read(text, &mut seeder)?;
        let root = seeder.root()?;
        if root != header.root {
            return Err(LoadError::Root { found: root, expected: header.root });
        }
        (header.block, root)
    } else {
        let number = document::read(text, &mut seeder)?;
        (BlockId { number, hash: B256::ZERO }, seeder.root()?)
    };
    let loaded = Loaded { block, root, accounts: seeder.accounts, slots: seeder.slots };
    seeder.finish(block)?;
    Ok(loaded)
}

/// Loads a state into the store that `config` names, where there must be nothing yet.
///
/// The store is made in a folder beside, `PATH.loading`, that takes its name when the state is
/// complete. After an error there is neither; what a crash has left is removed by the next call.
pub fn load_new(text: impl Read, config: &DatabaseConfig) -> Result<Loaded, LoadError> {
    let draft = Draft::of(config, ".loading")?;
    draft.clear()?;
    let loaded =
        draft.open(config).map_err(LoadError::from).and_then(|mut store| load(text, &mut *store));
    match loaded {
        Ok(_) => draft.finish()?,
        // What went wrong is worth more than that the draft cannot be removed either.
        Err(_) => drop(draft.clear()),
    }
    loaded
}

/// Whether a backend has no block and no account.
fn is_empty(backend: &dyn StateBackend) -> Result<bool, LoadError> {
    let mut is_empty = backend.head()? == BlockId::default();
    backend.for_each_account(B256::ZERO, &mut |_, _, _| {
        is_empty = false;
        Ok(ControlFlow::Break(()))
    })?;
    Ok(is_empty)
}

/// The beginning of a text and the whole of it.
fn peek<'a>(mut text: impl BufRead + 'a) -> Result<(Vec<u8>, Box<dyn BufRead + 'a>), LoadError> {
    let mut head = Vec::new();
    (&mut text).take(HEAD_BYTES).read_to_end(&mut head).map_err(LoadError::Read)?;
    Ok((head.clone(), Box::new(Cursor::new(head).chain(text))))
}

fn is_hex_of_gzip(head: &[u8]) -> bool {
    let head = head.trim_ascii_start();
    let head = head.strip_prefix(b"\"").unwrap_or(head);
    let head = head.strip_prefix(b"0x").unwrap_or(head);
    head.get(..4).is_some_and(|magic| magic.eq_ignore_ascii_case(b"1f8b"))
}

fn is_dump(head: &[u8]) -> bool {
    let inside = head.trim_ascii_start().strip_prefix(b"{");
    inside.is_some_and(|inside| inside.trim_ascii_start().starts_with(b"\"format\""))
}

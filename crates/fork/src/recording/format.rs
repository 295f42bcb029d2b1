//! A recording as bytes: compact, and one form for each recording.
//!
//! | part | bytes |
//! |---|---|
//! | magic | 8: `zvmfork` and a zero byte |
//! | version | 1: `2` where the last part but one is there, otherwise `1` |
//! | flags | 1: 1 = every answer was checked by a proof |
//! | chain | number (varint) |
//! | hard fork | its name (length as a varint, bytes); no bytes where it is not known |
//! | block | its hash (32) |
//! | header | length (varint), RLP |
//! | accounts | how many (varint); addresses ascending |
//! | slots | of how many accounts (varint); addresses ascending |
//! | codes | how many (varint); length (varint) and bytes; their hashes ascending |
//! | hashes of blocks | how many (varint); number (varint) and hash (32), numbers ascending |
//! | nodes of tries | how many (varint); length (varint) and bytes; their hashes ascending |
//! | the next block | only in version 2, see [`next`](super::next) |
//! | checksum | 32: keccak-256 of all before |
//!
//! An account is its address (20), one byte of flags (1 = there is one, 2 = it has code, 4 = it has
//! no storage, 8 = the root of its storage is known and not that), and if there is one its nonce
//! (varint), its balance (a word), with flag 2 its code hash and with flag 8 its storage root. The
//! slots of an account are its address, how many there are (varint), and the slots ascending: slot
//! and word, two words. A word is its length in one byte and its bytes, big-endian without leading
//! zeros.

use std::collections::BTreeMap;

use zvm_core::{
    AccountInfo, Address, B256, BlockId, Bytes, EMPTY_ROOT, Header, KECCAK_EMPTY, SpecId, U256,
    compact::{CompactError, Reader, require, write_bytes, write_word},
    keccak256,
    rlp::{Rlp, RlpError},
    varint,
};

use super::{Recording, next::NextBlock};
use crate::{Origin, RemoteAccount};

pub(super) const MAGIC: &[u8; 8] = b"zvmfork\0";
/// The version of recordings without a next block: those before there were others.
const VERSION: u8 = 1;
/// The version of recordings with one.
const VERSION_NEXT: u8 = 2;
/// The last version that this program knows.
pub(super) const VERSION_MAX: u8 = VERSION_NEXT;

const IS_VERIFIED: u8 = 1;

const IS_THERE: u8 = 1;
const HAS_CODE: u8 = 1 << 1;
const NO_STORAGE: u8 = 1 << 2;
const HAS_ROOT: u8 = 1 << 3;

/// Bytes that are no recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// They do not begin like one.
    #[error("no recording: expected {:?} at the beginning", String::from_utf8_lossy(MAGIC))]
    Magic,

    /// They were written by a program with another format.
    #[error("version {found}, expected up to {VERSION_MAX}")]
    Version {
        /// The version.
        found: u8,
    },

    /// They are not as they were written.
    #[error("checksum {found}, expected {expected}")]
    Checksum {
        /// What the bytes give.
        found: B256,
        /// What stands behind them.
        expected: B256,
    },

    /// They end too soon, mean nothing, or what they mean is written another way.
    #[error(transparent)]
    Form(#[from] CompactError),

    /// A header, a transaction or logs are none.
    #[error("{what} at byte {offset}: {error}")]
    Rlp {
        /// What was expected.
        what: &'static str,
        /// Where it begins.
        offset: usize,
        /// What is wrong with it.
        error: RlpError,
    },
}

impl Recording {
    /// The recording as bytes: the same recording, the same bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Origin { chain_id, block, header, spec, is_verified } = &self.origin;
        let mut out = MAGIC.to_vec();
        out.push(if self.next.is_some() { VERSION_NEXT } else { VERSION });
        out.push(if *is_verified { IS_VERIFIED } else { 0 });
        varint::write(&mut out, *chain_id);
        write_bytes(&mut out, spec.map_or("", SpecId::name).as_bytes());
        out.extend_from_slice(block.hash.as_slice());
        write_bytes(&mut out, &header.encode());
        varint::write(&mut out, self.accounts.len() as u64);
        for (address, account) in &self.accounts {
            out.extend_from_slice(address.as_slice());
            write_account(&mut out, account);
        }
        varint::write(&mut out, self.slots.len() as u64);
        for (address, slots) in &self.slots {
            out.extend_from_slice(address.as_slice());
            varint::write(&mut out, slots.len() as u64);
            for (slot, word) in slots {
                write_word(&mut out, *slot);
                write_word(&mut out, *word);
            }
        }
        varint::write(&mut out, self.code.len() as u64);
        self.code.values().for_each(|code| write_bytes(&mut out, code));
        varint::write(&mut out, self.block_hashes.len() as u64);
        for (number, hash) in &self.block_hashes {
            varint::write(&mut out, *number);
            out.extend_from_slice(hash.as_slice());
        }
        varint::write(&mut out, self.nodes.len() as u64);
        self.nodes.iter().for_each(|(_, node)| write_bytes(&mut out, node));
        self.next.iter().for_each(|next| next.write(&mut out));
        let checksum = keccak256(&out);
        out.extend_from_slice(checksum.as_slice());
        out
    }

    /// The recording that [`encode`](Self::encode) has written as `bytes`.
    ///
    /// Any bytes may be given; those that `encode` would not write are refused. Neither the header
    /// nor what is proven is checked here: see [`verify`](Self::verify).
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordingError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(RecordingError::Magic)?;
        let has_next = match rest.first() {
            None | Some(&VERSION) => false,
            Some(&VERSION_NEXT) => true,
            Some(&found) => return Err(RecordingError::Version { found }),
        };
        let end = CompactError::End { offset: bytes.len(), expected: "a checksum" };
        let (body, checksum) = bytes.split_last_chunk::<32>().ok_or(end)?;
        let (found, expected) = (keccak256(body), B256::new(*checksum));
        if found != expected {
            return Err(RecordingError::Checksum { found, expected });
        }
        let mut reader = Reader::new(body);
        reader.take(MAGIC.len() + 1, "magic and version")?;
        let mut recording = Self::new(read_origin(&mut reader)?);
        for _ in 0..reader.varint("a number of accounts")? {
            let address = read_address(&mut reader, &recording.accounts)?;
            let account = read_account(&mut reader)?;
            recording.accounts.insert(address, account);
        }
        for _ in 0..reader.varint("a number of accounts with slots")? {
            let address = read_address(&mut reader, &recording.slots)?;
            let slots = read_slots(&mut reader)?;
            recording.slots.insert(address, slots);
        }
        let mut last = None;
        for _ in 0..reader.varint("a number of codes")? {
            let (hash, code) = read_hashed(&mut reader, "a code", &mut last)?;
            recording.code.insert(hash, code);
        }
        for _ in 0..reader.varint("a number of hashes of blocks")? {
            let offset = reader.offset();
            let number = reader.varint("the number of a block")?;
            let hashes = &mut recording.block_hashes;
            let follows = hashes.last_key_value().is_none_or(|(last, _)| *last < number);
            require(follows, offset, "a number above the one before")?;
            hashes.insert(number, B256::new(reader.array("the hash of a block")?));
        }
        let mut last = None;
        for _ in 0..reader.varint("a number of nodes")? {
            let (_, node) = read_hashed(&mut reader, "a node of a trie", &mut last)?;
            recording.nodes.insert(node);
        }
        if has_next {
            recording.next = Some(NextBlock::read(&mut reader)?);
        }
        reader.finish()?;
        Ok(recording)
    }
}

fn read_origin(reader: &mut Reader<'_>) -> Result<Origin, RecordingError> {
    let offset = reader.offset();
    let flags = reader.byte("flags")?;
    require(flags & !IS_VERIFIED == 0, offset, "flags below 2")?;
    let chain_id = reader.varint("the number of a chain")?;
    let offset = reader.offset();
    let spec = match reader.bytes("the name of a hard fork")? {
        [] => None,
        name => {
            let spec = SpecId::ALL.into_iter().find(|spec| spec.name().as_bytes() == name);
            require(spec.is_some(), offset, "the name of a hard fork")?;
            spec
        }
    };
    let hash = B256::new(reader.array("the hash of the block")?);
    let offset = reader.offset();
    let header = Header::decode(reader.bytes("a header")?)
        .map_err(|error| RecordingError::Rlp { what: "a header", offset, error })?;
    let block = BlockId { number: header.number, hash };
    Ok(Origin { chain_id, block, header, spec, is_verified: flags & IS_VERIFIED != 0 })
}

fn write_account(out: &mut Vec<u8>, account: &Option<RemoteAccount>) {
    let Some(RemoteAccount { info, storage_root }) = account else { return out.push(0) };
    let root = storage_root.filter(|root| *root != EMPTY_ROOT);
    let flag = |flag, is_set| if is_set { flag } else { 0 };
    out.push(
        IS_THERE
            | flag(HAS_CODE, info.has_code())
            | flag(NO_STORAGE, *storage_root == Some(EMPTY_ROOT))
            | flag(HAS_ROOT, root.is_some()),
    );
    varint::write(out, info.nonce);
    write_word(out, info.balance);
    if info.has_code() {
        out.extend_from_slice(info.code_hash.as_slice());
    }
    if let Some(root) = root {
        out.extend_from_slice(root.as_slice());
    }
}

fn read_account(reader: &mut Reader<'_>) -> Result<Option<RemoteAccount>, CompactError> {
    let offset = reader.offset();
    let flags = reader.byte("flags of an account")?;
    let has = |flag| flags & flag != 0;
    if !has(IS_THERE) {
        require(flags == 0, offset, "no flags where there is no account")?;
        return Ok(None);
    }
    let known = IS_THERE | HAS_CODE | NO_STORAGE | HAS_ROOT;
    require(flags & !known == 0, offset, "flags below 16")?;
    require(!(has(NO_STORAGE) && has(HAS_ROOT)), offset, "one storage root")?;
    let nonce = reader.varint("a nonce")?;
    let balance = reader.word("a balance")?;
    let mut hash = |has, other, expected, other_expected| match has {
        true => {
            let offset = reader.offset();
            let hash = B256::new(reader.array(expected)?);
            require(hash != other, offset, other_expected)?;
            Ok(Some(hash))
        }
        false => Ok(None),
    };
    let code_hash = hash(has(HAS_CODE), KECCAK_EMPTY, "a code hash", "the hash of some code")?
        .unwrap_or(KECCAK_EMPTY);
    let root = hash(has(HAS_ROOT), EMPTY_ROOT, "a storage root", "the root of some storage")?;
    let storage_root = root.or(has(NO_STORAGE).then_some(EMPTY_ROOT));
    Ok(Some(RemoteAccount { info: AccountInfo { nonce, balance, code_hash }, storage_root }))
}

fn read_slots(reader: &mut Reader<'_>) -> Result<BTreeMap<U256, U256>, CompactError> {
    let offset = reader.offset();
    let count = reader.varint("a number of slots")?;
    require(count > 0, offset, "a slot at least")?;
    let mut slots = BTreeMap::new();
    for _ in 0..count {
        let offset = reader.offset();
        let slot = reader.word("a slot")?;
        let follows = slots.last_key_value().is_none_or(|(last, _)| *last < slot);
        require(follows, offset, "a slot above the one before")?;
        slots.insert(slot, reader.word("a word")?);
    }
    Ok(slots)
}

/// The address of the next entry, which is above those there are.
fn read_address<T>(
    reader: &mut Reader<'_>,
    entries: &BTreeMap<Address, T>,
) -> Result<Address, CompactError> {
    let offset = reader.offset();
    let address = Address::new(reader.array("an address")?);
    let follows = entries.last_key_value().is_none_or(|(last, _)| *last < address);
    require(follows, offset, "an address above the one before")?;
    Ok(address)
}

/// Bytes that are named by their hash, which is above the `last`.
fn read_hashed(
    reader: &mut Reader<'_>,
    expected: &'static str,
    last: &mut Option<B256>,
) -> Result<(B256, Bytes), CompactError> {
    let offset = reader.offset();
    let bytes = Bytes::copy_from_slice(reader.bytes(expected)?);
    let hash = keccak256(&bytes);
    let follows = last.replace(hash).is_none_or(|last| last < hash);
    require(follows, offset, "bytes whose hash is above the one before")?;
    Ok((hash, bytes))
}

//! What is kept as bytes: a read and its answer, or a node of a trie.
//!
//! | what | bytes |
//! |---|---|
//! | account | `0`, address (20), and if there is one nonce (varint), balance (a word), code hash (32) and, if it is known, storage root (32) |
//! | slot | `1`, address (20), slot and word (two words) |
//! | hash of a block | `2`, number (varint), hash (32) |
//! | node of a trie | `3`, RLP |

use zvm_core::{
    AccountInfo, Address, B256, Bytes,
    compact::{CompactError, Reader, write_word},
    keccak256, varint,
};

use crate::{Found, Read, RemoteAccount};

const ACCOUNT: u8 = 0;
const SLOT: u8 = 1;
const BLOCK_HASH: u8 = 2;
const NODE: u8 = 3;

/// Something to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A read and its answer.
    Answer(Read, Found),
    /// A node, which is known by its hash.
    Node(Bytes),
}

/// By what a [`Record`] is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Read(Read),
    Node(B256),
}

impl Record {
    pub(super) fn key(&self) -> Key {
        match self {
            Self::Answer(read, _) => Key::Read(*read),
            Self::Node(node) => Key::Node(keccak256(node)),
        }
    }

    /// Appends it. Code, and an answer of another kind than the read asks for, are passed over.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Answer(read, found) => write(out, read, found),
            Self::Node(node) => {
                out.push(NODE);
                out.extend_from_slice(node);
            }
        }
    }

    /// Reads what [`write`](Self::write) has appended.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, CompactError> {
        match bytes.split_first() {
            Some((&NODE, node)) => Ok(Self::Node(Bytes::copy_from_slice(node))),
            _ => read(bytes).map(|(read, found)| Self::Answer(read, found)),
        }
    }
}

fn write(out: &mut Vec<u8>, read: &Read, found: &Found) {
    match (read, found) {
        (Read::Account(address), Found::Account(account)) => {
            out.push(ACCOUNT);
            out.extend_from_slice(address.as_slice());
            if let Some(RemoteAccount { info, storage_root }) = account {
                varint::write(out, info.nonce);
                write_word(out, info.balance);
                out.extend_from_slice(info.code_hash.as_slice());
                storage_root.iter().for_each(|root| out.extend_from_slice(root.as_slice()));
            }
        }
        (Read::Slot(address, slot), Found::Word(word)) => {
            out.push(SLOT);
            out.extend_from_slice(address.as_slice());
            write_word(out, *slot);
            write_word(out, *word);
        }
        (Read::BlockHash(number), Found::BlockHash(hash)) => {
            out.push(BLOCK_HASH);
            varint::write(out, *number);
            out.extend_from_slice(hash.as_slice());
        }
        _ => {}
    }
}

fn read(bytes: &[u8]) -> Result<(Read, Found), CompactError> {
    let mut reader = Reader::new(bytes);
    let pair = match reader.byte("the kind of a read")? {
        ACCOUNT => {
            let address = Address::new(reader.array("an address")?);
            let account = match reader.offset() == bytes.len() {
                true => None,
                false => {
                    let nonce = reader.varint("a nonce")?;
                    let balance = reader.word("a balance")?;
                    let code_hash = B256::new(reader.array("a code hash")?);
                    let storage_root = match reader.offset() == bytes.len() {
                        true => None,
                        false => Some(B256::new(reader.array("a storage root")?)),
                    };
                    let info = AccountInfo { nonce, balance, code_hash };
                    Some(RemoteAccount { info, storage_root })
                }
            };
            (Read::Account(address), Found::Account(account))
        }
        SLOT => {
            let address = Address::new(reader.array("an address")?);
            let slot = reader.word("a slot")?;
            (Read::Slot(address, slot), Found::Word(reader.word("a word")?))
        }
        BLOCK_HASH => {
            let number = reader.varint("the number of a block")?;
            let hash = B256::new(reader.array("the hash of a block")?);
            (Read::BlockHash(number), Found::BlockHash(hash))
        }
        _ => return Err(CompactError::Invalid { offset: 0, expected: "the kind of a read" }),
    };
    reader.finish()?;
    Ok(pair)
}

//! What the body of a block must be, given its header and its ancestors.

use zvm_core::{
    B256, Block, ChainConfig, Header, SignedTransaction, SpecId, Withdrawal, keccak256, rlp::Rlp,
};
use zvm_trie::ordered_root;

use super::{Consensus, InvalidBlock, validate_header};

/// EIP-7934: most bytes of a block, 10 MiB with 2 MiB of them left for its beacon block.
const BLOCK_BYTES_MAX: usize = 8 << 20;

/// Yellow Paper, 11.1: most ommers of a block.
const OMMERS_MAX: usize = 2;

/// Yellow Paper, 11.1: how far back the parent of an ommer may be.
pub const OMMER_GENERATIONS: usize = 7;

/// Checks that the body of `block` is the one its header commits to, and within its size.
///
/// The ommers themselves are the matter of [`validate_ommers`].
pub fn validate_body(
    chain: &ChainConfig,
    consensus: Consensus,
    block: &Block,
) -> Result<(), InvalidBlock> {
    let (spec, header) = (super::spec_of(chain, consensus, &block.header), &block.header);
    if spec.has(SpecId::OSAKA) {
        let size = block.encode().len();
        if size > BLOCK_BYTES_MAX {
            return Err(InvalidBlock::Size { size, max: BLOCK_BYTES_MAX });
        }
    }
    let (found, expected) = (header.transactions_root, transactions_root(&block.transactions));
    if found != expected {
        return Err(InvalidBlock::TransactionsRoot { found, expected });
    }
    let (found, expected) = (header.ommers_hash, ommers_hash(&block.ommers));
    if found != expected {
        return Err(InvalidBlock::OmmersHash { found, expected });
    }
    match (&block.withdrawals, header.withdrawals_root) {
        (None, None) => Ok(()),
        (Some(withdrawals), Some(found)) => {
            let expected = withdrawals_root(withdrawals);
            match found == expected {
                true => Ok(()),
                false => Err(InvalidBlock::WithdrawalsRoot { found, expected }),
            }
        }
        (None, Some(_)) => Err(InvalidBlock::MissingField { field: "withdrawals" }),
        (Some(_), None) => Err(InvalidBlock::UnexpectedField { field: "withdrawals" }),
    }
}

/// Root of a list of transactions.
#[must_use]
pub fn transactions_root(transactions: &[SignedTransaction]) -> B256 {
    let encoded: Vec<_> = transactions.iter().map(SignedTransaction::encode_2718).collect();
    ordered_root(&encoded)
}

/// keccak-256 of the list of ommers.
pub(super) fn ommers_hash(ommers: &[Header]) -> B256 {
    let mut list = Vec::new();
    zvm_core::rlp::write_items(&mut list, ommers);
    keccak256(list)
}

/// Root of a list of withdrawals (EIP-4895).
#[must_use]
pub fn withdrawals_root(withdrawals: &[Withdrawal]) -> B256 {
    let encoded: Vec<_> = withdrawals.iter().map(Rlp::encode).collect();
    ordered_root(&encoded)
}

/// A block before the one at hand.
#[derive(Clone, Debug)]
pub struct Ancestor {
    /// Its hash.
    pub hash: B256,
    /// Its header.
    pub header: Header,
    /// Hashes of the ommers it lists.
    pub ommers: Vec<B256>,
}

/// Checks the ommers of `block` (Yellow Paper, 11.1): at most two, their parents two to seven
/// generations up, none of them an ancestor or listed before, and their headers valid but for the
/// seal.
///
/// `ancestors` are the blocks before, nearest first: [`OMMER_GENERATIONS`] of them, or as many as
/// there are.
pub fn validate_ommers(
    chain: &ChainConfig,
    block: &Block,
    ancestors: &[Ancestor],
) -> Result<(), InvalidBlock> {
    if block.ommers.len() > OMMERS_MAX {
        return Err(InvalidBlock::TooManyOmmers { count: block.ommers.len() });
    }
    let mut listed: Vec<B256> =
        ancestors.iter().flat_map(|ancestor| &ancestor.ommers).copied().collect();
    for ommer in &block.ommers {
        let hash = ommer.hash();
        if listed.contains(&hash) {
            return Err(InvalidBlock::OmmerListed { hash });
        }
        listed.push(hash);
        if ancestors.iter().any(|ancestor| ancestor.hash == hash) {
            return Err(InvalidBlock::OmmerIsAncestor { hash });
        }
        // The children of the block's own parent are its brothers.
        let mut parents = ancestors.iter().skip(1);
        let Some(parent) = parents.find(|ancestor| ancestor.hash == ommer.parent_hash) else {
            return Err(InvalidBlock::OmmerParent { hash, parent: ommer.parent_hash });
        };
        validate_header(chain, Consensus::ProofOfWork, ommer, &parent.header)
            .map_err(|source| InvalidBlock::Ommer { hash, source: Box::new(source) })?;
    }
    Ok(())
}

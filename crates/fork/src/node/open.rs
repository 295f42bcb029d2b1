//! From a configuration to a node pinned to one block.

use std::sync::{Mutex, atomic::AtomicBool};

use zvm_core::{B256, BlockId, DbError, Header};
use zvm_state::{BlockRef, ForkConfig, ForkSource};

use super::{Codes, Node, answers};
use crate::{
    Origin, json,
    rpc::{Answer, Call, Client, Expected},
    rules::spec_of,
};

impl Node {
    /// Asks the node that `config` names for its block, and stays with the hash of that.
    ///
    /// # Errors
    ///
    /// [`DbError::Remote`] where it has no such block, or one with another hash than
    /// [`ForkConfig::hash`] says, or where too few endpoints have the same.
    pub fn open(config: &ForkConfig) -> Result<Self, DbError> {
        let ForkSource::Node(endpoint) = &config.source else {
            return Err(refused(config, "a recording is no node"));
        };
        let client = Client::new(endpoint, config)?;
        let of_node = |what: String| DbError::Remote { endpoint: client.name(), what };
        let (values, proof) = (
            r#"{"0x0000000000000000000000000000000000000000":["0x0000000000000000000000000000000000000000000000000000000000000000"]}"#,
            "[]",
        );
        let zero = json::of_address(zvm_core::Address::ZERO);
        // What the node can do besides costs nothing to ask along.
        let calls = [
            Call::new("eth_chainId", &[]),
            block_call(config),
            Call::new("eth_getStorageValues", &[values, "\"latest\""]),
            Call::new("eth_getProof", &[&zero, proof, "\"latest\""]),
        ];
        let mut results = client.batch(&calls)?.into_iter();
        let mut result = |call: &Call| match results.next() {
            Some(Ok(result)) => Ok(result),
            Some(Err(error)) => Err(of_node(format!("{}: {error}", call.method()))),
            None => Err(of_node(format!("{}: no answer", call.method()))),
        };
        let [chain_call, block_call, ..] = &calls;
        let chain_id = json::quantity(&result(chain_call)?)
            .map_err(|what| of_node(format!("eth_chainId: {what}")))?;
        let block = result(block_call)?;
        let has_storage_values = matches!(results.next(), Some(Ok(_)));
        let has_proofs = matches!(results.next(), Some(Ok(_)));
        let (hash, header) = answers::header(&block)
            .map_err(|what| of_node(format!("block {}: {what}", config.block)))?;
        check_asked(config, hash, &header).map_err(of_node)?;
        let block = BlockId { number: header.number, hash };
        let spec = Some(spec_of(config, chain_id, &header)?);
        agree(&client, config, block)?;
        client.expect(Expected { chain_id, block });
        Ok(Self {
            client,
            origin: Origin { chain_id, block, header, spec, is_verified: false },
            takes_hash: AtomicBool::new(true),
            has_storage_values: AtomicBool::new(has_storage_values),
            has_proofs: AtomicBool::new(has_proofs),
            code: Mutex::new(Codes::default()),
        })
    }
}

impl Node {
    /// The node that `config` names, of whose block `origin` was known before. Nothing is asked until
    /// something is read.
    pub(crate) fn resume(config: &ForkConfig, origin: Origin) -> Result<Self, DbError> {
        let ForkSource::Node(endpoint) = &config.source else {
            return Err(refused(config, "a recording is no node"));
        };
        let client = Client::new(endpoint, config)?;
        client.expect_of_all(Expected { chain_id: origin.chain_id, block: origin.block });
        // Whether it can is seen when it is asked.
        let [takes_hash, has_storage_values, has_proofs] = [true; 3].map(AtomicBool::new);
        let code = Mutex::new(Codes::default());
        Ok(Self { client, origin, takes_hash, has_storage_values, has_proofs, code })
    }

    /// The number of the last block that is final, as far as the node tells.
    pub(crate) fn finalized(&self) -> Option<u64> {
        let call = Call::new("eth_getBlockByNumber", &["\"finalized\"", "false"]);
        let block = self.client.call(&call).ok()?.ok()?;
        Some(answers::header(&block).ok()?.1.number)
    }
}

pub(crate) fn refused(config: &ForkConfig, what: &str) -> DbError {
    let config = zvm_state::DatabaseConfig::Fork(Box::new(config.clone()));
    DbError::Config { config: config.to_string(), what: what.to_owned() }
}

/// Asks for the block by whatever names it.
fn block_call(config: &ForkConfig) -> Call {
    let by_number = |number: &str| Call::new("eth_getBlockByNumber", &[number, "false"]);
    match (config.block, config.hash) {
        // A tag may mean a later block than the one somebody vouches for.
        (BlockRef::Hash(hash), _) | (BlockRef::Latest, Some(hash)) => {
            Call::new("eth_getBlockByHash", &[&format!("\"{hash}\""), "false"])
        }
        (BlockRef::Number(number), _) => by_number(&json::of_quantity(number)),
        (tag, _) => by_number(&format!("\"{tag}\"")),
    }
}

/// Checks that the block is the one asked for.
fn check_asked(config: &ForkConfig, hash: B256, header: &Header) -> Result<(), String> {
    let number = match config.block {
        BlockRef::Number(number) => Some(number),
        BlockRef::Earliest => Some(0),
        _ => None,
    };
    if let Some(number) = number.filter(|number| *number != header.number) {
        return Err(format!("block {}, expected block {number}", header.number));
    }
    let by_hash = match config.block {
        BlockRef::Hash(hash) => Some(hash),
        _ => None,
    };
    match by_hash.into_iter().chain(config.hash).find(|expected| *expected != hash) {
        Some(expected) => {
            Err(format!("block {} has hash {hash}, expected {expected}", header.number))
        }
        None => Ok(()),
    }
}

/// Checks that enough endpoints have the same block.
fn agree(client: &Client, config: &ForkConfig, block: BlockId) -> Result<(), DbError> {
    let quorum = config.quorum as usize;
    if quorum <= 1 {
        return Ok(());
    }
    if quorum > client.endpoints() {
        let what = format!("quorum={quorum}: expected at most {}", client.endpoints());
        return Err(refused(config, &what));
    }
    let call = Call::new("eth_getBlockByNumber", &[&json::of_quantity(block.number), "false"]);
    let has_it = |answer: Answer| {
        let found = answer.ok().and_then(|found| answers::header(&found).ok());
        found.is_some_and(|(hash, _)| hash == block.hash)
    };
    let answers = client.each(&call);
    let found =
        answers.into_iter().filter_map(Result::ok).filter(|one| has_it(one.clone())).count();
    if found < quorum {
        let what = format!(
            "block {} has hash {} at {found} of {} endpoints, expected {quorum}",
            block.number,
            block.hash,
            client.endpoints()
        );
        return Err(DbError::Remote { endpoint: client.name(), what });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use zvm_state::Endpoint;

    use super::*;

    fn config(text: &str) -> ForkConfig {
        let config = format!("fork:http://localhost{text}").parse().unwrap();
        let zvm_state::DatabaseConfig::Fork(config) = config else { panic!("{config:?}") };
        *config
    }

    #[test]
    fn the_block_must_be_the_one_asked_for() {
        let hash = B256::repeat_byte(1);
        let header = Header { number: 7, ..Header::default() };
        for (text, is_right) in [
            ("", true),
            ("@7", true),
            ("@8", false),
            ("@earliest", false),
            (&format!("@{hash}"), true),
            (&format!("@{}", B256::ZERO), false),
            (&format!("@7?hash={hash}"), true),
            (&format!("@7?hash={}", B256::ZERO), false),
        ] {
            assert_eq!(check_asked(&config(text), hash, &header).is_ok(), is_right, "{text}");
        }
    }

    #[test]
    fn a_quorum_needs_as_many_endpoints() {
        let config = config("?quorum=3&endpoints=http://b");
        let client = Client::new(&Endpoint::new("http://a").unwrap(), &config).unwrap();
        let error = agree(&client, &config, BlockId::default()).unwrap_err().to_string();
        assert!(error.contains("quorum=3: expected at most 2"), "{error}");
    }
}

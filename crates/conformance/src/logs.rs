//! The hash that fixtures give of a run's events.

use alloy_rlp::Encodable;
use zvm_core::{B256, Log, b256, keccak256};

/// keccak-256 of the RLP of no events.
const NONE: B256 = b256!("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");

/// keccak-256 of the RLP of a list of `[address, topics, data]`.
pub(crate) fn hash(logs: &[Log]) -> B256 {
    if logs.is_empty() {
        return NONE;
    }
    let mut payload = Vec::new();
    for log in logs {
        let (topics, data) = (log.topics(), &log.data.data);
        let topics_length = topics.len() * 33;
        let topics_header = alloy_rlp::Header { list: true, payload_length: topics_length };
        let payload_length =
            log.address.length() + topics_header.length_with_payload() + data.as_ref().length();
        alloy_rlp::Header { list: true, payload_length }.encode(&mut payload);
        log.address.encode(&mut payload);
        topics_header.encode(&mut payload);
        topics.iter().for_each(|topic| topic.encode(&mut payload));
        data.as_ref().encode(&mut payload);
    }
    let mut encoded = Vec::with_capacity(payload.len() + 9);
    alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut encoded);
    encoded.extend_from_slice(&payload);
    keccak256(encoded)
}

#[cfg(test)]
mod tests {
    use zvm_core::{Address, Bytes};

    use super::*;

    #[test]
    fn no_events_hash_as_the_empty_list() {
        assert_eq!(hash(&[]), keccak256([0xc0]));
    }

    #[test]
    fn an_event_is_address_topics_and_data() {
        let log = Log::new_unchecked(Address::ZERO, vec![B256::ZERO], Bytes::from_static(&[7]));
        // [[20 bytes, [32 bytes], 7]]: 21 + 34 + 1 = 56 bytes, so the header takes two.
        let mut encoded = vec![0xf8, 58, 0xf8, 56, 0x94];
        encoded.extend([0; 20]);
        encoded.extend([0xe1, 0xa0]);
        encoded.extend([0; 32]);
        encoded.push(7);
        assert_eq!(hash(&[log]), keccak256(encoded));
    }
}

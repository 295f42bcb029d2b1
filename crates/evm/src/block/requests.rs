//! Requests of the execution layer to the consensus layer (EIP-7685).

use sha2::{Digest, Sha256};
use zvm_core::{Address, B256, Bytes, Log, b256};

/// EIP-6110: type of deposits.
pub(super) const DEPOSIT: u8 = 0;
/// EIP-7002: type of withdrawals.
pub(super) const WITHDRAWAL: u8 = 1;
/// EIP-7251: type of consolidations.
pub(super) const CONSOLIDATION: u8 = 2;

/// keccak-256 of `DepositEvent(bytes,bytes,bytes,bytes,bytes)`.
const DEPOSIT_EVENT: B256 =
    b256!("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");

/// Bytes of the data of a deposit event.
const DEPOSIT_EVENT_BYTES: usize = 576;

/// Offset of each field's length in the data of a deposit event, and that length: public key,
/// withdrawal credentials, amount, signature and index.
const DEPOSIT_FIELDS: [(usize, usize); 5] = [(160, 48), (256, 32), (320, 8), (384, 96), (512, 8)];

/// A deposit event whose data is not laid out as EIP-6110 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadDepositLayout;

/// The requests of one type, with the type before them; `None` where there are none.
pub(super) fn of_type(request_type: u8, data: &[u8]) -> Option<Bytes> {
    (!data.is_empty()).then(|| [&[request_type], data].concat().into())
}

/// Appends the deposit in `log` to `deposits`, if there is one (EIP-6110).
pub(super) fn deposit(
    contract: Address,
    log: &Log,
    deposits: &mut Vec<u8>,
) -> Result<(), BadDepositLayout> {
    if log.address != contract || log.data.topics().first() != Some(&DEPOSIT_EVENT) {
        return Ok(());
    }
    let data = &log.data.data;
    if data.len() != DEPOSIT_EVENT_BYTES {
        return Err(BadDepositLayout);
    }
    // A word per field says where it starts; there, a word says how long it is.
    for (index, (offset, length)) in DEPOSIT_FIELDS.into_iter().enumerate() {
        if !holds(data, 32 * index, offset) || !holds(data, offset, length) {
            return Err(BadDepositLayout);
        }
    }
    for (offset, length) in DEPOSIT_FIELDS {
        let start = offset + 32;
        deposits.extend_from_slice(data.get(start..start + length).ok_or(BadDepositLayout)?);
    }
    Ok(())
}

/// Whether the word at `offset` is `number`.
fn holds(data: &[u8], offset: usize, number: usize) -> bool {
    data.get(offset..offset + 32).is_some_and(|word| {
        let (high, low) = word.split_at(24);
        high.iter().all(|byte| *byte == 0) && *low == (number as u64).to_be_bytes()
    })
}

/// The commitment in the header: SHA-256 over the SHA-256 of each type's requests (EIP-7685).
#[must_use]
pub fn requests_hash(requests: &[Bytes]) -> B256 {
    let mut hash = Sha256::new();
    for request in requests {
        // A type without requests is left out.
        if request.len() > 1 {
            hash.update(Sha256::digest(request));
        }
    }
    B256::from_slice(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use zvm_core::{LogData, address};

    use super::*;

    const CONTRACT: Address = address!("00000000219ab540356cbb839cbe05303d7705fa");

    /// A deposit event as the deposit contract emits it, each field filled with a byte of its own.
    fn event() -> Vec<u8> {
        let mut data = vec![0; DEPOSIT_EVENT_BYTES];
        for (index, (offset, length)) in DEPOSIT_FIELDS.into_iter().enumerate() {
            data[32 * index + 30..32 * index + 32].copy_from_slice(&(offset as u16).to_be_bytes());
            data[offset + 31] = length as u8;
            data[offset + 32..offset + 32 + length].fill(index as u8 + 1);
        }
        data
    }

    fn read(data: Vec<u8>, topic: B256) -> Result<Vec<u8>, BadDepositLayout> {
        let data = LogData::new_unchecked(vec![topic], data.into());
        let mut deposits = Vec::new();
        deposit(CONTRACT, &Log { address: CONTRACT, data }, &mut deposits).map(|()| deposits)
    }

    #[test]
    fn a_deposit_is_its_fields_one_after_the_other() {
        let expected: Vec<u8> = DEPOSIT_FIELDS
            .iter()
            .enumerate()
            .flat_map(|(index, (_, length))| vec![index as u8 + 1; *length])
            .collect();
        assert_eq!(expected.len(), 192);
        assert_eq!(read(event(), DEPOSIT_EVENT), Ok(expected));
    }

    #[test]
    fn other_events_of_the_contract_are_no_deposits() {
        assert_eq!(read(vec![1, 2, 3], B256::ZERO), Ok(Vec::new()));
    }

    #[test]
    fn every_byte_of_an_offset_or_length_counts() {
        let words = (0..5).chain(DEPOSIT_FIELDS.map(|(offset, _)| offset / 32));
        for byte in words.flat_map(|word| 32 * word..32 * word + 32) {
            let mut data = event();
            data[byte] ^= 1;
            assert_eq!(read(data, DEPOSIT_EVENT), Err(BadDepositLayout), "byte {byte}");
        }
        let mut long = event();
        long.push(0);
        assert_eq!(read(long, DEPOSIT_EVENT), Err(BadDepositLayout));
    }

    #[test]
    fn without_requests_the_hash_is_that_of_nothing() {
        let nothing = b256!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(requests_hash(&[]), nothing);
        assert_eq!(requests_hash(&[Bytes::from_static(&[1])]), nothing);
        assert_ne!(requests_hash(&[Bytes::from_static(&[1, 2])]), nothing);
    }
}

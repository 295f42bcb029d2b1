//! Transactions, headers, receipts and blocks against `alloy-consensus`: same bytes, same hashes,
//! and of damaged bytes nothing accepted that is not what it encodes to.

use alloy_consensus::{
    Block as PeerBlock, BlockBody, EthereumTxEnvelope, Header as PeerHeader,
    Receipt as PeerReceipt, ReceiptEnvelope, ReceiptWithBloom, Signed, TxEip1559, TxEip2930,
    TxEip4844, TxEip7702, TxLegacy, TxType as PeerType,
};
use alloy_eips::{
    eip2718::{Decodable2718, Encodable2718},
    eip2930::{AccessList, AccessListItem as PeerItem},
    eip4895::{Withdrawal as PeerWithdrawal, Withdrawals},
    eip7702::{Authorization as PeerAuthorization, SignedAuthorization as PeerTuple},
};
use alloy_primitives::{Signature as PeerSignature, TxKind};
use alloy_rlp::{Decodable, Encodable};
use proptest::{collection::vec, prelude::*};
use zvm_core::{
    AccessListItem, Address, Authorization, AuthorizationTuple, B64, B256, Block, Bloom, Bytes,
    Header, Log, Receipt, ReceiptOutcome, SignedTransaction, SigningKey, SpecId, TxType, U256,
    UnsignedTransaction, Withdrawal, rlp::Rlp,
};

type PeerTransaction = EthereumTxEnvelope<TxEip4844>;

fn word() -> impl Strategy<Value = U256> {
    prop_oneof![
        Just(U256::ZERO),
        any::<u8>().prop_map(U256::from),
        any::<u128>().prop_map(U256::from),
        any::<[u8; 32]>().prop_map(U256::from_be_bytes),
    ]
}

fn short() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..300_u64, any::<u64>(), Just(u64::MAX)]
}

/// A price: the peer keeps 128 bits.
fn price() -> impl Strategy<Value = U256> {
    prop_oneof![Just(0), 0..300_u128, any::<u128>()].prop_map(U256::from)
}

fn address() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::new)
}

fn hash() -> impl Strategy<Value = B256> {
    any::<[u8; 32]>().prop_map(B256::new)
}

fn data() -> impl Strategy<Value = Bytes> {
    prop_oneof![vec(any::<u8>(), 0..3), vec(any::<u8>(), 0..300)].prop_map(Bytes::from)
}

fn key() -> impl Strategy<Value = SigningKey> {
    (1..u64::MAX).prop_map(|number| {
        SigningKey::new(&U256::from(number).to_be_bytes()).expect("below the order")
    })
}

fn access_list() -> impl Strategy<Value = Vec<AccessListItem>> {
    let item = (address(), vec(hash(), 0..3))
        .prop_map(|(address, storage_keys)| AccessListItem { address, storage_keys });
    vec(item, 0..3)
}

fn authorization() -> impl Strategy<Value = AuthorizationTuple> {
    (word(), address(), short(), any::<u8>(), word(), word()).prop_map(
        |(chain_id, address, nonce, y_parity, r, s)| AuthorizationTuple {
            authorization: Authorization { chain_id, address, nonce },
            y_parity,
            r,
            s,
        },
    )
}

fn unsigned() -> impl Strategy<Value = UnsignedTransaction> {
    let tx_type = prop::sample::select(vec![
        TxType::Legacy,
        TxType::AccessList,
        TxType::DynamicFee,
        TxType::Blob,
        TxType::SetCode,
    ]);
    let to = prop_oneof![
        1 => Just(TxKind::Create),
        3 => address().prop_map(TxKind::Call)
    ];
    (
        (tx_type, any::<Option<u64>>(), short(), price(), price(), short()),
        (to, word(), data(), access_list(), price()),
        (vec(hash(), 0..3), vec(authorization(), 0..3)),
    )
        .prop_map(|(first, second, third)| {
            let (tx_type, chain_id, nonce, gas_price, max_priority_fee, gas_limit) = first;
            let (to, value, data, access_list, max_fee_per_blob_gas) = second;
            let (blob_hashes, authorizations) = third;
            let is_typed = tx_type != TxType::Legacy;
            // EIP-155 makes an odd number of 64 bits and a little more.
            let chain_id = chain_id.map(|id| id >> 1).or(is_typed.then_some(1));
            let to = match to {
                TxKind::Create if tx_type >= TxType::Blob => TxKind::Call(Address::ZERO),
                to => to,
            };
            let only = |tx_types: &[TxType]| tx_types.contains(&tx_type);
            UnsignedTransaction {
                tx_type,
                chain_id,
                nonce,
                gas_price,
                max_priority_fee: if tx_type >= TxType::DynamicFee {
                    max_priority_fee
                } else {
                    U256::ZERO
                },
                gas_limit,
                to,
                value,
                data,
                access_list: if is_typed { access_list } else { Vec::new() },
                max_fee_per_blob_gas: if only(&[TxType::Blob]) {
                    max_fee_per_blob_gas
                } else {
                    U256::ZERO
                },
                blob_hashes: if only(&[TxType::Blob]) { blob_hashes } else { Vec::new() },
                authorizations: if only(&[TxType::SetCode]) { authorizations } else { Vec::new() },
            }
        })
}

fn signed() -> impl Strategy<Value = SignedTransaction> {
    (unsigned(), key()).prop_map(|(body, key)| body.sign(&key))
}

fn header() -> impl Strategy<Value = Header> {
    (
        [hash(), hash(), hash(), hash(), hash(), hash()],
        (address(), word(), any::<[u8; 8]>(), vec(any::<u8>(), 0..40)),
        [short(), short(), short(), short()],
        (0..7_usize, [short(), short(), short()], [hash(), hash(), hash()]),
        any::<[u8; 32]>(),
    )
        .prop_map(|(hashes, odds, numbers, (later, more, roots), noise)| {
            let [parent_hash, ommers_hash, state_root, transactions_root, receipts_root, mix_hash] =
                hashes;
            let (beneficiary, difficulty, nonce, extra_data) = odds;
            let [number, gas_limit, gas_used, timestamp] = numbers;
            Header {
                parent_hash,
                ommers_hash,
                beneficiary,
                state_root,
                transactions_root,
                receipts_root,
                logs_bloom: Bloom::from_slice(&noise.repeat(8)),
                difficulty,
                number,
                gas_limit,
                gas_used,
                timestamp,
                extra_data: extra_data.into(),
                mix_hash,
                nonce: B64::new(nonce),
                base_fee_per_gas: (later > 0).then_some(more[0]),
                withdrawals_root: (later > 1).then_some(roots[0]),
                blob_gas_used: (later > 2).then_some(more[1]),
                excess_blob_gas: (later > 3).then_some(more[2]),
                parent_beacon_block_root: (later > 4).then_some(roots[1]),
                requests_hash: (later > 5).then_some(roots[2]),
            }
        })
}

fn withdrawal() -> impl Strategy<Value = Withdrawal> {
    (short(), short(), address(), short()).prop_map(|(index, validator_index, address, amount)| {
        Withdrawal { index, validator_index, address, amount }
    })
}

fn receipt() -> impl Strategy<Value = Receipt> {
    let log = (address(), vec(hash(), 0..5), data())
        .prop_map(|(address, topics, data)| Log::new(address, topics, data).expect("4 topics"));
    let outcome = prop_oneof![
        any::<bool>().prop_map(ReceiptOutcome::Status),
        hash().prop_map(ReceiptOutcome::Root)
    ];
    (unsigned(), outcome, short(), vec(log, 0..4))
        .prop_map(|(tx, outcome, gas, logs)| Receipt::new(tx.tx_type, outcome, gas, logs))
}

fn block() -> impl Strategy<Value = Block> {
    (header(), vec(signed(), 0..4), vec(header(), 0..2), prop::option::of(vec(withdrawal(), 0..4)))
        .prop_map(|(header, transactions, ommers, withdrawals)| Block {
            header,
            transactions,
            ommers,
            withdrawals,
        })
}

fn peer_transaction(tx: &SignedTransaction) -> PeerTransaction {
    let SignedTransaction { body, signature } = tx.clone();
    let UnsignedTransaction { nonce, gas_limit, to, value, data: input, .. } = body;
    let chain_id = body.chain_id.unwrap_or_default();
    let low = |price: U256| u128::try_from(price).expect("made of 128 bits");
    let (gas_price, max_fee_per_gas) = (low(body.gas_price), low(body.gas_price));
    let max_priority_fee_per_gas = low(body.max_priority_fee);
    let access_list = AccessList(
        body.access_list
            .into_iter()
            .map(|item| PeerItem { address: item.address, storage_keys: item.storage_keys })
            .collect(),
    );
    let callee = to.to().copied().unwrap_or_default();
    let signature = PeerSignature::new(signature.r, signature.s, signature.y_parity);
    match body.tx_type {
        TxType::Legacy => {
            let chain_id = body.chain_id;
            let tx = TxLegacy { chain_id, nonce, gas_price, gas_limit, to, value, input };
            PeerTransaction::Legacy(Signed::new_unhashed(tx, signature))
        }
        TxType::AccessList => {
            let tx =
                TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input };
            PeerTransaction::Eip2930(Signed::new_unhashed(tx, signature))
        }
        TxType::DynamicFee => {
            let tx = TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to,
                value,
                access_list,
                input,
            };
            PeerTransaction::Eip1559(Signed::new_unhashed(tx, signature))
        }
        TxType::Blob => {
            let tx = TxEip4844 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to: callee,
                value,
                access_list,
                blob_versioned_hashes: body.blob_hashes,
                max_fee_per_blob_gas: low(body.max_fee_per_blob_gas),
                input,
            };
            PeerTransaction::Eip4844(Signed::new_unhashed(tx, signature))
        }
        TxType::SetCode => {
            let tuple = |tuple: AuthorizationTuple| {
                let Authorization { chain_id, address, nonce } = tuple.authorization;
                PeerTuple::new_unchecked(
                    PeerAuthorization { chain_id, address, nonce },
                    tuple.y_parity,
                    tuple.r,
                    tuple.s,
                )
            };
            let tx = TxEip7702 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to: callee,
                value,
                access_list,
                authorization_list: body.authorizations.into_iter().map(tuple).collect(),
                input,
            };
            PeerTransaction::Eip7702(Signed::new_unhashed(tx, signature))
        }
    }
}

fn peer_signing_hash(tx: &PeerTransaction) -> B256 {
    match tx {
        EthereumTxEnvelope::Legacy(tx) => tx.signature_hash(),
        EthereumTxEnvelope::Eip2930(tx) => tx.signature_hash(),
        EthereumTxEnvelope::Eip1559(tx) => tx.signature_hash(),
        EthereumTxEnvelope::Eip4844(tx) => tx.signature_hash(),
        EthereumTxEnvelope::Eip7702(tx) => tx.signature_hash(),
    }
}

fn peer_header(header: &Header) -> PeerHeader {
    let header = header.clone();
    PeerHeader {
        parent_hash: header.parent_hash,
        ommers_hash: header.ommers_hash,
        beneficiary: header.beneficiary,
        state_root: header.state_root,
        transactions_root: header.transactions_root,
        receipts_root: header.receipts_root,
        logs_bloom: header.logs_bloom,
        difficulty: header.difficulty,
        number: header.number,
        gas_limit: header.gas_limit,
        gas_used: header.gas_used,
        timestamp: header.timestamp,
        extra_data: header.extra_data,
        mix_hash: header.mix_hash,
        nonce: header.nonce,
        base_fee_per_gas: header.base_fee_per_gas,
        withdrawals_root: header.withdrawals_root,
        blob_gas_used: header.blob_gas_used,
        excess_blob_gas: header.excess_blob_gas,
        parent_beacon_block_root: header.parent_beacon_block_root,
        requests_hash: header.requests_hash,
        ..PeerHeader::default()
    }
}

fn peer_receipt(receipt: &Receipt) -> ReceiptEnvelope {
    let tx_type = PeerType::try_from(receipt.tx_type as u8).expect("one of five");
    let status = match receipt.outcome {
        ReceiptOutcome::Status(status) => status.into(),
        ReceiptOutcome::Root(root) => root.into(),
    };
    let cumulative_gas_used = receipt.cumulative_gas_used;
    let inner = PeerReceipt { status, cumulative_gas_used, logs: receipt.logs.clone() };
    let receipt = ReceiptWithBloom { receipt: inner, logs_bloom: receipt.bloom };
    match tx_type {
        PeerType::Legacy => ReceiptEnvelope::Legacy(receipt),
        PeerType::Eip2930 => ReceiptEnvelope::Eip2930(receipt),
        PeerType::Eip1559 => ReceiptEnvelope::Eip1559(receipt),
        PeerType::Eip4844 => ReceiptEnvelope::Eip4844(receipt),
        PeerType::Eip7702 => ReceiptEnvelope::Eip7702(receipt),
    }
}

fn peer_block(block: &Block) -> PeerBlock<PeerTransaction> {
    let withdrawal = |withdrawal: &Withdrawal| PeerWithdrawal {
        index: withdrawal.index,
        validator_index: withdrawal.validator_index,
        address: withdrawal.address,
        amount: withdrawal.amount,
    };
    let withdrawals = block.withdrawals.as_ref();
    PeerBlock {
        header: peer_header(&block.header),
        body: BlockBody {
            transactions: block.transactions.iter().map(peer_transaction).collect(),
            ommers: block.ommers.iter().map(peer_header).collect(),
            withdrawals: withdrawals.map(|all| Withdrawals(all.iter().map(withdrawal).collect())),
        },
    }
}

fn encoded(value: &impl Encodable) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out);
    out
}

/// What happens to bytes on the way.
#[derive(Clone, Debug)]
enum Damage {
    Bit(usize),
    Cut(usize),
    Byte(usize, u8),
    Zero(usize),
    Tail(u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<usize>().prop_map(Damage::Bit),
        any::<usize>().prop_map(Damage::Cut),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        any::<usize>().prop_map(Damage::Zero),
        any::<u8>().prop_map(Damage::Tail),
    ]
}

impl Damage {
    fn apply(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let length = bytes.len();
        match *self {
            Self::Bit(at) => bytes[at % length] ^= 1 << (at % 8),
            Self::Cut(at) => bytes.truncate(at % length),
            Self::Byte(at, byte) => bytes[at % length] = byte,
            Self::Zero(at) => bytes.insert(at % length, 0),
            Self::Tail(byte) => bytes.push(byte),
        }
        bytes
    }
}

proptest! {
    #[test]
    fn transactions_agree(body in unsigned(), key in key()) {
        let tx = body.sign(&key);
        let peer = peer_transaction(&tx);
        let bytes = tx.encode_2718();
        prop_assert_eq!(&bytes, &peer.encoded_2718());
        prop_assert_eq!(tx.encode(), encoded(&peer));
        prop_assert_eq!(tx.hash(), peer.trie_hash());
        prop_assert_eq!(tx.body.signing_hash(), peer_signing_hash(&peer));
        prop_assert_eq!(SignedTransaction::decode_2718(&bytes), Ok(tx.clone()));
        prop_assert_eq!(SignedTransaction::decode(&tx.encode()), Ok(tx.clone()));
        prop_assert_eq!(tx.sender(SpecId::OSAKA), Ok(key.address()));
    }

    #[test]
    fn damaged_transactions_are_what_they_encode_to(tx in signed(), damage in damage()) {
        let bytes = damage.apply(tx.encode_2718());
        match (SignedTransaction::decode_2718(&bytes), PeerTransaction::decode_2718_exact(&bytes)) {
            (Ok(tx), _) => prop_assert_eq!(tx.encode_2718(), bytes),
            (Err(_), Err(_)) => {}
            // The peer reads looser, but never to the same bytes.
            (Err(error), Ok(peer)) => prop_assert_ne!(peer.encoded_2718(), bytes, "{}", error),
        }
    }

    #[test]
    fn headers_agree(header in header(), damage in damage()) {
        let (bytes, peer) = (header.encode(), peer_header(&header));
        prop_assert_eq!(&bytes, &encoded(&peer));
        prop_assert_eq!(header.hash(), peer.hash_slow());
        prop_assert_eq!(&Header::decode(&bytes), &Ok(header));
        let bytes = damage.apply(bytes);
        match (Header::decode(&bytes), PeerHeader::decode(&mut &bytes[..])) {
            (Ok(header), _) => prop_assert_eq!(header.encode(), bytes),
            (Err(_), Err(_)) => {}
            (Err(error), Ok(peer)) => prop_assert_ne!(encoded(&peer), bytes, "{}", error),
        }
    }

    #[test]
    fn receipts_agree(receipt in receipt(), damage in damage()) {
        let (bytes, peer) = (receipt.encode_2718(), peer_receipt(&receipt));
        prop_assert_eq!(&bytes, &peer.encoded_2718());
        prop_assert_eq!(receipt.encode(), encoded(&peer));
        prop_assert_eq!(&Receipt::decode_2718(&bytes), &Ok(receipt.clone()));
        prop_assert_eq!(&Receipt::decode(&receipt.encode()), &Ok(receipt));
        let bytes = damage.apply(bytes);
        if let Ok(receipt) = Receipt::decode_2718(&bytes) {
            prop_assert_eq!(receipt.encode_2718(), bytes);
        }
    }

    #[test]
    fn blocks_agree(block in block(), damage in damage()) {
        let bytes = block.encode();
        prop_assert_eq!(&bytes, &encoded(&peer_block(&block)));
        prop_assert_eq!(&Block::decode(&bytes), &Ok(block));
        let bytes = damage.apply(bytes);
        if let Ok(block) = Block::decode(&bytes) {
            prop_assert_eq!(block.encode(), bytes);
        }
    }
}

//! Typed envelopes of transactions and receipts (EIP-2718): a type byte and a list, or for the
//! legacy type the list alone.

use alloy_rlp::{EMPTY_LIST_CODE, Encodable};

use crate::{
    TxType,
    rlp::{Item, Reader, RlpError, RlpFault, write_list},
};

/// Appends an envelope whose fields `write` appends.
pub(crate) fn write(tx_type: TxType, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    if tx_type != TxType::Legacy {
        out.push(tx_type as u8);
    }
    write_list(out, write);
}

/// Appends an envelope as an item of a list, where one with a type is a string.
pub(crate) fn write_item(envelope: &[u8], out: &mut Vec<u8>) {
    match envelope.first() {
        Some(EMPTY_LIST_CODE..) => out.extend_from_slice(envelope),
        _ => envelope.encode(out),
    }
}

/// The type and the list of an envelope, which must be all of `bytes`.
pub(crate) fn decode<'a>(
    bytes: &'a [u8],
    field: &'static str,
) -> Result<(TxType, Item<'a>), RlpError> {
    let mut reader = Reader::new(bytes);
    match bytes.first() {
        Some(EMPTY_LIST_CODE..) => {
            let list = reader.item(field)?;
            reader.finish(field)?;
            Ok((TxType::Legacy, list))
        }
        _ => typed(reader, field),
    }
}

/// The type and the list of an envelope that is an item of a list.
pub(crate) fn read<'a>(
    reader: &mut Reader<'a>,
    field: &'static str,
) -> Result<(TxType, Item<'a>), RlpError> {
    let item = reader.item(field)?;
    if item.is_list { Ok((TxType::Legacy, item)) } else { typed(item.reader(), field) }
}

/// A type byte and a list, which must be all that is left of `reader`.
fn typed<'a>(mut reader: Reader<'a>, field: &'static str) -> Result<(TxType, Item<'a>), RlpError> {
    let start = reader.clone();
    let found = reader.byte(field)?;
    let tx_type = TxType::from_byte(found)
        .filter(|tx_type| *tx_type != TxType::Legacy)
        .ok_or_else(|| start.error(field, RlpFault::TxType { found }))?;
    let list = reader.item(field)?;
    reader.finish(field)?;
    Ok((tx_type, list))
}

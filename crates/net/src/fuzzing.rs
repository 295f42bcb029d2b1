//! For the fuzzer: what comes off the wire, without a wire.

use prost::Message;

use crate::{
    fault,
    proto::{
        Answer, Attached, Fault, Query, Standing, WalkPage, WriteRequest, write_request::What,
    },
    wire::{self, Asked, Write},
};

/// Reads `bytes` as each message that is more than its fields.
///
/// # Panics
///
/// If what is understood does not mean the same when it is written back.
pub fn messages(bytes: &[u8]) {
    if let Ok(request) = WriteRequest::decode(bytes) {
        let diff = match &request.what {
            Some(What::Commit(commit)) => commit.diff.clone(),
            Some(What::Seed(diff)) => diff.clone(),
            _ => Default::default(),
        };
        if let Ok(Write::Commit { diff: read, .. } | Write::Seed(read)) = wire::write(request.what)
        {
            assert_eq!(read.encode(), diff);
        }
    }
    if let Ok(query) = Query::decode(bytes)
        && let Ok(Asked::Read(read)) = wire::query(&query)
    {
        assert_eq!(wire::from_read(read), query);
        if let Some(what) = Answer::decode(bytes).ok().and_then(|answer| answer.what)
            && let Ok(found) = wire::found(read, what)
        {
            let again = wire::found(read, wire::from_found(found.clone()));
            assert_eq!(again, Ok(found));
        }
    }
    if let Ok(page) = WalkPage::decode(bytes) {
        for entry in &page.accounts {
            if let Ok((address, info)) = wire::account_entry(entry) {
                let again = wire::account_entry(&wire::from_account_entry(address, info));
                assert_eq!(again, Ok((address, info)));
            }
        }
        for entry in &page.slots {
            if let Ok((slot, word)) = wire::slot_entry(entry) {
                assert_eq!(&wire::from_slot_entry(slot, word), entry);
            }
        }
    }
    if let Ok(found) = Standing::decode(bytes)
        && let Ok(standing) = wire::standing(&found)
    {
        assert_eq!(wire::from_standing(&standing), found);
    }
    if let Ok(attached) = Attached::decode(bytes) {
        let _ = wire::session(&attached.session);
    }
    if let Ok(found) = Fault::decode(bytes) {
        let error = fault::error(found, "net:here:1");
        // Read again it says at least as much.
        let again = fault::error(fault::fault(&error), "net:here:1");
        assert!(again.to_string().contains(&error.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in collection::vec(any::<u8>(), 0..200)) {
            messages(&bytes);
        }

        /// Bytes with the shape of a message: a field of bytes with some length.
        #[test]
        fn any_fields_are_read_without_panic(
            field in 1_u8..14,
            bytes in collection::vec(any::<u8>(), 0..60),
            behind in collection::vec(any::<u8>(), 0..40),
        ) {
            let length = bytes.len() as u8;
            messages(&[&[field << 3 | 2, length], bytes.as_slice(), &behind].concat());
        }
    }
}

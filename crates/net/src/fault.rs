//! Errors on their way from the server's database to the client's.
//!
//! A [`DbError`] that a caller may act on arrives as what it was; of others, what they say.

use std::path::PathBuf;

use prost::{Message, bytes::Bytes as Wire};
use tonic::{Code, Status};
use zvm_core::{DbError, SnapshotId};

use crate::{
    proto::{
        Fault,
        fault::{Damaged, NoHistory, NotNext, Unsupported, What},
    },
    wire::{WireError, address, from_slice, hash},
};

/// The fault that `error` is.
pub(crate) fn fault(error: &DbError) -> Fault {
    let path = |path: &PathBuf| path.display().to_string();
    let what = match error {
        DbError::MissingCode { code_hash } => What::MissingCode(from_slice(code_hash)),
        DbError::Ambiguous { address } => What::Ambiguous(from_slice(address)),
        DbError::MissingBlockHash { number } => What::MissingBlockHash(*number),
        DbError::UnknownSnapshot { id } => What::UnknownSnapshot(id.0),
        DbError::NoHistory { number, floor, head } => {
            What::NoHistory(NoHistory { number: *number, floor: *floor, head: *head })
        }
        DbError::NotNext { number, head } => {
            What::NotNext(NotNext { number: *number, head: *head })
        }
        DbError::Unsupported { backend, action } => What::Unsupported(Unsupported {
            backend: backend.to_string(),
            action: action.to_string(),
        }),
        DbError::ReadOnly { path: found } => What::ReadOnly(path(found)),
        DbError::Corrupt { path: found, what } => {
            What::Damaged(Damaged { path: path(found), what: what.clone() })
        }
        other => What::Other(other.to_string()),
    };
    Fault { what: Some(what) }
}

/// A status that carries `error`.
pub(crate) fn status(error: &DbError) -> Status {
    let code = match error {
        DbError::MissingCode { .. }
        | DbError::MissingBlockHash { .. }
        | DbError::UnknownSnapshot { .. } => Code::NotFound,
        DbError::NoHistory { .. } => Code::OutOfRange,
        DbError::NotNext { .. } | DbError::Ambiguous { .. } => Code::FailedPrecondition,
        DbError::Unsupported { .. } => Code::Unimplemented,
        DbError::ReadOnly { .. } => Code::PermissionDenied,
        DbError::Corrupt { .. } => Code::DataLoss,
        _ => Code::Internal,
    };
    carrying(code, fault(error))
}

/// A status of this server's own, in words.
pub(crate) fn refused(code: Code, what: impl Into<String>) -> Status {
    carrying(code, Fault { what: Some(What::Other(what.into())) })
}

/// A request that cannot be read.
pub(crate) fn malformed(error: WireError) -> Status {
    refused(Code::InvalidArgument, format!("the request: {error}"))
}

/// A session that is not there.
pub(crate) fn no_session() -> Status {
    let what = "there is no such session, or no more";
    carrying(Code::FailedPrecondition, Fault { what: Some(What::NoSession(what.to_owned())) })
}

/// A server that takes nothing new.
pub(crate) fn closing() -> Status {
    let what = "the server is shutting down";
    carrying(Code::Unavailable, Fault { what: Some(What::Closing(what.to_owned())) })
}

/// A write to a state that others have changed since; it is at block `head` now.
pub(crate) fn changed(head: u64) -> Status {
    carrying(Code::Aborted, Fault { what: Some(What::Changed(head)) })
}

fn carrying(code: Code, fault: Fault) -> Status {
    Status::with_details(code, words(&fault), Wire::from(fault.encode_to_vec()))
}

/// What a fault says to those who do not look into its details.
fn words(fault: &Fault) -> String {
    match &fault.what {
        Some(What::NoSession(what) | What::Closing(what) | What::Other(what)) => what.clone(),
        Some(_) => error(fault.clone(), "the server").to_string(),
        None => String::new(),
    }
}

/// The fault that a status carries; `None` if it is none of this protocol's, as when the connection
/// broke.
pub(crate) fn carried(status: &Status) -> Option<Fault> {
    if status.details().is_empty() {
        return None;
    }
    let fault = Fault::decode(status.details()).ok()?;
    fault.what.is_some().then_some(fault)
}

/// The error that `fault` is at a client of `endpoint`.
pub(crate) fn error(fault: Fault, endpoint: &str) -> DbError {
    let other = |what: String| DbError::Remote { endpoint: endpoint.to_owned(), what };
    let unread = |error: WireError| other(format!("an error that cannot be read: {error}"));
    match fault.what {
        Some(What::MissingCode(bytes)) => match hash("code hash", &bytes) {
            Ok(code_hash) => DbError::MissingCode { code_hash },
            Err(error) => unread(error),
        },
        Some(What::Ambiguous(bytes)) => match address("address", &bytes) {
            Ok(address) => DbError::Ambiguous { address },
            Err(error) => unread(error),
        },
        Some(What::MissingBlockHash(number)) => DbError::MissingBlockHash { number },
        Some(What::UnknownSnapshot(id)) => DbError::UnknownSnapshot { id: SnapshotId(id) },
        Some(What::NoHistory(NoHistory { number, floor, head })) => {
            DbError::NoHistory { number, floor, head }
        }
        Some(What::NotNext(NotNext { number, head })) => DbError::NotNext { number, head },
        Some(What::Unsupported(Unsupported { backend, action })) => {
            DbError::Unsupported { backend: backend.into(), action: action.into() }
        }
        Some(What::ReadOnly(path)) => DbError::ReadOnly { path: path.into() },
        Some(What::Damaged(Damaged { path, what })) => {
            DbError::Corrupt { path: format!("{endpoint}, {path}").into(), what }
        }
        Some(What::Changed(head)) => {
            other(format!("others have changed the state, which is at block {head} now"))
        }
        Some(What::NoSession(what) | What::Closing(what) | What::Other(what)) => other(what),
        None => other("an error without a word".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};
    use zvm_core::{Address, B256};

    use super::*;

    #[test]
    fn errors_that_callers_act_on_arrive_as_what_they_were() {
        for sent in [
            DbError::MissingCode { code_hash: B256::repeat_byte(7) },
            DbError::Ambiguous { address: Address::repeat_byte(1) },
            DbError::MissingBlockHash { number: u64::MAX },
            DbError::UnknownSnapshot { id: SnapshotId(77) },
            DbError::NoHistory { number: 1, floor: 2, head: 3 },
            DbError::NotNext { number: 5, head: 9 },
            DbError::Unsupported { backend: "a state".into(), action: "fly".into() },
            DbError::ReadOnly { path: "net:here:1".into() },
        ] {
            let fault = carried(&status(&sent)).expect("details");
            assert_eq!(format!("{:?}", error(fault, "net:here:1")), format!("{sent:?}"));
        }
    }

    #[test]
    fn damage_says_where_and_others_say_what() {
        let sent = DbError::Corrupt { path: "./state".into(), what: "a bad record".to_owned() };
        let fault = carried(&status(&sent)).expect("details");
        assert_eq!(
            error(fault, "net:here:1").to_string(),
            "net:here:1, ./state: damaged: a bad record"
        );
        let sent = DbError::Locked { path: "./state".into() };
        let fault = carried(&status(&sent)).expect("details");
        let arrived = error(fault, "net:here:1").to_string();
        assert_eq!(arrived, "net:here:1: ./state: in use by another process");
    }

    #[test]
    fn a_broken_connection_carries_no_fault() {
        assert!(carried(&Status::unavailable("gone")).is_none());
    }

    proptest! {
        #[test]
        fn any_details_are_read_without_panic(bytes in collection::vec(any::<u8>(), 0..80)) {
            let status = Status::with_details(Code::Internal, "", bytes.into());
            if let Some(fault) = carried(&status) {
                let _ = error(fault, "net:here:1").to_string();
            }
        }
    }
}

//! JSON-RPC 2.0 as bytes: a request of one or more calls, and what comes back.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{
    Answer, Call, CallError,
    fault::{Fault, Remedy, remedy},
};

/// Longest message of a node that is passed on.
const MESSAGE_CHARS_MAX: usize = 200;

/// The body of a request. The first call has the id `first`, the others those that follow. A lone
/// call is no batch: there are nodes that take none.
pub(super) fn encode(calls: &[&Call], first: u64) -> String {
    let one = |(call, id): (&&Call, u64)| {
        let Call { method, params } = call;
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
    };
    let calls: Vec<_> = calls.iter().zip(first..).map(one).collect();
    match calls.as_slice() {
        [call] => call.clone(),
        _ => format!("[{}]", calls.join(",")),
    }
}

/// The answers to the `count` calls of a request, in order. `None` where one is left out.
pub(super) fn decode(body: &[u8], first: u64, count: usize) -> Result<Vec<Option<Answer>>, Fault> {
    let garbage = |what: String| Fault::Broken(format!("not an answer of JSON-RPC: {what}"));
    let is_list = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let replies: Vec<Reply<'_>> = match is_list {
        true => serde_json::from_slice(body).map_err(|error| garbage(error.to_string()))?,
        false => {
            let reply: Reply<'_> =
                serde_json::from_slice(body).map_err(|error| garbage(error.to_string()))?;
            if let (None | Some(None), Some(error)) = (&reply.id, &reply.error) {
                return Err(of_the_whole(error.call_error()));
            }
            // An error that answers the first of many is about all of them.
            if let (true, Some(error)) = (count > 1, &reply.error) {
                return Err(of_the_whole(error.call_error()));
            }
            vec![reply]
        }
    };
    let mut answers = BTreeMap::new();
    for reply in replies {
        let id = match reply.id {
            Some(Some(id)) => id,
            // An item that the node could not even tell apart.
            _ if reply.error.is_some() => continue,
            _ => return Err(garbage("an answer without an id".to_owned())),
        };
        let index = id.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        let Some(index) = index.filter(|index| *index < count) else {
            return Err(garbage(format!("an answer to call {id}, which was not made")));
        };
        let answer = match (reply.result, reply.error) {
            (_, Some(error)) => Err(error.call_error()),
            (Some(result), None) => Ok(result.to_owned()),
            (None, None) => return Err(garbage(format!("neither result nor error of call {id}"))),
        };
        if answers.insert(index, answer).is_some() {
            return Err(garbage(format!("two answers to call {id}")));
        }
    }
    Ok((0..count).map(|index| answers.remove(&index)).collect())
}

/// An error about a request as a whole.
fn of_the_whole(error: CallError) -> Fault {
    match remedy(&error) {
        Remedy::Wait => Fault::Throttled(error.to_string(), None),
        Remedy::Retry => Fault::Broken(error.to_string()),
        Remedy::None => Fault::Refused(error.to_string()),
    }
}

#[derive(Deserialize)]
struct Reply<'a> {
    /// Absent, null or a number.
    #[serde(default, deserialize_with = "present")]
    id: Option<Option<u64>>,
    /// Absent or anything, null included.
    #[serde(default, borrow, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<ReplyError>,
}

#[derive(Deserialize)]
struct ReplyError {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

impl ReplyError {
    fn call_error(&self) -> CallError {
        let plain = self.message.chars().filter(|c| !c.is_control());
        CallError { code: self.code, message: plain.take(MESSAGE_CHARS_MAX).collect() }
    }
}

/// Whatever is there, also null, is something.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(input).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &'static str) -> Call {
        Call::new(method, &["1", "\"a\""])
    }

    fn decoded(body: &str, count: usize) -> Result<Vec<Option<Result<String, i64>>>, Fault> {
        let answers = decode(body.as_bytes(), 5, count)?;
        let plain = |answer: Answer| {
            answer.map(|result| result.get().to_owned()).map_err(|error| error.code)
        };
        Ok(answers.into_iter().map(|answer| answer.map(plain)).collect())
    }

    #[test]
    fn a_lone_call_is_no_batch() {
        let (a, b) = (call("a"), call("b"));
        assert_eq!(encode(&[&a], 7), r#"{"jsonrpc":"2.0","id":7,"method":"a","params":[1,"a"]}"#);
        let batch = encode(&[&a, &b], 7);
        assert!(batch.starts_with('[') && batch.contains(r#""id":8,"method":"b""#), "{batch}");
    }

    #[test]
    fn answers_are_sorted_by_id() {
        let body = r#" [{"id":6,"result":null},{"id":5,"error":{"code":-1,"message":"x"}}]"#;
        assert_eq!(decoded(body, 3), Ok(vec![Some(Err(-1)), Some(Ok("null".to_owned())), None]));
        assert_eq!(
            decoded(r#"{"id":5,"result":"0x1"}"#, 1),
            Ok(vec![Some(Ok("\"0x1\"".to_owned()))])
        );
        assert_eq!(decoded(r#"{"id":5,"error":{"code":7}}"#, 1), Ok(vec![Some(Err(7))]));
    }

    #[test]
    fn an_error_about_the_batch_is_about_all_of_it() {
        for (body, expected) in [
            (r#"{"id":null,"error":{"code":-32600,"message":"batches"}}"#, "Refused"),
            (r#"{"error":{"code":-32005,"message":"slow"}}"#, "Throttled"),
            (r#"{"id":5,"error":{"code":-32603,"message":"oops"}}"#, "Broken"),
        ] {
            let fault = decoded(body, 2).unwrap_err();
            assert!(format!("{fault:?}").starts_with(expected), "{fault:?}");
        }
    }

    #[test]
    fn garbage_is_no_answer() {
        for body in [
            "",
            "<html>",
            "[{\"id\":5,\"result\":",
            "[1]",
            "{}",
            r#"{"id":5}"#,
            r#"{"id":"5","result":1}"#,
            r#"{"id":4,"result":1}"#,
            r#"{"id":7,"result":1}"#,
            r#"[{"id":5,"result":1},{"id":5,"result":2}]"#,
            r#"{"id":99999999999999999999,"result":1}"#,
        ] {
            assert!(matches!(decoded(body, 2), Err(Fault::Broken(_))), "{body}");
        }
    }

    #[test]
    fn messages_are_one_line_of_bounded_length() {
        let long = "x".repeat(5000);
        let body = format!(r#"{{"id":5,"error":{{"code":1,"message":"a\n{long}"}}}}"#);
        let answer = decode(body.as_bytes(), 5, 1).unwrap().remove(0).unwrap();
        let message = answer.unwrap_err().message;
        assert!(message.starts_with("axx") && message.len() == MESSAGE_CHARS_MAX, "{message}");
    }
}

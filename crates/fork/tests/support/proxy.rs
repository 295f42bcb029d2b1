//! An HTTP proxy in front of a node that does what networks and providers do on bad days.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// What happens to a request.
#[derive(Clone)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// It takes so long.
    Delay(Duration),
    /// The connection ends without an answer.
    Drop,
    /// No answer until the proxy is calm again, and then the connection ends.
    Hang,
    /// No answer until the proxy is dropped, whatever becomes of other requests.
    Stick,
    /// 429, with `Retry-After` in seconds if there are any.
    Limit(Option<u64>),
    /// A status without more.
    Status(u16),
    /// The answer ends half-way.
    Truncate,
    /// Bytes in the middle of the answer are others.
    Corrupt,
    /// An answer that is no JSON at all.
    Html,
    /// Of a batch, every item with an index that leaves this rest by three has this error; a lone
    /// call has it, too.
    Errors(usize, i64, &'static str),
    /// Calls with this in their method or parameters have an error of this code: a node that
    /// lacks something.
    Without(&'static str, i64),
    /// Every third item of a batch is left out.
    Omit,
    /// The items of a batch come in reverse order. That is allowed.
    Reverse,
    /// The answers have the ids of other calls.
    WrongIds,
    /// Batches of more than so many calls are refused, by an error object.
    BatchLimit(usize),
    /// Batches are refused with status 400.
    NoBatches,
    /// This, gzipped, in place of the answer.
    Gzip(Arc<[u8]>),
    /// Whatever this does to the answer to one call: method, parameters, result.
    Change(Arc<Change>),
}

/// Gets method and parameters of a call, and its result to change.
pub(crate) type Change = dyn Fn(&str, &Value, &mut Value) + Send + Sync;

/// The proxy. Requests after it was dropped end without an answer.
pub(crate) struct Proxy {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: Mutex<String>,
    next: Mutex<VecDeque<Trouble>>,
    always: Mutex<Trouble>,
    /// Wakes those who hang.
    woken: Condvar,
    requests: AtomicU64,
    calls: AtomicU64,
    in_flight: AtomicU64,
    most_in_flight: AtomicU64,
    headers: Mutex<Vec<String>>,
    ends: AtomicBool,
}

impl Proxy {
    pub(crate) fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream.to_owned()),
            next: Mutex::default(),
            always: Mutex::new(Trouble::None),
            woken: Condvar::new(),
            requests: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            most_in_flight: AtomicU64::new(0),
            headers: Mutex::default(),
            ends: AtomicBool::new(false),
        });
        let serving = shared.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if serving.ends.load(Ordering::Relaxed) {
                    break;
                }
                let shared = serving.clone();
                thread::spawn(move || while shared.serve(&connection).is_some() {});
            }
        });
        Self { url: format!("http://{address}"), shared }
    }

    /// Troubles of the next requests, in turn; after them it is as ever.
    pub(crate) fn next(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.shared.next.lock().unwrap().extend(troubles);
    }

    /// The trouble of all requests without one of their own.
    pub(crate) fn always(&self, trouble: Trouble) {
        self.shared.next.lock().unwrap().clear();
        *self.shared.always.lock().unwrap() = trouble;
        self.shared.woken.notify_all();
    }

    /// No trouble any more.
    pub(crate) fn calm(&self) {
        self.always(Trouble::None);
    }

    /// HTTP requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Calls in them.
    pub(crate) fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// Requests without an answer so far.
    pub(crate) fn in_flight(&self) -> u64 {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// The most requests there were at the same time.
    pub(crate) fn most_in_flight(&self) -> u64 {
        self.shared.most_in_flight.load(Ordering::Relaxed)
    }

    /// The headers of the last request, in lower case.
    pub(crate) fn headers(&self) -> Vec<String> {
        self.shared.headers.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        self.calm();
        // The listener waits for one more.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

impl Shared {
    /// One request; `None` when the connection is to end.
    fn serve(&self, connection: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(connection);
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => headers.push(line.to_ascii_lowercase()),
            }
        }
        let length = headers.iter().find_map(|line| line.strip_prefix("content-length:"));
        let mut body = vec![0; length?.trim().parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        *self.headers.lock().ok()? = headers;
        let request: Value = serde_json::from_slice(&body).ok()?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.calls.fetch_add(request.as_array().map_or(1, Vec::len) as u64, Ordering::Relaxed);
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_in_flight.fetch_max(now, Ordering::Relaxed);
        let own = self.next.lock().ok()?.pop_front();
        let trouble = own.unwrap_or_else(|| self.always.lock().unwrap().clone());
        let done = self.answer(connection, &request, &body, trouble);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        if done.is_none() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        done
    }

    fn answer(
        &self,
        connection: &TcpStream,
        request: &Value,
        body: &[u8],
        trouble: Trouble,
    ) -> Option<()> {
        let calls = request.as_array().map_or(1, Vec::len);
        match &trouble {
            Trouble::Delay(time) => thread::sleep(*time),
            Trouble::Drop => return None,
            Trouble::Hang => {
                let always = self.always.lock().ok()?;
                let hangs = |always: &mut Trouble| {
                    matches!(always, Trouble::Hang) && !self.ends.load(Ordering::Relaxed)
                };
                drop(self.woken.wait_while(always, hangs).ok()?);
                return None;
            }
            Trouble::Stick => {
                let always = self.always.lock().ok()?;
                let sticks = |_: &mut Trouble| !self.ends.load(Ordering::Relaxed);
                drop(self.woken.wait_while(always, sticks).ok()?);
                return None;
            }
            Trouble::Limit(None) => return respond(connection, 429, &[], b"slow down"),
            Trouble::Limit(Some(seconds)) => {
                let header = format!("Retry-After: {seconds}\r\n");
                return respond(connection, 429, header.as_bytes(), b"slow down");
            }
            Trouble::Status(status) => return respond(connection, *status, &[], b""),
            Trouble::Html => return respond(connection, 200, &[], b"<html>Bad gateway</html>"),
            Trouble::Gzip(body) => {
                let headers = b"Content-Encoding: gzip\r\nContent-Type: application/json\r\n";
                return respond(connection, 200, headers, body);
            }
            Trouble::BatchLimit(most) if calls > *most => {
                let error = json!({"code": -32600, "message": "batch too large"});
                let reply = json!({"jsonrpc": "2.0", "id": null, "error": error});
                return respond(connection, 200, &[], reply.to_string().as_bytes());
            }
            Trouble::NoBatches if request.is_array() => {
                return respond(connection, 400, &[], b"no batches");
            }
            _ => {}
        }
        let upstream = self.upstream.lock().ok()?.clone();
        let mut response =
            ureq::post(&upstream).header("Content-Type", "application/json").send(body).ok()?;
        let text = response.body_mut().with_config().limit(1 << 30).read_to_vec().ok()?;
        let text = changed(&trouble, request, text)?;
        match trouble {
            Trouble::Truncate => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
                let mut connection = connection;
                connection.write_all(head.as_bytes()).ok()?;
                connection.write_all(&text[..text.len() / 2]).ok()?;
                None
            }
            _ => respond(connection, 200, &[], &text),
        }
    }
}

/// What trouble makes of an answer.
fn changed(trouble: &Trouble, request: &Value, mut text: Vec<u8>) -> Option<Vec<u8>> {
    if let Trouble::Corrupt = trouble {
        let middle = text.len() / 2;
        text.get_mut(middle..middle + 1)?.fill(b'}');
        text.get_mut(..1)?.fill(b'}');
        return Some(text);
    }
    let mut answer: Value = serde_json::from_slice(&text).ok()?;
    match (trouble, &mut answer) {
        (Trouble::Errors(rest, code, message), answer) => {
            let error = |item: &mut Value| {
                let error = json!({"code": code, "message": message});
                *item = json!({"jsonrpc": "2.0", "id": item["id"], "error": error});
            };
            match answer {
                Value::Array(items) => {
                    items.iter_mut().skip(*rest % 3).step_by(3).for_each(error);
                }
                item => error(item),
            }
        }
        (Trouble::Omit, Value::Array(items)) => {
            let mut index = 0;
            items.retain(|_| {
                index += 1;
                index % 3 != 0
            });
        }
        (Trouble::Reverse, Value::Array(items)) => items.reverse(),
        (Trouble::WrongIds, Value::Array(items)) => {
            items.iter_mut().for_each(|item| item["id"] = json!(1_000_000_007));
        }
        (Trouble::WrongIds, item) => item["id"] = json!(1_000_000_007),
        (Trouble::Change(change), answer) => {
            each(request, answer, |call, item| {
                if item.get("result").is_some() {
                    change(call["method"].as_str()?, &call["params"], &mut item["result"]);
                }
                Some(())
            })?;
        }
        (Trouble::Without(what, code), answer) => {
            each(request, answer, |call, item| {
                if call.to_string().contains(what) {
                    let error = json!({"code": code, "message": format!("no {what}")});
                    *item = json!({"jsonrpc": "2.0", "id": item["id"], "error": error});
                }
                Some(())
            })?;
        }
        _ => return Some(text),
    }
    Some(answer.to_string().into_bytes())
}

/// Calls `change` with every call and its item of the answer.
fn each(
    request: &Value,
    answer: &mut Value,
    mut change: impl FnMut(&Value, &mut Value) -> Option<()>,
) -> Option<()> {
    let calls = request.as_array().cloned().unwrap_or_else(|| vec![request.clone()]);
    let items = match answer {
        Value::Array(items) => items.iter_mut().collect::<Vec<_>>(),
        item => vec![item],
    };
    for item in items {
        change(calls.iter().find(|call| call["id"] == item["id"])?, item)?;
    }
    Some(())
}

fn respond(mut connection: &TcpStream, status: u16, headers: &[u8], body: &[u8]) -> Option<()> {
    let head = format!("HTTP/1.1 {status} -\r\nContent-Length: {}\r\n", body.len());
    let kind = if body.starts_with(b"{") || body.starts_with(b"[") {
        "Content-Type: application/json\r\n"
    } else {
        ""
    };
    let whole = [head.as_bytes(), kind.as_bytes(), headers, b"\r\n", body].concat();
    connection.write_all(&whole).ok()
}

//! Calls in rounds: each round asks one endpoint for all that is still missing.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ureq::Agent;
use zvm_core::{B256, BlockId, DbError};
use zvm_state::{Endpoint, ForkConfig};

use crate::json;

use super::{
    Answer, Call, CallError, RpcError, Traffic,
    fault::{Fault, Remedy, remedy},
    flight::{Flights, Seat},
    http::{Target, agent},
    pace::{Pace, backoff},
    weather::Weather,
    wire,
};

/// How often one call of a batch is made again because of its own error.
const CALL_TRIES: u32 = 5;

/// No try is given less time than this, if there is that much.
const TRY_TIME_MIN: Duration = Duration::from_millis(250);

/// Most bytes of a request, unless a single call is longer.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// A client for one or more endpoints that serve the same chain.
pub(crate) struct Client {
    agent: Agent,
    endpoints: Vec<Peer>,
    /// The endpoint that answered last.
    current: AtomicUsize,
    /// How many calls go into a request; shrinks when a node takes fewer.
    batch: AtomicUsize,
    parallel: usize,
    timeout: Duration,
    retries: u32,
    next_id: AtomicU64,
    flights: Flights,
    traffic: Arc<Traffic>,
    expected: OnceLock<Expected>,
}

/// An endpoint, and what is known of it.
struct Peer {
    target: Target,
    pace: Pace,
    /// Whether it has been seen to serve what is expected. That it does not may be over soon: of the
    /// machines behind one address some lag behind.
    is_checked: AtomicBool,
}

/// What every endpoint must serve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) chain_id: u64,
    pub(crate) block: BlockId,
}

/// A call without an answer so far.
#[derive(Clone, Copy)]
struct Open {
    index: usize,
    /// How often it alone failed.
    tries: u32,
    /// How many endpoints refused it.
    refusals: usize,
}

/// What came of a request: an answer to each call that is not left out.
type Response = Result<Vec<Option<Answer>>, Fault>;

impl Client {
    /// A client of `first` and the other endpoints of `config`. Connects to nothing.
    pub(crate) fn new(first: &Endpoint, config: &ForkConfig) -> Result<Self, DbError> {
        let token = config.token.as_ref().map(|token| token.read("token")).transpose()?;
        let peer = |(index, endpoint): (usize, &Endpoint)| Peer {
            // A token is for one; it would tell the others more than they should know.
            target: Target::new(
                endpoint,
                token.as_ref().filter(|_| index == 0).map(|token| &***token),
            ),
            pace: Pace::new(config.rate),
            is_checked: AtomicBool::new(false),
        };
        Ok(Self {
            agent: agent(config)?,
            endpoints: [first].into_iter().chain(&config.endpoints).enumerate().map(peer).collect(),
            current: AtomicUsize::new(0),
            batch: AtomicUsize::new(config.batch.max(1) as usize),
            parallel: config.parallel.max(1) as usize,
            timeout: config.timeout,
            retries: config.retries,
            next_id: AtomicU64::new(1),
            flights: Flights::default(),
            traffic: Arc::default(),
            expected: OnceLock::new(),
        })
    }

    /// The counters.
    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Number of endpoints.
    pub(crate) fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    /// Scheme and host of the endpoint that is asked now.
    pub(crate) fn name(&self) -> String {
        let current = self.current.load(Ordering::Relaxed);
        self.endpoints.get(current).map(|peer| peer.target.name()).unwrap_or_default()
    }

    /// From now on every endpoint must serve this. The one that said so does.
    pub(crate) fn expect(&self, expected: Expected) {
        // Set once, when a node is opened.
        let _ = self.expected.set(expected);
        if let Some(peer) = self.endpoints.get(self.current.load(Ordering::Relaxed)) {
            peer.is_checked.store(true, Ordering::Relaxed);
        }
    }

    /// From now on every endpoint must serve this. None has been seen to.
    pub(crate) fn expect_of_all(&self, expected: Expected) {
        let _ = self.expected.set(expected);
    }

    /// Makes one call.
    pub(crate) fn call(&self, call: &Call) -> Result<Answer, RpcError> {
        let mut answers = self.batch(std::slice::from_ref(call))?;
        answers.pop().ok_or_else(|| self.error(self.name(), "no answer"))
    }

    /// Makes all `calls`, those that somebody is making already with them. One answer for each, in
    /// order.
    pub(crate) fn batch(&self, calls: &[Call]) -> Result<Vec<Answer>, RpcError> {
        let deadline = self.deadline();
        let mut answers: Vec<Option<Answer>> = vec![None; calls.len()];
        loop {
            let mut pilots = Vec::new();
            let mut passengers = Vec::new();
            for ((place, answer), call) in answers.iter().enumerate().zip(calls) {
                match answer.is_none().then(|| self.flights.board(call)) {
                    Some(Seat::Pilot(pilot)) => pilots.push((place, pilot)),
                    Some(Seat::Passenger(flight)) => passengers.push((place, flight)),
                    None => {}
                }
            }
            let own: Vec<_> = pilots.iter().filter_map(|(place, _)| calls.get(*place)).collect();
            match self.run(&own, deadline, None) {
                Ok(made) => {
                    for ((place, pilot), answer) in pilots.into_iter().zip(made) {
                        pilot.land(Ok(answer.clone()));
                        put(&mut answers, place, answer);
                    }
                }
                Err(error) => {
                    pilots.into_iter().for_each(|(_, pilot)| pilot.land(Err(error.clone())));
                    return Err(error);
                }
            }
            let mut are_all_here = true;
            for (place, flight) in passengers {
                match flight.wait(deadline) {
                    Some(outcome) => put(&mut answers, place, outcome?),
                    None => are_all_here = false,
                }
            }
            if are_all_here {
                break;
            }
            // What somebody else makes takes long, so it is one's own from now on.
            if Instant::now() >= deadline {
                return Err(self.error(self.name(), "no answer in time"));
            }
        }
        answers
            .into_iter()
            .collect::<Option<_>>()
            .ok_or_else(|| self.error(self.name(), "no answer"))
    }

    /// Makes one call of every endpoint.
    pub(crate) fn each(&self, call: &Call) -> Vec<Result<Answer, RpcError>> {
        let deadline = self.deadline();
        let one = |index| {
            let mut answers = self.run(&[call], deadline, Some(index))?;
            answers.pop().ok_or_else(|| self.error(self.name(), "no answer"))
        };
        (0..self.endpoints.len()).map(one).collect()
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        // A time-out beyond what can be counted is none.
        now.checked_add(self.timeout).unwrap_or(now + Duration::from_secs(1 << 30))
    }

    /// Makes calls until each has an answer or time is up; of endpoint `only`, or of any.
    fn run(
        &self,
        calls: &[&Call],
        deadline: Instant,
        only: Option<usize>,
    ) -> Result<Vec<Answer>, RpcError> {
        let mut answers: Vec<Option<Answer>> = vec![None; calls.len()];
        let mut open: Vec<Open> =
            (0..calls.len()).map(|index| Open { index, tries: 0, refusals: 0 }).collect();
        let mut rounds = 0;
        let mut turned = 0;
        // How many in turn would have nothing of this client.
        let mut denials = 0;
        while !open.is_empty() {
            let current = only.unwrap_or_else(|| self.current.load(Ordering::Relaxed));
            let Some(peer) = self.endpoints.get(current) else {
                return Err(self.error(self.name(), "no such endpoint"));
            };
            let others = if only.is_some() { 1 } else { self.endpoints.len() };
            let weather = match self.check(peer, deadline) {
                Ok(()) => self.round(peer, calls, &mut open, &mut answers, deadline, others),
                Err(fault) => Weather::of(&fault),
            };
            if open.is_empty() {
                break;
            }
            rounds += 1;
            self.traffic.count_retries(open.len());
            let what = weather.fault.as_ref().map_or("calls left out of the answer", Fault::what);
            let give_up = |why: &str| {
                Err(self.error(peer.target.name(), format!("{what}; {why} {rounds} tries")))
            };
            if rounds > self.retries {
                return give_up("given up after");
            }
            let mut needs_pause = weather.needs_pause;
            if weather.needs_other && others > 1 {
                turned += 1;
                let next = (current + 1) % self.endpoints.len();
                // Unless somebody else has turned already.
                let _ = self.current.compare_exchange(
                    current,
                    next,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                // There is no reason to let one wait for the faults of another.
                needs_pause &= turned % self.endpoints.len() == 0;
            } else if let Some(wait) = weather.wait
                && Instant::now().checked_add(wait).is_none_or(|until| until >= deadline)
            {
                let seconds = wait.as_secs();
                let what = format!("asks to wait {seconds} s, longer than there is time, after");
                return give_up(&what);
            }
            denials = if matches!(weather.fault, Some(Fault::Denied(_))) { denials + 1 } else { 0 };
            if denials >= others {
                return give_up("refused after");
            }
            let wait = if needs_pause { backoff(rounds) } else { Duration::ZERO };
            if Instant::now().checked_add(wait).is_none_or(|until| until >= deadline) {
                return give_up("out of time after");
            }
            thread::sleep(wait);
        }
        let all: Option<Vec<_>> = answers.into_iter().collect();
        all.ok_or_else(|| self.error(self.name(), "no answer"))
    }

    /// Asks `peer` once for all that is open, and keeps what it answers.
    fn round(
        &self,
        peer: &Peer,
        calls: &[&Call],
        open: &mut Vec<Open>,
        answers: &mut [Option<Answer>],
        deadline: Instant,
        others: usize,
    ) -> Weather {
        let chunks = self.chunks(calls, open);
        let mut weather = Weather::default();
        let mut left = Vec::new();
        for (chunk, outcome) in self.send_all(peer, calls, chunks, deadline) {
            let found = match outcome {
                Ok(found) => found,
                Err(fault) => {
                    self.shrink(&fault, chunk.len());
                    let is_alone = chunk.len() == 1;
                    for mut call in chunk {
                        if is_alone && matches!(fault, Fault::Refused(_) | Fault::TooLarge(_)) {
                            call.refusals += 1;
                        }
                        match call.refusals >= others {
                            // To the caller it is all one how a call is refused.
                            true => keep(answers, call, Err(CallError::of_http(fault.what()))),
                            false => left.push(call),
                        }
                    }
                    weather.take(fault, is_alone);
                    continue;
                }
            };
            for (mut call, answer) in chunk.into_iter().zip(found) {
                let fault = match answer {
                    Some(Err(error)) => {
                        let remedy = remedy(&error);
                        call.tries += u32::from(remedy == Remedy::Retry);
                        call.refusals += usize::from(remedy == Remedy::None);
                        if call.tries >= CALL_TRIES || call.refusals >= others {
                            keep(answers, call, Err(error));
                            continue;
                        }
                        match remedy {
                            Remedy::Wait => Fault::Throttled(error.to_string(), None),
                            Remedy::Retry => Fault::Broken(error.to_string()),
                            Remedy::None => Fault::Refused(error.to_string()),
                        }
                    }
                    Some(Ok(result)) => {
                        keep(answers, call, Ok(result));
                        continue;
                    }
                    None => Fault::Broken("a call left out of the answer".to_owned()),
                };
                left.push(call);
                weather.take(fault, true);
            }
        }
        *open = left;
        weather
    }

    /// Sends every chunk, several at a time.
    fn send_all(
        &self,
        peer: &Peer,
        calls: &[&Call],
        chunks: Vec<Vec<Open>>,
        deadline: Instant,
    ) -> Vec<(Vec<Open>, Response)> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some(chunk) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let calls: Vec<&Call> =
                    chunk.iter().filter_map(|open| calls.get(open.index).copied()).collect();
                done.push((chunk.clone(), self.send(peer, &calls, deadline)));
            }
            done
        };
        thread::scope(|scope| {
            let helpers = chunks.len().min(self.parallel).saturating_sub(1);
            // Where no thread is to be had, this one does all.
            let spawn = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
            let helpers: Vec<_> = (0..helpers).filter_map(spawn).collect();
            let mut done = work();
            done.extend(helpers.into_iter().filter_map(|helper| helper.join().ok()).flatten());
            done
        })
    }

    /// One request.
    fn send(&self, peer: &Peer, calls: &[&Call], deadline: Instant) -> Response {
        let now = Instant::now();
        let start = peer.pace.take(calls.len(), now);
        if let Some(start) = start {
            if start >= deadline {
                return Err(Fault::Broken("no call may be made before time is up".to_owned()));
            }
            thread::sleep(start.saturating_duration_since(now));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // A try that hangs leaves time for another.
        let timeout = (left / 2).max(TRY_TIME_MIN).min(left);
        if timeout.is_zero() {
            return Err(Fault::Broken("no answer in time".to_owned()));
        }
        let first = self.next_id.fetch_add(calls.len() as u64, Ordering::Relaxed);
        let body = wire::encode(calls, first);
        self.traffic.count_request(calls.len(), body.len());
        let response = peer.target.post(&self.agent, &body, timeout);
        if let Err(Fault::Throttled(_, Some(wait))) = &response
            && let Some(until) = Instant::now().checked_add(*wait)
            && until < deadline
        {
            peer.pace.hold(until);
        }
        let response = response?;
        self.traffic.count_response(response.len());
        wire::decode(&response, first, calls.len())
    }

    /// Splits what is open into requests.
    fn chunks(&self, calls: &[&Call], open: &[Open]) -> Vec<Vec<Open>> {
        let most = self.batch.load(Ordering::Relaxed).max(1);
        let mut chunks: Vec<Vec<Open>> = Vec::new();
        let mut bytes = 0;
        for one in open {
            let length = calls.get(one.index).map_or(0, |call| call.params.len() + 100);
            match chunks.last_mut() {
                Some(chunk) if chunk.len() < most && bytes + length <= REQUEST_BYTES_MAX => {
                    chunk.push(*one);
                    bytes += length;
                }
                _ => {
                    chunks.push(vec![*one]);
                    bytes = length;
                }
            }
        }
        chunks
    }

    /// Learns how many calls a node takes at a time.
    fn shrink(&self, fault: &Fault, calls: usize) {
        let fewer = match fault {
            Fault::TooLarge(_) => calls / 4,
            Fault::Refused(_) => calls / 10,
            _ => return,
        };
        self.batch.fetch_min(fewer.max(1), Ordering::Relaxed);
    }

    /// Checks, until it has been seen once, that an endpoint serves the chain and block that the others do.
    fn check(&self, peer: &Peer, deadline: Instant) -> Result<(), Fault> {
        let Some(expected) = self.expected.get() else { return Ok(()) };
        if peer.is_checked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let by_hash = format!("\"{}\"", expected.block.hash);
        let calls =
            [Call::new("eth_chainId", &[]), Call::new("eth_getBlockByHash", &[&by_hash, "false"])];
        let mut answers = Vec::new();
        // One by one: whether it takes batches is not known.
        for call in &calls {
            let answer = self.send(peer, &[call], deadline)?.pop().flatten();
            match answer {
                Some(Ok(result)) => answers.push(result),
                Some(Err(error)) => return Err(Fault::Broken(error.to_string())),
                None => return Err(Fault::Broken("a call left out of the answer".to_owned())),
            }
        }
        let chain_id = answers.first().and_then(|id| json::quantity(id).ok());
        let hash = answers.get(1).and_then(|block| block_hash(block.get()));
        if chain_id != Some(expected.chain_id) {
            let found = chain_id.map_or("no number".to_owned(), |id| id.to_string());
            let what = format!("serves chain {found}, expected {}", expected.chain_id);
            return Err(Fault::Denied(what));
        }
        if hash != Some(expected.block.hash) {
            let BlockId { number, hash } = expected.block;
            return Err(Fault::Denied(format!("has no block {number} of hash {hash}")));
        }
        peer.is_checked.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn error(&self, endpoint: String, what: impl Into<String>) -> RpcError {
        RpcError { endpoint, what: what.into() }
    }
}

fn keep(answers: &mut [Option<Answer>], call: Open, answer: Answer) {
    put(answers, call.index, answer);
}

fn put(answers: &mut [Option<Answer>], place: usize, answer: Answer) {
    if let Some(place) = answers.get_mut(place) {
        *place = Some(answer);
    }
}

fn block_hash(block: &str) -> Option<B256> {
    #[derive(serde::Deserialize)]
    struct Block {
        hash: B256,
    }
    serde_json::from_str::<Block>(block).ok().map(|block| block.hash)
}

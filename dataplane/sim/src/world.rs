//! The world: a queue of what happens when, one virtual shard, and clients that come, wait and leave.

use std::{cmp::Reverse, collections::BinaryHeap, rc::Rc};

use tollgate_engine::{
    Input, Local, Outputs, Tick,
    exchange::{ClientFault, Pinned, UpstreamFault},
    outputs::AttemptId,
};
use tollgate_wire::{
    head::{Method, ResponseHead, ResponseView},
    http1::read::{self, Limits},
};

use crate::{
    answer::{self, Dialled, Fate, Last},
    call::Call,
    connection::{Connection, Want},
    gateway,
    rng::Rng,
};

const MS: u64 = 1_000_000;
/// A history that has not ended by then is a livelock.
const MAX_STEPS: usize = 200_000;

/// What a history came to, for the test to see that the world is as varied as it claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub steps: usize,
    pub calls: usize,
    pub complete: usize,
    pub broken: usize,
    pub refused: usize,
    pub left: usize,
    pub retried: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Begin,
    Body,
    Connected(AttemptId),
    Failed(AttemptId, Fault),
    Head(AttemptId),
    /// The next piece of the answer, by number.
    Piece(AttemptId, usize),
    Timer,
    Leave,
    Bug,
}

/// `UpstreamFault` in a form that can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Resolve,
    Connect,
    Tls,
    Proxy,
    Stale,
    Closed,
    Cut,
    Bad,
}

/// When (nanoseconds), tie-breaker, connection, its request's number, what.
type Entry = Reverse<(u64, u64, usize, usize, Event)>;

struct World {
    rng: Rng,
    now: Tick,
    queue: BinaryHeap<Entry>,
    sequence: u64,
    connections: Vec<Connection>,
    /// Per connection: how many requests it has made, and how many it will make.
    made: Vec<(usize, usize)>,
    pinned: Rc<Pinned>,
    local: Local,
    out: Outputs,
    summary: Summary,
}

/// Runs a seed's history; panics at the first thing that must not happen.
pub fn run(seed: u64) -> Summary {
    let mut rng = Rng::new(seed);
    let count = rng.between(1, 8);
    let mut world = World {
        now: Tick(0),
        queue: BinaryHeap::new(),
        sequence: 0,
        connections: (0..count).map(|_| Connection::new(Call::new(&mut rng))).collect(),
        made: (0..count).map(|_| (0, rng.between(1, 4))).collect(),
        pinned: gateway::pinned(),
        local: Local {
            seed,
            ..Local::default()
        },
        out: Outputs::default(),
        summary: Summary::default(),
        rng,
    };
    for connection in 0..count {
        let at_ms = world.rng.below(50) as u64;
        world.schedule(connection, at_ms, Event::Begin);
    }
    while let Some(Reverse((at, _, connection, request, event))) = world.queue.pop() {
        world.now = Tick(at);
        world.summary.steps += 1;
        assert!(world.summary.steps < MAX_STEPS, "the history does not end");
        if request == world.made[connection].0 {
            world.happen(connection, event);
        }
    }
    for (connection, (made, planned)) in world.connections.iter().zip(&world.made) {
        assert_eq!(made, planned, "a connection is stuck");
        assert!(connection.received.last.is_some(), "an exchange never ended");
    }
    world.summary
}

impl World {
    fn schedule(&mut self, connection: usize, after_ms: u64, event: Event) {
        // Fractions of a millisecond decide what comes first, differently in every history.
        let jitter = self.rng.below(1_000_000) as u64;
        self.schedule_at(connection, self.now.0 + after_ms * MS + jitter, event);
    }

    fn schedule_at(&mut self, connection: usize, at: u64, event: Event) {
        self.sequence += 1;
        let request = self.made[connection].0;
        self.queue
            .push(Reverse((at, self.sequence, connection, request, event)));
    }

    fn happen(&mut self, index: usize, event: Event) {
        let over = self.connections[index].received.last.is_some();
        let is_live = |id: AttemptId| self.connections[index].upstream.is_some_and(|up| up.id == id);
        match event {
            Event::Begin => return self.begin(index),
            // The shell feeds nothing to an exchange that is over, nor of an attempt that was abandoned.
            _ if over => return,
            Event::Connected(id) | Event::Failed(id, _) | Event::Head(id) | Event::Piece(id, _) if !is_live(id) => {
                return;
            }
            _ => {}
        }
        match event {
            Event::Begin => {}
            Event::Body => self.body(index),
            Event::Connected(id) => {
                self.connections[index].upstream.as_mut().expect("it is live").connected = true;
                self.feed(index, Input::Connected(id));
            }
            Event::Failed(id, fault) => self.fail(index, id, fault.upstream()),
            Event::Head(id) => self.answer_head(index, id),
            Event::Piece(id, number) => self.piece(index, id, number),
            Event::Timer => self.feed(index, Input::Timer),
            Event::Leave => {
                self.connections[index].left = true;
                self.feed(index, Input::ClientGone);
            }
            Event::Bug => {
                self.connections[index].bug = true;
                self.feed(index, Input::Internal("simulated"));
            }
        }
    }

    fn begin(&mut self, index: usize) {
        let call = Call::new(&mut self.rng);
        let leaves_after_ms = call.leaves_after_ms;
        self.made[index].0 += 1;
        self.summary.calls += 1;
        self.connections[index].begin(call, self.pinned.clone(), self.now);
        if let Some(after_ms) = leaves_after_ms {
            self.schedule(index, after_ms, Event::Leave);
        }
        if self.rng.percent(2) {
            let after_ms = self.rng.below(500) as u64;
            self.schedule(index, after_ms, Event::Bug);
        }
        self.feed(index, Input::Head);
    }

    fn body(&mut self, index: usize) {
        if self.connections[index].call.body_fails {
            return self.feed(index, Input::ClientFault(ClientFault::Timeout));
        }
        self.connections[index].body_whole = true;
        self.feed(index, Input::Body);
    }

    fn fail(&mut self, index: usize, id: AttemptId, fault: UpstreamFault) {
        self.connections[index].upstream = None;
        self.feed(index, Input::UpstreamFailed(id, fault));
    }

    fn answer_head(&mut self, index: usize, id: AttemptId) {
        let answer = self.connections[index].answer.as_ref().expect("an answer was planned");
        let buf = answer.head.clone();
        let mut head = ResponseHead::default();
        read::response(&buf, Method::Post, &Limits::default(), &mut head).expect("a valid head");
        self.feed(index, Input::UpstreamHead(id, ResponseView { head: &head, buf: &buf }));
        // The engine may have abandoned the attempt for its status.
        if self.connections[index].upstream.is_some_and(|up| up.id == id) {
            self.schedule_piece(index, id, 0);
        }
    }

    fn schedule_piece(&mut self, index: usize, id: AttemptId, number: usize) {
        let answer = self.connections[index].answer.as_ref().expect("an answer was planned");
        let delay_ms = answer.pieces.get(number).map_or(0, |(delay_ms, _)| *delay_ms);
        if number < answer.pieces.len() || answer.last != Last::Stalls {
            self.schedule(index, delay_ms, Event::Piece(id, number));
        }
    }

    fn piece(&mut self, index: usize, id: AttemptId, number: usize) {
        let connection = &mut self.connections[index];
        let answer = connection.answer.as_ref().expect("an answer was planned");
        match (answer.pieces.get(number), answer.last) {
            (Some(&(_, end)), _) => {
                let bytes = answer.full[connection.passed..end].to_vec();
                connection.passed = end;
                self.feed(index, Input::UpstreamBody(id, &bytes));
                self.schedule_piece(index, id, number + 1);
            }
            (None, Last::Whole) => {
                connection.whole = true;
                connection.upstream = None;
                self.feed(index, Input::UpstreamEnd(id));
            }
            (None, Last::Breaks(fault)) => self.fail(index, id, fault),
            (None, Last::Stalls) => {}
        }
    }

    fn feed(&mut self, index: usize, input: Input<'_>) {
        let is_timer = matches!(input, Input::Timer);
        let connection = &mut self.connections[index];
        let due = connection.exchange.deadline().filter(|_| is_timer);
        let wants = connection.feed(input, self.now, &mut self.local, &mut self.out, &self.pinned);
        let next = connection.exchange.deadline();
        if due.is_some_and(|due| due <= self.now) {
            assert!(
                next.is_none_or(|next| next > self.now),
                "a deadline came and was not acted on"
            );
        }
        if let Some(next) = next {
            // A timer wheel is coarse: late by a little, now and then early.
            let early = self.rng.percent(5);
            let off = self.rng.below(5_000_000) as u64;
            let at = if early {
                next.0.saturating_sub(off).max(self.now.0 + 1)
            } else {
                next.0 + off
            };
            self.schedule_at(index, at, Event::Timer);
        }
        for want in wants {
            self.grant(index, want);
        }
    }

    fn grant(&mut self, index: usize, want: Want) {
        match want {
            Want::Body => {
                let after_ms = self.connections[index].call.body_delay_ms;
                self.schedule(index, after_ms, Event::Body);
            }
            Want::Dial { attempt } => {
                self.connections[index].answer = None;
                let fresh = self.connections[index].fresh;
                match answer::dial(&mut self.rng, fresh) {
                    Dialled::Stands { after_ms } => self.schedule(index, after_ms, Event::Connected(attempt)),
                    Dialled::Fails { after_ms, fault } => {
                        self.schedule(index, after_ms, Event::Failed(attempt, Fault::of(fault)));
                    }
                    Dialled::Hangs => {}
                }
            }
            Want::Answer { attempt } => self.plan_answer(index, attempt),
            Want::Over => self.over(index),
        }
    }

    fn plan_answer(&mut self, index: usize, attempt: AttemptId) {
        let connection = &mut self.connections[index];
        let may_ask = self.pinned.snapshot.document.providers[connection.provider]
            .1
            .may_ask_stream_usage;
        let usage_added = connection.call.usage_added(may_ask);
        match answer::fate(&mut self.rng, &connection.call, usage_added, connection.fresh) {
            Fate::Silent => {}
            Fate::Fails { after_ms, fault } => {
                self.schedule(index, after_ms, Event::Failed(attempt, Fault::of(fault)));
            }
            Fate::Answers(answer) => {
                let after_ms = answer.head_after_ms;
                connection.answer = Some(answer);
                connection.passed = 0;
                self.schedule(index, after_ms, Event::Head(attempt));
            }
        }
    }

    fn over(&mut self, index: usize) {
        let record = self.connections[index].exchange.record();
        self.summary.retried += usize::from(record.attempts > 1);
        match (self.connections[index].left, record.rejected, record.outcome) {
            (true, _, _) => self.summary.left += 1,
            (_, Some(_), _) => self.summary.refused += 1,
            (_, None, tollgate_engine::record::Outcome::Complete) => self.summary.complete += 1,
            _ => self.summary.broken += 1,
        }
        let (made, planned) = self.made[index];
        if made < planned {
            if self.rng.percent(30) {
                self.connections[index].exchange.rest();
            }
            let after_ms = self.rng.below(100) as u64;
            self.schedule(index, after_ms, Event::Begin);
        }
    }
}

impl Fault {
    fn of(fault: UpstreamFault) -> Fault {
        match fault {
            UpstreamFault::Resolve => Fault::Resolve,
            UpstreamFault::Connect => Fault::Connect,
            UpstreamFault::Tls(_) => Fault::Tls,
            UpstreamFault::Proxy(_) => Fault::Proxy,
            UpstreamFault::Closed { reused: true } => Fault::Stale,
            UpstreamFault::Closed { reused: false } => Fault::Closed,
            UpstreamFault::Cut => Fault::Cut,
            UpstreamFault::BadAnswer(_) => Fault::Bad,
        }
    }

    fn upstream(self) -> UpstreamFault {
        match self {
            Fault::Resolve => UpstreamFault::Resolve,
            Fault::Connect => UpstreamFault::Connect,
            Fault::Tls => UpstreamFault::Tls("simulated"),
            Fault::Proxy => UpstreamFault::Proxy(403),
            Fault::Stale => UpstreamFault::Closed { reused: true },
            Fault::Closed => UpstreamFault::Closed { reused: false },
            Fault::Cut => UpstreamFault::Cut,
            Fault::Bad => UpstreamFault::BadAnswer("simulated"),
        }
    }
}

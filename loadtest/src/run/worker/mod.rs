//! A thread of the generator: one loop over its own connections, its own source of requests and its own counts.
//!
//! In open loop a request that is due goes to an idle connection, else to a new one, else it waits; its latency counts
//! from when it was due, whatever kept it. In closed loop every connection sends its next request after the answer.

mod connection;
mod exchange;

use std::{
    collections::VecDeque,
    io,
    iter::Peekable,
    num::NonZeroU64,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    time::Duration,
};

use super::{
    Load, Spec,
    answer::Shared,
    tally::{Second, Tally},
};
use crate::{
    mix::{ComposeFor, Composer, schedule::Due},
    net::{
        clock::now_ns,
        poll::{Poller, Ready},
        timers::Timers,
    },
};
use connection::{Connection, NEVER, Phase};

/// Longest sleep: how soon a thread notices that it is to stop.
const NAP_NS: u64 = 100_000_000;
/// Requests sent between two looks at the sockets: answers must not wait while a burst goes out.
const DUE_A_TURN: usize = 64;
/// Requests of a thread that wait for a connection; when more are due, the oldest has failed.
const WAITING_MOST: usize = 1 << 20;
/// Connections of a thread being made at once in closed loop: more would overflow the target's queue.
const CONNECTING_MOST: usize = 256;
/// A wait that took longer has slept: what it tells of has only just happened.
const SLEPT_NS: u64 = 5_000;
const READ_BYTES: usize = 64 << 10;
const SECOND_NS: u64 = 1_000_000_000;

/// The times of a run, on the machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub start_ns: u64,
    /// Warm-up is over.
    pub count_from_ns: u64,
    /// Nothing is sent from here on.
    pub end_ns: u64,
}

/// What a thread tells while it runs.
pub enum Message {
    /// A second since counting began is over for this thread.
    Second(u64, Box<Second>),
    /// No more seconds will come from one thread; its last one was before this.
    Ended(u64),
}

/// What a thread leaves behind.
pub struct Finished {
    pub tally: Tally,
    /// CPU time used while it counted, and the time that took.
    pub cpu_ns: u64,
    pub wall_ns: u64,
}

pub struct Worker<'a> {
    spec: &'a Spec,
    plan: Plan,
    poller: Poller,
    timers: Timers,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    vacant: Vec<usize>,
    composer: Composer,
    due: Option<Peekable<Due>>,
    /// When requests were due that wait for a connection.
    waiting: VecDeque<u64>,
    /// Connections with a request.
    in_flight: usize,
    connecting: usize,
    tally: Tally,
    shared: Shared,
    /// Some answer had the sandbox's checksum: the threads' common knowledge.
    is_sandbox: &'a AtomicBool,
    /// Room for what is composed and for what is read.
    out: Vec<u8>,
    scratch: Vec<u8>,
    /// Since when what is now read may have waited here.
    arrived_ns: u64,
    seconds: u64,
    /// Answers until then make the rate, for each class: from its first one on, for as long as requests were sent. So
    /// an answer's own length does not count against it, nor a backlog for it.
    rate_until_ns: Vec<Option<u64>>,
    /// CPU time when counting began and ended.
    cpu_from_ns: Option<u64>,
    cpu_end_ns: Option<u64>,
}

impl<'a> Worker<'a> {
    pub fn new(spec: &'a Spec, plan: Plan, is_sandbox: &'a AtomicBool, index: usize) -> io::Result<Self> {
        let connections = spec.connections / spec.threads + usize::from(index < spec.connections % spec.threads);
        let target = ComposeFor {
            host: spec.target.url.host.clone(),
            base_path: spec.base_path.clone(),
            key: spec.key.clone(),
            close: !spec.keep_alive,
        };
        let due = match &spec.load {
            Load::Open(schedule) => Some(schedule.share(index, spec.threads, spec.seed).peekable()),
            Load::Closed => None,
        };
        Ok(Self {
            spec,
            plan,
            poller: Poller::new()?,
            timers: Timers::default(),
            connections: (0..connections).map(|_| Connection::vacant()).collect(),
            idle: Vec::with_capacity(connections),
            vacant: (0..connections).rev().collect(),
            composer: Composer::new(spec.mix.clone(), &target, spec.seed, index, spec.threads),
            due,
            waiting: VecDeque::new(),
            in_flight: 0,
            connecting: 0,
            tally: Tally::new(spec.mix.classes.len()),
            shared: Shared::new(),
            is_sandbox,
            out: Vec::with_capacity(READ_BYTES),
            scratch: Vec::with_capacity(READ_BYTES),
            arrived_ns: 0,
            seconds: 0,
            rate_until_ns: vec![None; spec.mix.classes.len()],
            cpu_from_ns: None,
            cpu_end_ns: None,
        })
    }

    /// Works until everything is sent and answered, or `stop` is set.
    pub fn run(mut self, stop: &AtomicBool, told: &Sender<Message>) -> io::Result<Finished> {
        // Sleeps end within a microsecond instead of 50; a kernel that refuses makes it later, which is measured.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let mut ready: Vec<Ready> = Vec::new();
        let mut busy_from_ns = now_ns();
        loop {
            let now = now_ns();
            self.keep_time(now, told);
            if stop.load(Ordering::Relaxed)
                || (now >= self.plan.end_ns && self.in_flight == 0 && self.waiting.is_empty())
            {
                break;
            }
            self.fire_timers(now);
            self.send_what_is_due(now);
            let wait_from_ns = now_ns();
            let nap = self.nap(wait_from_ns);
            ready.extend(self.poller.wait(Some(nap))?);
            let woken_ns = now_ns();
            self.arrived_ns = match woken_ns - wait_from_ns > SLEPT_NS {
                true => woken_ns,
                // It may have come at any time of the last turn: half a turn ago, in the mean.
                false => wait_from_ns - (wait_from_ns - busy_from_ns) / 2,
            };
            busy_from_ns = woken_ns;
            for ready in ready.drain(..) {
                self.event(ready);
            }
        }
        Ok(self.finish(told))
    }

    fn finish(mut self, told: &Sender<Message>) -> Finished {
        let now = now_ns();
        // An end before its time: what was due and still waited is not made to vanish.
        while let Some(due_ns) = self.waiting.pop_front() {
            self.sent_or_due(due_ns);
        }
        self.keep_time(now, told);
        self.publish(told);
        // Whoever listened may be gone.
        let _ = told.send(Message::Ended(self.seconds));
        let cpu_ns = match self.cpu_from_ns {
            Some(from) => self.cpu_end_ns.unwrap_or_else(thread_cpu_ns).saturating_sub(from),
            None => 0,
        };
        Finished {
            tally: self.tally,
            cpu_ns,
            wall_ns: now.min(self.plan.end_ns).saturating_sub(self.plan.count_from_ns),
        }
    }

    /// Seconds given away, CPU time read where counting begins and ends.
    fn keep_time(&mut self, now: u64, told: &Sender<Message>) {
        if self.cpu_from_ns.is_none() && now >= self.plan.count_from_ns {
            self.cpu_from_ns = Some(thread_cpu_ns());
        }
        if self.cpu_end_ns.is_none() && now >= self.plan.end_ns {
            self.cpu_end_ns = Some(thread_cpu_ns());
        }
        while now >= self.second_end_ns() {
            self.publish(told);
        }
    }

    fn second_end_ns(&self) -> u64 {
        self.plan.count_from_ns + (self.seconds + 1) * SECOND_NS
    }

    fn publish(&mut self, told: &Sender<Message>) {
        let second = std::mem::replace(&mut self.tally.second, Second::new());
        // Whoever listened may be gone.
        let _ = told.send(Message::Second(self.seconds, Box::new(second)));
        self.seconds += 1;
    }

    fn nap(&mut self, now: u64) -> Duration {
        let mut until = (now + NAP_NS).min(self.second_end_ns());
        if now < self.plan.start_ns {
            until = until.min(self.plan.start_ns);
        }
        until = until.min(self.timers.next_ns().unwrap_or(NEVER));
        if let Some(due) = self.next_due_ns() {
            until = until.min(due);
        }
        Duration::from_nanos(until.saturating_sub(now))
    }

    /// When the next request is due that is not yet; none is after the end.
    fn next_due_ns(&mut self) -> Option<u64> {
        let due = self.plan.start_ns.saturating_add(*self.due.as_mut()?.peek()?);
        (due < self.plan.end_ns).then_some(due)
    }

    fn fire_timers(&mut self, now: u64) {
        while let Some(slot) = self.timers.expired(now) {
            let slot = slot as usize;
            if self.connections[slot].timer_ns <= now {
                self.connections[slot].timer_ns = NEVER;
            }
            if self.connections[slot].wants_ns() <= now {
                self.wake(slot, now);
            }
            self.arm(slot);
        }
    }

    /// Sees to it that the connection is woken when it wants to. Timers are never taken back: one that finds nothing
    /// to do sets the next.
    fn arm(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        let wants_ns = connection.wants_ns();
        if wants_ns < connection.timer_ns {
            connection.timer_ns = wants_ns;
            self.timers.arm(wants_ns, slot as u64);
        }
    }

    fn send_what_is_due(&mut self, now: u64) {
        if self.due.is_none() {
            return self.open_closed_loop(now);
        }
        self.give_up_waiting(now);
        self.serve_waiting(now);
        let mut now = now;
        for _ in 0..DUE_A_TURN {
            let Some(due_ns) = self.next_due_ns().filter(|due_ns| *due_ns <= now) else {
                return;
            };
            if let Some(due) = self.due.as_mut() {
                due.next();
            }
            if due_ns >= self.plan.count_from_ns {
                self.tally.late_send.saturating_record(now - due_ns);
            }
            self.waiting.push_back(due_ns);
            self.serve_waiting(now);
            if self.waiting.len() > WAITING_MOST
                && let Some(oldest) = self.waiting.pop_front()
            {
                self.never_sent(oldest);
            }
            now = now_ns();
        }
    }

    /// Requests that waited for a connection until their time was over.
    fn give_up_waiting(&mut self, now: u64) {
        while let Some(due_ns) = self
            .waiting
            .pop_front_if(|due_ns| *due_ns + self.spec.timeout_ns <= now)
        {
            self.never_sent(due_ns);
        }
    }

    fn serve_waiting(&mut self, now: u64) {
        while !self.waiting.is_empty() {
            let Some(slot) = self.idle.pop().or_else(|| self.vacant.pop()) else {
                return;
            };
            if let Some(due_ns) = self.waiting.pop_front() {
                self.begin(slot, due_ns, now);
            }
        }
    }

    /// Closed loop: every connection is opened at the beginning, some at a time.
    fn open_closed_loop(&mut self, now: u64) {
        while now >= self.plan.start_ns && now < self.plan.end_ns && self.connecting < CONNECTING_MOST {
            let Some(slot) = self.vacant.pop() else { return };
            self.begin(slot, now, now);
        }
    }

    /// The connection waits for a request; in the list, so that it can be found and taken out at once.
    fn now_idle(&mut self, slot: usize) {
        self.connections[slot].phase = Phase::Idle;
        self.connections[slot].idle_at = self.idle.len();
        self.idle.push(slot);
    }

    fn no_longer_idle(&mut self, slot: usize) {
        let at = self.connections[slot].idle_at;
        self.idle.swap_remove(at);
        if let Some(moved) = self.idle.get(at) {
            self.connections[*moved].idle_at = at;
        }
    }
}

fn thread_cpu_ns() -> u64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    used.tv_sec as u64 * SECOND_NS + used.tv_nsec as u64
}

//! One shard: a core, a ring, and everything its connections need. One turn = one system call: submit what was queued,
//! sleep until something happened, handle all of it, write what came of it.

mod checks;
pub mod clock;
mod detached;
pub mod drive;
mod durable;
mod embedding;
mod hedges;
mod inbox;
mod revision;
pub mod slab;

use std::{collections::VecDeque, io, os::fd::AsRawFd, panic::AssertUnwindSafe, rc::Rc, sync::Arc};

use crossbeam_channel::Sender;
use glommio::{LocalExecutorBuilder, Placement};
use tollgate_engine::{Local, Outputs, Tick, limits::LocalLimits};

use crate::{
    access_log,
    downstream::{Active, Down},
    listener::Listeners,
    messages::{Prepared, ShardSetup},
    metrics::ShardMetrics,
    spool::Spool,
    sys::{Event, Message, Ring, Token, memory},
    timers::Wheel,
    upstream::{Up, names::Names, pool::Pools},
};
use checks::Checks;
use clock::Clock;
use detached::Detached;
use revision::Running;
use slab::{Id, Slab};

/// Kinds of owner in a ring token.
pub const LISTENER: u8 = 0;
pub const DOWN: u8 = 1;
pub const UP: u8 = 2;

/// What the timer wheel fires.
#[derive(Clone, Copy, Debug)]
pub enum Timer {
    Down(Id),
    Up(Id),
    Detached(Id),
    /// A provider is to be looked at.
    Check {
        generation: u32,
        place: usize,
    },
    /// What became of hedges is told.
    Hedges,
    /// Accepting is tried again after descriptors had run out.
    Accept,
    /// Memory of large buffers goes back to the system.
    Trim,
}

/// Buffers kept for reuse.
const SPARE_BUFFERS: usize = 64;
/// glommio registers this much memory for its own file I/O; its default of 10 MiB would exceed an 8 MiB memlock limit.
const GLOMMIO_IO_MEMORY_BYTES: usize = 64 * 1024;

pub struct Shard {
    pub id: u16,
    pub setup: ShardSetup,
    pub ring: Ring,
    pub clock: Clock,
    pub wheel: Wheel<Timer>,
    pub downs: Slab<Down>,
    pub ups: Slab<Up>,
    pub detached: Slab<Detached>,
    /// Copies of calls that begin when this turn has written all else.
    detached_due: Vec<Id>,
    checks: Checks,
    telling_hedges: bool,
    pub pools: Pools,
    pub names: Names,
    pub listeners: Listeners,
    pub running: Option<Rc<Running>>,
    pub prepared: Option<Arc<Prepared>>,
    pub local: Local,
    pub out: Outputs,
    pub metrics: ShardMetrics,
    pub log: access_log::Log,
    pub spool: Spool,
    /// Connections whose records are not on the disk yet, each once or more.
    pub held: Vec<Id>,
    pub ready: bool,
    pub draining: Option<Sender<u16>>,
    trimming: bool,
    pub stopped: bool,
    /// Connections with something to write, or whose end has come, looked at once per turn.
    pub dirty_downs: Vec<Id>,
    pub dirty_ups: Vec<Id>,
    /// Connections whose next request has come already.
    pub pipelined: Vec<Id>,
    pub followups: VecDeque<drive::Followup>,
    /// Connections whose exchanges waited for their turn, and have it.
    pub turns: VecDeque<Id>,
    pub spare_buffers: Vec<Vec<u8>>,
    #[expect(clippy::vec_box)]
    pub spare_actives: Vec<Box<Active>>,
    fired: Vec<Timer>,
}

/// Runs a shard on its core until it is told to stop. An error means it never started.
pub fn run(setup: ShardSetup) -> Result<(), String> {
    let executor = LocalExecutorBuilder::new(Placement::Fixed(setup.cpu))
        .name(&format!("shard-{}", setup.id))
        .io_memory(GLOMMIO_IO_MEMORY_BYTES)
        .make()
        .map_err(|error| {
            format!(
                "shard {}: cannot start its executor on core {}: {error}",
                setup.id, setup.cpu
            )
        })?;
    executor.run(async move {
        let id = setup.id;
        let mut shard = Shard::new(setup).map_err(|error| format!("shard {id}: cannot make its ring: {error}"))?;
        // The loop is glommio's only task and sleeps in the shard's own ring, so glommio's reactor is never entered
        // and costs nothing. A second task would need the loop to yield to it.
        shard
            .turns()
            .map_err(|error| format!("shard {id}: its ring failed: {error}"))
    })
}

impl Shard {
    fn new(mut setup: ShardSetup) -> io::Result<Self> {
        let mut ring = Ring::new()?;
        ring.watch(&setup.wake);
        let clock = Clock::start();
        let now = clock.now();
        let (maker, first) = (setup.spool.0.clone(), std::mem::take(&mut setup.spool.1));
        let spool = Spool::new(maker, setup.id, first);
        Ok(Self {
            id: setup.id,
            ring,
            wheel: Wheel::new(now),
            downs: Slab::default(),
            ups: Slab::default(),
            detached: Slab::default(),
            detached_due: Vec::new(),
            checks: Checks::default(),
            telling_hedges: false,
            pools: Pools::default(),
            names: Names::default(),
            listeners: Listeners::default(),
            running: None,
            prepared: None,
            local: Local {
                seed: clock.seed(setup.id),
                limits: LocalLimits::new(Arc::clone(&setup.balances)),
                marks: Arc::clone(&setup.marks),
                repeats: Some(setup.repeats.clone()),
                answers: Some(setup.answers.clone()),
                summaries: Some(setup.summaries.clone()),
                usage_full: spool.is_full(),
                ..Local::default()
            },
            out: Outputs::default(),
            metrics: ShardMetrics::new(setup.id),
            log: setup.access.log(),
            spool,
            held: Vec::new(),
            ready: true,
            draining: None,
            trimming: false,
            stopped: false,
            dirty_downs: Vec::new(),
            dirty_ups: Vec::new(),
            pipelined: Vec::new(),
            followups: VecDeque::new(),
            turns: VecDeque::new(),
            spare_buffers: Vec::new(),
            spare_actives: Vec::new(),
            fired: Vec::new(),
            clock,
            setup,
        })
    }

    fn turns(&mut self) -> io::Result<()> {
        while !self.stopped {
            let slept_from = self.clock.now();
            let wake_at_ns = self.wheel.wake_at().map(|at| at.0);
            self.ring.turn(slept_from.0, wake_at_ns)?;
            let woke = self.clock.turn();
            self.metrics.slept(woke.ns_since(slept_from));
            while let Some(event) = self.ring.next() {
                self.guarded(event);
            }
            if self.wheel.due(woke) {
                self.fire(woke);
            }
            self.flush();
            let now = self.clock.now();
            self.metrics.worked(now.ns_since(woke));
            if self.local.pressure.is_bounded() {
                self.tell_pressure(now, woke);
            }
        }
        Ok(())
    }

    /// A panic while handling an event ends the connection it was for, never the shard.
    fn guarded(&mut self, event: Event) {
        let owner = match &event {
            Event::Received { token, .. } | Event::Closed { token, .. } | Event::Sent { token, .. } => Some(*token),
            Event::Connected { token, .. } => Some(*token),
            _ => None,
        };
        if std::panic::catch_unwind(AssertUnwindSafe(|| self.handle(event))).is_err() {
            self.metrics.panicked();
            self.out.clear();
            self.followups.clear();
            if let Some(token) = owner {
                let id = Id {
                    index: token.index(),
                    generation: token.generation(),
                };
                match token.kind() {
                    DOWN => self.drop_down(id),
                    _ => self.drop_up_and_client(id),
                }
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Received { token, data, armed } => match token.kind() {
                DOWN => self.down_received(id_of(token), &data, armed),
                _ => self.up_received(id_of(token), &data, armed),
            },
            Event::Sent { token, result, message } => {
                self.recycle(message);
                match token.kind() {
                    DOWN => self.down_sent(id_of(token), result.is_ok()),
                    _ => self.up_sent(id_of(token), result.is_ok()),
                }
            }
            Event::Sending { token } => match token.kind() {
                DOWN => self.down_progressed(id_of(token)),
                _ => self.up_progressed(id_of(token)),
            },
            Event::Closed { token, error } => match token.kind() {
                DOWN => self.down_closed(id_of(token)),
                _ => self.up_tcp_closed(id_of(token), error.is_none()),
            },
            Event::ReceiveStopped { token } => match token.kind() {
                DOWN => self.down_receive_stopped(id_of(token)),
                _ => self.up_receive_stopped(id_of(token)),
            },
            Event::Connected { token, result } => self.up_connected(id_of(token), result),
            Event::Accepted { token, result, armed } => self.accepted(token, result, armed),
            Event::Woken => self.read_inbox(),
        }
    }

    fn fire(&mut self, now: Tick) {
        let mut fired = std::mem::take(&mut self.fired);
        self.wheel.turn(now, &mut fired);
        for timer in fired.drain(..) {
            match timer {
                Timer::Down(id) => self.down_timer(id, now),
                Timer::Up(id) => self.up_timer(id, now),
                Timer::Detached(id) => self.detached_timer(id, now),
                Timer::Check { generation, place } => self.check_due(generation, place, now),
                Timer::Hedges => self.tell_hedges(),
                Timer::Accept => self.resume_accepting(),
                Timer::Trim => {
                    self.trimming = false;
                    memory::give_back();
                }
            }
        }
        self.fired = fired;
    }

    /// Writes what this turn produced: one send per connection, however many events made it.
    fn flush(&mut self) {
        self.begin_pipelined();
        self.take_turns();
        // Upstream first: requests on their way are worth more than answers already made.
        self.flush_ups();
        self.flush_downs();
        if !self.detached_due.is_empty() {
            self.begin_copies();
        }
        // One that came to nothing may have left room to others.
        if !self.turns.is_empty() {
            self.take_turns();
            self.flush_downs();
        }
        while self.local.asker.has_work() && self.ask_for_vectors() {
            self.take_turns();
            self.flush_downs();
        }
        // Of requests that began meanwhile.
        self.flush_ups();
        self.log.idle();
        if self.local.limits.balances.is_called() {
            self.setup.cluster.wake();
        }
        if let Some(reply) = self.draining.take_if(|_| self.downs.len() == 0) {
            let _ = reply.try_send(self.id);
        }
    }

    fn flush_downs(&mut self) {
        let mut index = 0;
        // Finishing one may make another dirty.
        while let Some(&id) = self.dirty_downs.get(index) {
            index += 1;
            self.flush_down(id);
            self.begin_pipelined();
            self.take_turns();
        }
        self.dirty_downs.clear();
    }

    fn flush_ups(&mut self) {
        let mut ups = std::mem::take(&mut self.dirty_ups);
        for id in ups.drain(..) {
            self.flush_up(id);
        }
        self.dirty_ups = ups;
    }

    /// An empty buffer, from a send that has ended when there is one.
    pub fn buffer(&mut self) -> Vec<u8> {
        self.spare_buffers.pop().unwrap_or_default()
    }

    fn recycle(&mut self, message: Message) {
        self.keep_buffer(message.own);
    }

    pub fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        const KEEP_CAPACITY_BYTES: usize = 64 * 1024;
        if buffer.capacity() > KEEP_CAPACITY_BYTES {
            return self.trim_soon();
        }
        if self.spare_buffers.len() < SPARE_BUFFERS {
            buffer.clear();
            self.spare_buffers.push(buffer);
        }
    }

    /// The allocator keeps what large buffers freed until it is told; once a second is often enough.
    pub fn trim_soon(&mut self) {
        const TRIM_AFTER_MS: u64 = 1_000;
        if !self.trimming {
            self.trimming = true;
            self.wheel.arm(self.clock.now().plus_ms(TRIM_AFTER_MS), Timer::Trim);
        }
    }

    pub fn down_token(id: Id) -> Token {
        Token::new(DOWN, id.generation, id.index)
    }

    pub fn up_token(id: Id) -> Token {
        Token::new(UP, id.generation, id.index)
    }

    pub fn listener_fd(&self, index: u32) -> Option<i32> {
        self.listeners.get(index).map(|socket| socket.as_raw_fd())
    }
}

fn id_of(token: Token) -> Id {
    Id {
        index: token.index(),
        generation: token.generation(),
    }
}

//! Limits shared with other nodes: the agent of `tollgate_engine::limits::cluster` on a thread of its own, with the store. It is
//! woken by shards through a bounded queue, and no request ever waits for it.

#![allow(clippy::disallowed_methods)] // All but `Handle` runs on that thread.

mod commands;
mod connection;
#[cfg(test)]
mod loss_tests;
mod resolver;
mod resp;
#[cfg(test)]
mod script_tests;
mod store;
#[cfg(test)]
mod tests;
pub mod way;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};
use jiff::tz::TimeZone;
use tollgate_config::document::Limit;
use tollgate_engine::limits::{
    Balances,
    cluster::{Agent, Notice, Standing},
};

use crate::shard::clock::unix_ms;
pub use resp::Value;
pub use store::Store;
use way::Shared;

/// Plans that wait to be taken over.
const QUEUED: usize = 16;
/// Where nothing is due.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How long first leases are waited for, and at the end what is to go back.
const FIRST_LEASES: Duration = Duration::from_secs(5);
const LAST_LEASES: Duration = Duration::from_secs(1);
/// How long whoever gives back balances waits for the thread to end what it is about.
const TURNED: Duration = Duration::from_secs(2);

/// What a revision shares, and how.
pub struct Plan {
    /// `None`: nothing.
    pub shared: Option<Shared>,
    pub known: Vec<(u64, Limit)>,
    pub zone: TimeZone,
}

enum Ask {
    Plan(Box<Plan>),
    /// All goes back: the process ends.
    Leave,
    /// Whatever it is about is to end.
    Turn,
}

/// What operators are told.
#[derive(Clone, Debug)]
pub struct Told {
    pub notice: Notice,
    /// Why the store is away.
    pub why: String,
}

/// The way to the thread.
#[derive(Clone)]
pub struct Handle {
    asks: Sender<(Ask, Sender<()>)>,
    wake: Sender<()>,
    shown: Arc<Shown>,
}

/// How the agent stands, for whoever looks.
#[derive(Default)]
struct Shown([AtomicU64; 9]);

impl Handle {
    /// From now on this is shared. What is given ends once it is in force.
    pub fn plan(&self, plan: Plan) -> Receiver<()> {
        self.ask(Ask::Plan(Box::new(plan)))
    }

    /// Gives back what the node holds: the process ends.
    pub fn leave(&self) {
        // Ends by itself: nothing is sent.
        let _ = self.ask(Ask::Leave).recv_timeout(LAST_LEASES + LONGEST_WAIT);
    }

    /// True: what the thread was about has ended since.
    pub fn turned(&self) -> bool {
        self.ask(Ask::Turn).recv_timeout(TURNED) == Err(RecvTimeoutError::Disconnected)
    }

    fn ask(&self, ask: Ask) -> Receiver<()> {
        let (done, ends) = bounded(0);
        // The thread ends with the process.
        let _ = self.asks.send((ask, done));
        ends
    }

    /// Somebody called. Never waits: one that waits already is enough.
    pub fn wake(&self) {
        let _ = self.wake.try_send(());
    }

    /// `None`: nothing is shared.
    pub fn standing(&self) -> Option<Standing> {
        let [
            groups,
            groups_away,
            nodes,
            epoch,
            leases,
            asked,
            failed,
            starved,
            refused_early,
        ] = std::array::from_fn(|at| self.shown.0[at].load(Ordering::Relaxed));
        (groups > 0).then_some(Standing {
            groups,
            groups_away,
            nodes,
            epoch,
            leases,
            asked,
            failed,
            starved,
            refused_early,
        })
    }
}

impl Shown {
    fn show(&self, standing: &Standing) {
        let all = [
            standing.groups,
            standing.groups_away,
            standing.nodes,
            standing.epoch,
            standing.leases,
            standing.asked,
            standing.failed,
            standing.starved,
            standing.refused_early,
        ];
        for (word, value) in self.0.iter().zip(all) {
            word.store(value, Ordering::Relaxed);
        }
    }
}

/// Starts the thread; `tell` runs on it. `node`: which one this is, to the store.
pub fn start(node: u64, balances: Arc<Balances>, tell: impl FnMut(Told) + Send + 'static) -> Result<Handle, String> {
    let ((asks, asked), (wake, woken)) = (bounded(QUEUED), bounded(1));
    let shown = Arc::<Shown>::default();
    let side = Side {
        node,
        balances,
        began: Instant::now(),
        work: None,
        shown: Arc::clone(&shown),
        last_seq: 0,
        why: String::new(),
        tell: Box::new(tell),
    };
    thread::Builder::new()
        .name("cluster".to_owned())
        .spawn(move || side.run(&asked, &woken))
        .map_err(|error| format!("cannot start the cluster's thread: {error}"))?;
    Ok(Handle { asks, wake, shown })
}

struct Side {
    node: u64,
    balances: Arc<Balances>,
    began: Instant,
    work: Option<Work>,
    shown: Arc<Shown>,
    /// Of what the store was asked by agents before this one: it takes a smaller number for another process's.
    last_seq: u64,
    /// Of the last call that failed.
    why: String,
    tell: Box<dyn FnMut(Told) + Send>,
}

struct Work {
    shared: Shared,
    agent: Agent,
    store: Store,
    zone: TimeZone,
}

impl Side {
    fn run(mut self, asked: &Receiver<(Ask, Sender<()>)>, woken: &Receiver<()>) {
        loop {
            let wait = match &self.work {
                None => LONGEST_WAIT.saturating_mul(3_600),
                Some(work) => {
                    Duration::from_millis(work.agent.next_ms().saturating_sub(self.now_ms())).min(LONGEST_WAIT)
                }
            };
            // Held until what was asked for is done.
            let mut _done = None;
            select! {
                recv(asked) -> ask => {
                    let Ok((ask, done)) = ask else { return };
                    _done = Some(done);
                    match ask {
                        Ask::Plan(plan) => self.take(*plan),
                        Ask::Leave => self.leave(),
                        Ask::Turn => {}
                    }
                }
                recv(woken) -> _ => {}
                default(wait) => {}
            }
            self.turn();
        }
    }

    fn now_ms(&self) -> u64 {
        // From one, so that no moment is none.
        u64::try_from(self.began.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }

    fn take(&mut self, plan: Plan) {
        let Some(shared) = plan.shared else {
            // From here on calls take of the node's own.
            if let Some(sharing) = self.balances.shared() {
                sharing.turn_off();
            }
            return self.leave();
        };
        if self.work.as_ref().is_some_and(|work| work.shared != shared) {
            self.leave();
        }
        let now_ms = self.now_ms();
        let is_new = self.work.is_none();
        let (node, process, last_seq) = (self.node, self.balances.process(), self.last_seq);
        let work = self.work.get_or_insert_with(|| Work {
            agent: Agent::new(shared.settings, node, process, now_ms).after(last_seq),
            store: Store::new(shared.way.clone()),
            zone: plan.zone.clone(),
            shared,
        });
        work.zone = plan.zone;
        let known = plan.known.into_iter();
        work.agent.know(&self.balances, known, (&work.zone, unix_ms()), now_ms);
        if is_new {
            // Calls are not to be refused because nothing is leased yet.
            let until = Instant::now() + FIRST_LEASES;
            self.turn_until(until, Agent::is_ready);
            if let Some(work) = &self.work {
                self.balances.sharing().begin(&work.agent);
            }
        }
    }

    /// Gives all back. Calls that come meanwhile are refused: nothing is leased.
    fn leave(&mut self) {
        let now_ms = self.now_ms();
        let Some(work) = &mut self.work else { return };
        work.agent.leave(now_ms);
        self.turn_until(Instant::now() + LAST_LEASES, Agent::is_settled);
        if let Some(work) = self.work.take() {
            self.last_seq = self.last_seq.max(work.agent.last_seq());
        }
        self.shown.show(&Standing::default());
    }

    fn turn_until(&mut self, until: Instant, is_done: impl Fn(&Agent, u64) -> bool) {
        loop {
            self.turn();
            let now_ms = self.now_ms();
            let Some(work) = &self.work else { return };
            let is_away = work.agent.standing().groups_away > 0;
            if is_away || is_done(&work.agent, now_ms) || Instant::now() >= until {
                return;
            }
            let wait = Duration::from_millis(work.agent.next_ms().saturating_sub(now_ms));
            thread::sleep(wait.clamp(Duration::from_millis(1), Duration::from_millis(50)));
        }
    }

    /// All that is due.
    fn turn(&mut self) {
        let began = self.began;
        let now_ms = || {
            u64::try_from(began.elapsed().as_millis())
                .unwrap_or(u64::MAX)
                .saturating_add(1)
        };
        let Some(work) = &mut self.work else { return };
        let balances = &*self.balances;
        loop {
            // Also of shards that had no turn since: their calls lie in the table.
            work.agent.called(balances, now_ms());
            work.agent.turn(balances, (&work.zone, unix_ms()), now_ms());
            let Some(request) = work.agent.request(balances, now_ms()) else {
                break;
            };
            match work.store.call(&request) {
                Ok(reply) => work
                    .agent
                    .answered(balances, request.group, reply, (unix_ms(), now_ms())),
                Err(why) => {
                    tracing::debug!(why, "the store of `cluster` does not answer");
                    self.why = why;
                    work.agent.failed(request.group, now_ms());
                    // The others wait as long, one after the other: shards' calls come first.
                    break;
                }
            }
        }
        for notice in work.agent.notices() {
            let why = self.why.clone();
            (self.tell)(Told { notice, why });
        }
        self.shown.show(&work.agent.standing());
    }
}

//! One run from its first request to its report: threads started, their seconds joined, their counts put together.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    Load, Spec, tally,
    verdict::{self, Own},
    worker::{Finished, Message, Plan, Worker},
};
use crate::{
    calendar,
    net::clock::now_ns,
    report::{
        self, Generator, Measured, Outcome, Report, Watched,
        times::{self, Times},
    },
    watch::Watch,
};

/// Threads begin together, this long after they were asked to.
const START_NS: u64 = 20_000_000;
const SECOND_NS: u64 = 1_000_000_000;
/// How often the main thread looks at the clock while nothing is told.
const LOOK: Duration = Duration::from_millis(20);

/// Measures until the time is over and everything is answered, or `stop` is set; `each_second` sees each second after
/// the warm-up once every thread has told of it.
pub fn measure(
    spec: &Spec,
    each_second: &mut dyn FnMut(&report::Second),
    stop: &AtomicBool,
) -> Result<Measured, String> {
    allow_descriptors(spec.connections as u64)?;
    let watch = spec.watch_pid.map(Watch::start).transpose()?;
    let start_ns = now_ns() + START_NS;
    let count_from_ns = start_ns + spec.warm_up_ns;
    let plan = Plan {
        start_ns,
        count_from_ns,
        end_ns: count_from_ns.saturating_add(spec.duration_ns),
    };
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let began = calendar::rfc_3339(since_1970.map_or(0, |since| since.as_secs()));
    // A thread that fails ends the others.
    let give_up = Arc::new(AtomicBool::new(false));
    let is_sandbox = &AtomicBool::new(false);
    let (tell, told) = mpsc::channel();
    let (finished, series, watched) = thread::scope(|scope| {
        let mut threads = Vec::new();
        for index in 0..spec.threads {
            let (tell, give_up) = (tell.clone(), give_up.clone());
            let work = move || {
                let done = Worker::new(spec, plan, is_sandbox, index).and_then(|worker| worker.run(&give_up, &tell));
                if done.is_err() {
                    give_up.store(true, Ordering::Relaxed);
                }
                done
            };
            threads.push(scope.spawn(work));
        }
        drop(tell);
        let mut seconds = Seconds::new(spec.threads, plan, each_second, watch.as_ref());
        seconds.listen(&told, stop, &give_up);
        let finished: Vec<_> = threads.into_iter().map(thread::ScopedJoinHandle::join).collect();
        (finished, seconds.series, seconds.watched)
    });
    let watched = watched.or_else(|| watch.map(|watch| watch.watched(0)));
    let mut all = Vec::with_capacity(finished.len());
    for finished in finished {
        let finished = finished.map_err(|_| "a thread of the generator broke off".to_owned())?;
        all.push(finished.map_err(|bad| format!("the generator cannot wait for its sockets: {bad}"))?);
    }
    let ended_ns = now_ns();
    let measured_ns = ended_ns.min(plan.end_ns).saturating_sub(count_from_ns);
    let run = Run {
        began,
        seconds: measured_ns as f64 / 1e9,
        stopped: stop.load(Ordering::Relaxed),
        ended_early: ended_ns < plan.end_ns,
        series,
        watched,
    };
    Ok(put_together(spec, run, &all))
}

/// What of a report the threads' counts do not hold.
struct Run {
    began: String,
    seconds: f64,
    stopped: bool,
    ended_early: bool,
    series: Vec<report::Second>,
    watched: Option<Watched>,
}

/// Joins what the threads tell of each second.
struct Seconds<'a> {
    threads: usize,
    plan: Plan,
    each_second: &'a mut dyn FnMut(&report::Second),
    /// Seconds that not every thread has told of.
    open: BTreeMap<u64, (usize, tally::Second)>,
    /// The last second of each thread that ended.
    ended: Vec<u64>,
    series: Vec<report::Second>,
    watch: Option<&'a Watch>,
    watch_began: bool,
    /// What was watched until nothing more was sent.
    watched: Option<Watched>,
}

impl<'a> Seconds<'a> {
    fn new(
        threads: usize,
        plan: Plan,
        each_second: &'a mut dyn FnMut(&report::Second),
        watch: Option<&'a Watch>,
    ) -> Self {
        Self {
            watch,
            watch_began: false,
            watched: None,
            threads,
            plan,
            each_second,
            open: BTreeMap::new(),
            ended: Vec::new(),
            series: Vec::new(),
        }
    }

    fn listen(&mut self, told: &Receiver<Message>, stop: &AtomicBool, give_up: &AtomicBool) {
        loop {
            let now = now_ns();
            self.keep_watch(now);
            match told.recv_timeout(self.until_watch(now)) {
                Ok(Message::Second(at_s, second)) => {
                    let (count, joined) = self.open.entry(at_s).or_insert_with(|| (0, tally::Second::new()));
                    *count += 1;
                    joined.add(&second);
                }
                Ok(Message::Ended(seconds)) => self.ended.push(seconds),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.close_what_is_whole();
            if stop.load(Ordering::Relaxed) {
                give_up.store(true, Ordering::Relaxed);
            }
        }
    }

    /// The watched process is counted over the same time as the requests.
    fn keep_watch(&mut self, now: u64) {
        let Some(watch) = self.watch else { return };
        if !self.watch_began && now >= self.plan.count_from_ns {
            watch.begin();
            self.watch_began = true;
        }
        if self.watched.is_none() && now >= self.plan.end_ns {
            self.watched = Some(watch.watched(0));
        }
    }

    fn until_watch(&self, now: u64) -> Duration {
        let mark_ns = match self.watch_began {
            true => self.plan.end_ns,
            false => self.plan.count_from_ns,
        };
        match mark_ns.checked_sub(now) {
            Some(left_ns) => LOOK.min(Duration::from_nanos(left_ns)),
            None => LOOK,
        }
    }

    fn close_what_is_whole(&mut self) {
        while let Some(first) = self.open.first_entry() {
            let at_s = *first.key();
            let silent = self.ended.iter().filter(|seconds| **seconds <= at_s).count();
            if first.get().0 + silent < self.threads {
                return;
            }
            let (_, second) = first.remove();
            let is_empty = second.sent + second.answered + second.failed == 0;
            if is_empty && self.plan.count_from_ns + at_s * SECOND_NS >= self.plan.end_ns {
                continue;
            }
            let second = second.report(at_s);
            (self.each_second)(&second);
            self.series.push(second);
        }
    }
}

fn put_together(spec: &Spec, run: Run, all: &[Finished]) -> Measured {
    let mut tally = tally::Tally::new(spec.mix.classes.len());
    for finished in all {
        tally.add(&finished.tally);
    }
    let mut total = tally::Class::new();
    for class in &tally.classes {
        total.add(class);
    }
    let busy = |finished: &Finished| finished.cpu_ns as f64 / (finished.wall_ns.max(1)) as f64;
    let cpu_ns: u64 = all.iter().map(|finished| finished.cpu_ns).sum();
    let generator = Generator {
        threads: all.len() as u64,
        cpu_us_per_request: each_us(cpu_ns as f64 / 1e3, total.answered_in_time),
        busiest_thread: all.iter().map(busy).fold(0.0, f64::max),
    };
    let open_loop = matches!(spec.load, Load::Open(_));
    let late_send = times::percentiles(&tally.late_send);
    let late_read = times::percentiles(&tally.late_read);
    let outcome = outcome(&total, run.seconds);
    let answering = tally.classes.iter().filter(|class| class.answered > 0);
    let smallest_p99_ms = answering
        .map(|class| times::percentiles(&class.times.latency).p99)
        .reduce(f64::min);
    // Where nothing was answered there is no time to falsify.
    let invalid_because = smallest_p99_ms.and_then(|latency_p99_ms| {
        verdict::invalid_because(&Own {
            open_loop,
            late_send_p99_ms: late_send.p99,
            late_read_p99_ms: late_read.p99,
            busiest_thread: generator.busiest_thread,
            latency_p99_ms,
        })
    });
    let is_unfinished = total.sent > total.answered + total.left + total.failed.all();
    let names = spec.mix.classes.iter().map(|class| class.name.clone());
    let outcomes = tally.classes.iter().map(|class| self::outcome(class, run.seconds));
    let report = Report {
        valid: invalid_because.is_none(),
        invalid_because,
        load_loop: if open_loop { "open" } else { "closed" }.to_owned(),
        url: spec.target.url.text.clone(),
        mix: spec.mix.name.clone(),
        began: run.began,
        seconds: run.seconds,
        wanted_rate: wanted_rate(spec),
        connections: spec.connections as u64,
        total: outcome,
        classes: names.clone().zip(outcomes).collect(),
        late_ms: if open_loop { late_send } else { late_read },
        generator,
        watched: run.watched.map(|watched| Watched {
            cpu_us_per_request: each_us(watched.cpu_seconds * 1e6, total.answered_in_time),
            ..watched
        }),
        series: run.series,
        interrupted: run.stopped && (run.ended_early || is_unfinished),
    };
    let times: Vec<Times> = tally.classes.into_iter().map(|class| class.times).collect();
    Measured {
        report,
        total: total.times,
        classes: names.zip(times).collect(),
    }
}

/// A share of each request; none where none was answered.
fn each_us(all_us: f64, answered: u64) -> f64 {
    if answered == 0 { 0.0 } else { all_us / answered as f64 }
}

/// Requests a second that the schedule asks for while it is counted.
fn wanted_rate(spec: &Spec) -> Option<f64> {
    match &spec.load {
        Load::Closed => None,
        Load::Open(schedule) => {
            let until_ns = spec.warm_up_ns.saturating_add(spec.duration_ns);
            let count = schedule.count_until(until_ns) - schedule.count_until(spec.warm_up_ns);
            Some(count / (spec.duration_ns.max(1) as f64 / 1e9))
        }
    }
}

fn outcome(class: &tally::Class, seconds: f64) -> Outcome {
    Outcome {
        sent: class.sent,
        answered: class.answered,
        verified: class.verified,
        streams: class.streams,
        left: class.left,
        failed: class.failed,
        rate: if seconds > 0.0 {
            class.answered_in_time as f64 / seconds
        } else {
            0.0
        },
        latency_ms: times::percentiles(&class.times.latency),
        first_byte_ms: times::percentiles(&class.times.first_byte),
        first_token_ms: times::percentiles(&class.times.first_token),
        token_gap_ms: times::percentiles(&class.times.token_gap),
        gateway_ms: times::percentiles(&class.times.gateway),
        stream_events: class.stream_events,
        bytes_sent: class.bytes_sent,
        bytes_received: class.bytes_received,
    }
}

/// Descriptors beside those of the connections.
const OTHER_DESCRIPTORS: u64 = 64;

/// Raises the limit of open files to what the connections need.
fn allow_descriptors(connections: u64) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let needed = connections + OTHER_DESCRIPTORS;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(needed.max(limit.current.unwrap_or_default())),
        maximum: limit.maximum,
    };
    let is_allowed = limit.maximum.is_none_or(|maximum| maximum >= needed);
    if !is_allowed || setrlimit(Resource::Nofile, raised).is_err() {
        return Err(format!(
            "{connections} connections need {needed} open files, and the limit is {}; raise it (ulimit -n {needed}) or \
             ask for fewer --connections",
            limit.maximum.unwrap_or_default()
        ));
    }
    Ok(())
}

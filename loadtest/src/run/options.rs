//! The command line of `run`, read and checked into a [`Spec`].

use std::{path::PathBuf, sync::Arc};

use rustls::ClientConfig;

use super::{
    Load, Spec, Url, reach,
    trust::{self, Trust},
};
use crate::{
    mix::{Manners, Mix, Single, schedule::Schedule, units},
    report::times,
    sweep, watch,
};

/// Connections of a process; for more, start several.
const CONNECTIONS_MOST: usize = 8000;
/// Open loop without `--connections`.
const CONNECTIONS_OPEN: usize = CONNECTIONS_MOST;
/// Closed loop without `--connections`.
const CONNECTIONS_CLOSED: usize = 64;
/// What most servers refuse is longer by far; each connection may hold one.
const BODY_MOST_BYTES: u64 = 64 << 20;
/// A month: longer runs are several.
const RUN_MOST_NS: u64 = 31 * 86_400 * 1_000_000_000;
const THREADS_MOST: usize = 256;
const SEED: u64 = 1;
const DURATION_NS: u64 = 10_000_000_000;

/// Send requests and measure what comes of them.
///
/// With --rate the loop is open: requests are sent when they are due, and latency counts from then, so that a stall of
/// the target is not hidden. Without, it is closed: each of --connections sends its next request after the answer.
///
/// Exit codes: 0 measured (failed requests are in the result; --fail-on-errors makes them count), 1 the target cannot
/// be reached, 2 bad input, 4 the results are not valid because the generator, not the target, was the bottleneck.
#[derive(clap::Args, Clone, Debug)]
#[group(id = "run")]
pub struct Options {
    /// Where to: http://HOST:PORT or https://HOST[:PORT], with a path before every request's own if need be
    #[arg(long)]
    url: String,
    /// What to send: a YAML file or the name of a built-in mix; without, chat requests of 1.2 KB, all of a kind
    #[arg(long, value_name = "FILE|NAME")]
    mix: Option<String>,
    /// Open loop: requests a second, as 1000, poisson:1000, ramp:0-5000/30s or steps:100/10s,200/10s, or a file that
    /// says so
    #[arg(long, value_name = "SCHEDULE")]
    rate: Option<String>,
    /// Connections: as many as this in closed loop (default 64), at most this in open loop (default 8000)
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
    /// How long to count, as 30s or 5m; default: the schedule's own, else 10s
    #[arg(long, value_name = "TIME")]
    duration: Option<String>,
    /// Send for this long before counting begins; the schedule begins with it
    #[arg(long, value_name = "TIME", default_value = "0s")]
    warm_up: String,
    /// Threads, each a loop over its share of the connections
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// The key that requests carry, in their dialect's header
    #[arg(long, env = "TOLLGATE_KEY", hide_env_values = true)]
    key: Option<String>,
    /// When a request without its whole answer has failed, counted from when it was due (open) or sent (closed)
    #[arg(long, value_name = "TIME", default_value = "60s")]
    timeout: String,
    /// Use each connection for one request
    #[arg(long)]
    no_keep_alive: bool,
    /// Take any whole answer of the right status; for targets whose answers do not come from the sandbox
    #[arg(long)]
    no_verify: bool,
    /// PEM roots to believe instead of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// Believe any certificate
    #[arg(long)]
    insecure: bool,
    /// Measure CPU and memory of this process and its children
    #[arg(long, value_name = "PID")]
    watch_pid: Option<u32>,
    /// Where all draws begin: the same seed sends the same requests
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    single: SingleOptions,
    #[command(flatten)]
    pub(super) sweep: sweep::Options,
    /// Write a report that opens in any browser, offline
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Write the latency's percentiles in HdrHistogram's text form
    #[arg(long, value_name = "FILE")]
    pub(super) hgrm: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
    /// Exit 1 when any request failed
    #[arg(long)]
    pub(super) fail_on_errors: bool,
}

/// What to send without a mix.
#[derive(clap::Args, Clone, Debug)]
#[group(id = "single", multiple = true, conflicts_with = "mix")]
struct SingleOptions {
    /// Without a mix: the model asked for
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Without a mix: how long a request's body is, about
    #[arg(long, value_name = "SIZE")]
    body_bytes: Option<String>,
    /// Without a mix: ask for streams
    #[arg(long)]
    stream: bool,
    /// Without a mix: the most tokens an answer may have
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,
    /// Without a mix: read answers no faster than this many bytes a second
    #[arg(long, value_name = "BYTES")]
    slow_read: Option<u64>,
    /// Without a mix: close the connection after this many bytes of the answer
    #[arg(long, value_name = "BYTES")]
    leave_after: Option<u64>,
    /// Without a mix: send each byte of a request on its own
    #[arg(long)]
    byte_at_a_time: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    Text,
    Json,
}

/// The options, read and checked.
pub(super) struct Plan {
    url: Url,
    /// Of an https target.
    tls: Option<Arc<ClientConfig>>,
    base_path: String,
    mix: Mix,
    load: Load,
    connections: usize,
    warm_up_ns: u64,
    duration_ns: u64,
    timeout_ns: u64,
    seed: u64,
}

impl Plan {
    pub(super) fn of(options: &Options) -> Result<Self, String> {
        let url = Url::parse(&options.url)?;
        let (mut single, base_path) = Single::of_url_path(&url.path);
        let mix = match &options.mix {
            Some(name) => Mix::named(name)?,
            None => {
                options.single.apply(&mut single)?;
                Mix::single(single)?
            }
        };
        let schedule = match &options.rate {
            Some(rate) => Some(Schedule::named(rate).map_err(|why| format!("--rate: {why}"))?),
            // Whoever names connections only wants the closed loop.
            None if options.connections.is_some() => None,
            None => mix.schedule.clone(),
        };
        let time = |flag: &str, text: &str, most_ns: u64| match units::duration_ns(text) {
            Ok(ns) if ns <= most_ns => Ok(ns),
            Ok(_) => Err(format!("{flag} {text}: at most {}s", most_ns / 1_000_000_000)),
            Err(why) => Err(format!("{flag}: {why}")),
        };
        let refused = |key: &&String| key.bytes().any(|byte| byte.is_ascii_control());
        if options.key.as_ref().filter(refused).is_some() {
            return Err("--key: a key has no line breaks or other control characters".to_owned());
        }
        let warm_up_ns = time("--warm-up", &options.warm_up, RUN_MOST_NS)?;
        let of_schedule = schedule.as_ref().and_then(Schedule::duration_ns);
        let duration_ns = match (&options.duration, of_schedule) {
            (Some(duration), _) => time("--duration", duration, RUN_MOST_NS)?,
            (None, Some(of_schedule)) => of_schedule.saturating_sub(warm_up_ns),
            (None, None) => DURATION_NS,
        };
        if duration_ns == 0 {
            return Err("--duration: nothing would be counted; say how long, as in 10s".to_owned());
        }
        let timeout_ns = time("--timeout", &options.timeout, times::MOST_NS)?;
        if timeout_ns == 0 {
            return Err("--timeout: every request would have failed at once; say how long, as in 60s".to_owned());
        }
        let trust = match (&options.ca, options.insecure) {
            (Some(path), _) => Trust::File(path.clone()),
            (None, true) => Trust::Anyone,
            (None, false) => Trust::System,
        };
        let tls = url.secure.then(|| trust::client(&trust)).transpose()?;
        if let Some(pid) = options.watch_pid {
            watch::check(pid)?;
        }
        Ok(Self {
            connections: connections(options, schedule.is_some() || options.sweep.is_wanted())?,
            seed: options.seed.or(mix.seed).unwrap_or(SEED),
            load: schedule.map_or(Load::Closed, Load::Open),
            url,
            tls,
            base_path,
            mix,
            warm_up_ns,
            duration_ns,
            timeout_ns,
        })
    }

    /// Reaches the target.
    pub(super) fn spec(self, options: &Options) -> Result<Spec, String> {
        Ok(Spec {
            target: reach(&self.url, self.tls)?,
            base_path: self.base_path,
            key: options.key.clone(),
            mix: Arc::new(self.mix),
            load: self.load,
            connections: self.connections,
            threads: options.threads.min(self.connections),
            warm_up_ns: self.warm_up_ns,
            duration_ns: self.duration_ns,
            timeout_ns: self.timeout_ns,
            keep_alive: !options.no_keep_alive,
            verify: !options.no_verify,
            watch_pid: options.watch_pid,
            seed: self.seed,
        })
    }
}

fn connections(options: &Options, open_loop: bool) -> Result<usize, String> {
    if !(1..=THREADS_MOST).contains(&options.threads) {
        return Err(format!("--threads {}: say 1 to {THREADS_MOST}", options.threads));
    }
    let otherwise = if open_loop {
        CONNECTIONS_OPEN
    } else {
        CONNECTIONS_CLOSED
    };
    match options.connections.unwrap_or(otherwise) {
        0 => Err("--connections: 0 carry nothing; say 1 or more".to_owned()),
        count if count > CONNECTIONS_MOST => Err(format!(
            "--connections {count}: a process holds at most {CONNECTIONS_MOST}; start several beside each other"
        )),
        count => Ok(count),
    }
}

impl Options {
    /// Without a mix the rates of a sweep are searched with whole answers or streams, as asked, and the streams with
    /// streams.
    pub(super) fn stream_mix(&self, spec: &Spec) -> Result<Option<Mix>, String> {
        if self.mix.is_some() {
            return Ok(None);
        }
        let (mut single, _) = Single::of_url_path(&spec.target.url.path);
        self.single.apply(&mut single)?;
        single.stream_share = 1.0;
        Mix::single(single).map(Some)
    }
}

impl SingleOptions {
    fn apply(&self, single: &mut Single) -> Result<(), String> {
        if let Some(model) = &self.model {
            single.model.clone_from(model);
        }
        if let Some(size) = &self.body_bytes {
            let bytes = units::size_bytes(size).map_err(|why| format!("--body-bytes: {why}"))?;
            if bytes > BODY_MOST_BYTES {
                return Err(format!("--body-bytes {size}: at most {} MiB", BODY_MOST_BYTES >> 20));
            }
            single.body_bytes = bytes;
        }
        if self.stream {
            single.stream_share = 1.0;
        }
        if self.slow_read == Some(0) {
            return Err("--slow-read 0: nothing would ever be read; say how many bytes a second".to_owned());
        }
        single.max_tokens = self.max_tokens.or(single.max_tokens);
        single.manners = Manners {
            read_bytes_per_second: self.slow_read,
            leave: self.leave_after.map(|after_bytes| crate::mix::Leave {
                share: 1.0,
                after_bytes,
            }),
            send_byte_at_a_time: self.byte_at_a_time,
        };
        Ok(())
    }
}

//! `run --sweep`: the highest rate that holds each p99 bound without a failure, and the highest count of streams at
//! once that holds a p99 gap between tokens. Drives the generator; what is tried next is `search`'s.

mod progress;
mod search;

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    mix::{Mix, schedule::Schedule, units},
    report::{
        Report, Second,
        frontier::{Frontier, Held, Tried},
        html, json, text,
    },
    run::{Load, Spec, measure},
};
use progress::Progress;
use search::{Found, Limit, Settings, Trial};

/// The lowest rate tried; below, a window holds too few requests for a p99.
const LEAST_RATE: f64 = 10.0;
const START_RATE: f64 = 200.0;
/// Above any generator's own limit, which ends a sweep before.
const MOST_RATE: f64 = 1e7;
const START_STREAMS: f64 = 16.0;
/// What `run` takes for `--connections` at most, and without it: so many are the process's own limit, fewer the user's.
const MOST_STREAMS: usize = 8000;
/// A request that takes this many times the loosest bound has decided its window; no need to wait for it any longer.
const TIMEOUT_BOUNDS: f64 = 20.0;
const LEAST_TIMEOUT_NS: u64 = 2_000_000_000;
/// Of a window's length, before each: connections are made and the target settles.
const WARM_UP_SHARE: u64 = 10;

/// The command line of a sweep, beside that of a run: `--duration` is a window's length, `--rate` has no place.
#[derive(clap::Args, Clone, Debug)]
#[group(id = "sweep_options", multiple = true)]
pub struct Options {
    /// Find the highest rate that keeps the p99 under each bound with no failure; --duration is a window's length
    #[arg(long, conflicts_with = "rate")]
    pub sweep: bool,
    /// Find the highest count of concurrent streams that keeps the p99 gap between tokens under --gap
    #[arg(long, conflicts_with = "rate")]
    pub sweep_streams: bool,
    /// Bounds of the p99 latency
    #[arg(
        long,
        value_name = "TIME,…",
        value_delimiter = ',',
        default_value = "1ms,5ms,10ms,50ms,100ms"
    )]
    pub sweep_p99: Vec<String>,
    /// Bounds of the p99 gap between tokens
    #[arg(long, value_name = "TIME,…", value_delimiter = ',', default_value = "50ms")]
    pub gap: Vec<String>,
    /// Windows for each bound; what they found apart is the spread
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub sweep_windows: usize,
    /// How close to the limit to look: 0.05 is within five hundredths
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub sweep_precision: f64,
}

/// What is searched, the options read and checked.
#[derive(Clone, Debug)]
pub struct Wanted {
    rates: Option<Settings>,
    streams: Option<Settings>,
    /// What is sent when streams are searched, if not what the run sends.
    stream_mix: Option<Arc<Mix>>,
}

impl Options {
    pub fn is_wanted(&self) -> bool {
        self.sweep || self.sweep_streams
    }

    pub fn read(&self, most_streams: usize, stream_mix: Option<Mix>) -> Result<Wanted, String> {
        if !(0.001..=1.0).contains(&self.sweep_precision) {
            return Err(format!(
                "--sweep-precision {}: write a share from 0.001 to 1",
                self.sweep_precision
            ));
        }
        if self.sweep_windows == 0 {
            return Err("--sweep-windows: 0 find nothing; say 1 or more".to_owned());
        }
        let settings = |bounds_ms, start: f64, least: f64, most: f64, whole| Settings {
            bounds_ms,
            start: start.min(most),
            least,
            most,
            most_is: if whole && most_streams < MOST_STREAMS {
                Limit::Connections
            } else {
                Limit::Generator
            },
            precision: self.sweep_precision,
            whole,
            windows: self.sweep_windows,
        };
        let rates = settings(
            bounds_ms("--sweep-p99", &self.sweep_p99)?,
            START_RATE,
            LEAST_RATE,
            MOST_RATE,
            false,
        );
        let streams = settings(
            bounds_ms("--gap", &self.gap)?,
            START_STREAMS,
            1.0,
            most_streams as f64,
            true,
        );
        Ok(Wanted {
            rates: self.sweep.then_some(rates),
            streams: self.sweep_streams.then_some(streams),
            stream_mix: stream_mix.map(Arc::new),
        })
    }
}

/// In rising order, each once.
fn bounds_ms(flag: &str, texts: &[String]) -> Result<Vec<f64>, String> {
    let mut bounds_ns = Vec::new();
    for text in texts {
        match units::duration_ns(text).map_err(|why| format!("{flag}: {why}"))? {
            0 => {
                return Err(format!(
                    "{flag} {text}: nothing is faster; write a bound over 0, as in 1ms"
                ));
            }
            bound_ns => bounds_ns.push(bound_ns),
        }
    }
    bounds_ns.sort_unstable();
    bounds_ns.dedup();
    Ok(bounds_ns.into_iter().map(|bound_ns| bound_ns as f64 / 1e6).collect())
}

/// Options of a run that a sweep has no answer to; silence would pass for one.
pub fn refuse_options_of_a_run(hgrm: bool, fail_on_errors: bool) -> Result<(), String> {
    if hgrm {
        return Err("--hgrm: a sweep has many windows and no one histogram; give it to a run at one --rate".to_owned());
    }
    if fail_on_errors {
        return Err(
            "--fail-on-errors: a sweep looks for the load at which requests fail; give it to a run at one --rate"
                .to_owned(),
        );
    }
    Ok(())
}

/// Where the result goes: as text or JSON to standard output, and to a page.
pub struct Output {
    json: bool,
    html: Option<(PathBuf, File)>,
}

impl Output {
    /// Before the sweep: who waited for it shall not lose it to a folder that is not there.
    pub fn open(json: bool, html: Option<&Path>) -> Result<Self, String> {
        let open = |path: &Path| match File::create(path) {
            Ok(file) => Ok((path.to_owned(), file)),
            Err(bad) => Err(format!(
                "--html {}: {bad}; name a file in a folder that may be written to",
                path.display()
            )),
        };
        let html = html.map(open).transpose()?;
        Ok(Self { json, html })
    }

    /// The page first: it is not to be lost with a reader of standard output that has seen enough.
    fn write(self, frontier: &Frontier, to: &mut dyn Write) -> Result<(), String> {
        if let Some((path, file)) = self.html {
            let mut page = BufWriter::new(file);
            html::write_frontier(frontier, &mut page)
                .and_then(|()| page.flush())
                .map_err(|bad| format!("--html {}: {bad}", path.display()))?;
        }
        let mut text = Vec::new();
        let written = match self.json {
            true => json::write_frontier(frontier, &mut text),
            false => text::write_frontier(frontier, &mut text),
        };
        match written.and_then(|()| to.write_all(&text)).and_then(|()| to.flush()) {
            Err(bad) if bad.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|bad| format!("cannot write the result: {bad}")),
        }
    }
}

/// The command. Answers whether any bound was limited by the target or the user, and not by the generator.
pub fn command(spec: &Spec, wanted: &Wanted, output: Output, stop: &AtomicBool) -> Result<bool, String> {
    let mut progress = Progress::new();
    let frontier = sweep(spec, wanted, &mut |told| progress.tell(&told), stop)?;
    output.write(&frontier, &mut io::stdout().lock())?;
    Ok(is_of_use(&frontier))
}

fn is_of_use(frontier: &Frontier) -> bool {
    let mut all = frontier.requests.iter().chain(&frontier.streams);
    frontier.interrupted || all.any(|held| held.limited_by != Limit::Generator.name())
}

/// Why a sweep went no further.
enum End {
    Stopped,
    Failed(String),
}

/// Sweeps until all is found or `stop` is set. `tell` is told of each window: what is being tried, and each second.
pub fn sweep(spec: &Spec, wanted: &Wanted, tell: &mut dyn FnMut(Told), stop: &AtomicBool) -> Result<Frontier, String> {
    let mut frontier = Frontier {
        url: spec.target.url.text.clone(),
        mix: spec.mix.name.clone(),
        window_seconds: spec.duration_ns as f64 / 1e9,
        ..Frontier::default()
    };
    for (settings, streams) in [(&wanted.rates, false), (&wanted.streams, true)] {
        let Some(settings) = settings else { continue };
        let mut sweep = Sweep {
            spec,
            stream_mix: wanted.stream_mix.as_ref().unwrap_or(&spec.mix),
            streams,
            settings,
            began: &mut frontier.began,
            tried: &mut frontier.tried,
            tell,
            stop,
        };
        let (found, end) = search::search(settings, &mut |load| sweep.trial(load));
        let held = found.into_iter().map(held).collect();
        match streams {
            false => frontier.requests = held,
            true => frontier.streams = held,
        }
        match end {
            None => {}
            Some(End::Stopped) => {
                frontier.interrupted = true;
                break;
            }
            Some(End::Failed(why)) => return Err(why),
        }
    }
    Ok(frontier)
}

/// What a sweep says while it goes on.
pub enum Told<'a> {
    /// A window at this load begins; so many were before it.
    Window {
        number: usize,
        streams: bool,
        load: f64,
    },
    Second(&'a Second),
    Tried(&'a Tried),
}

struct Sweep<'a> {
    spec: &'a Spec,
    stream_mix: &'a Arc<Mix>,
    streams: bool,
    settings: &'a Settings,
    began: &'a mut String,
    tried: &'a mut Vec<Tried>,
    tell: &'a mut dyn FnMut(Told),
    stop: &'a AtomicBool,
}

impl Sweep<'_> {
    fn trial(&mut self, load: f64) -> Result<Trial, End> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(End::Stopped);
        }
        (self.tell)(Told::Window {
            number: self.tried.len(),
            streams: self.streams,
            load,
        });
        let spec = match self.streams {
            false => self.at_rate(load),
            true => self.at_streams(load),
        };
        let decided = AtomicBool::new(false);
        let loosest_ms = self.settings.bounds_ms.last().copied().unwrap_or(f64::INFINITY);
        let (tell, stop, streams) = (&mut *self.tell, self.stop, self.streams);
        let measured = measure(
            &spec,
            &mut |second| {
                tell(Told::Second(second));
                let over = !streams && is_decided(second, loosest_ms, spec.duration_ns);
                if over || second.failed > 0 || stop.load(Ordering::Relaxed) {
                    decided.store(true, Ordering::Relaxed);
                }
            },
            &decided,
        );
        let report = measured.map_err(End::Failed)?.report;
        if self.stop.load(Ordering::Relaxed) {
            return Err(End::Stopped);
        }
        if self.tried.is_empty() {
            something_is_answered(&report).map_err(End::Failed)?;
        }
        if self.streams && report.total.streams == 0 && report.total.failed.all() == 0 {
            return Err(End::Failed(
                "--sweep-streams: no answer was a stream; say --stream, or give a --mix whose classes stream"
                    .to_owned(),
            ));
        }
        if self.began.is_empty() {
            self.began.clone_from(&report.began);
        }
        let trial = judged(&report, load, self.streams);
        let tried = Tried {
            streams: self.streams,
            load,
            // A figure for the record all the same: it took as long as the window, at least.
            p99_ms: trial.p99_ms.min(spec.duration_ns as f64 / 1e6),
            failed: trial.failed,
            valid: report.valid,
        };
        (self.tell)(Told::Tried(&tried));
        self.tried.push(tried);
        Ok(trial)
    }

    fn at_rate(&self, rate: f64) -> Spec {
        let loosest_ms = self.settings.bounds_ms.last().copied().unwrap_or(0.0);
        let enough_ns = ((loosest_ms * 1e6 * TIMEOUT_BOUNDS) as u64).max(LEAST_TIMEOUT_NS);
        Spec {
            load: Load::Open(Schedule::constant(rate)),
            warm_up_ns: self.spec.warm_up_ns.max(self.spec.duration_ns / WARM_UP_SHARE),
            timeout_ns: self.spec.timeout_ns.min(enough_ns),
            ..self.spec.clone()
        }
    }

    fn at_streams(&self, streams: f64) -> Spec {
        let connections = streams as usize;
        Spec {
            mix: self.stream_mix.clone(),
            load: Load::Closed,
            connections,
            threads: self.spec.threads.min(connections),
            warm_up_ns: self.spec.warm_up_ns.max(self.spec.duration_ns / WARM_UP_SHARE),
            ..self.spec.clone()
        }
    }
}

/// A target that answers nothing right, ever, is not to be searched for its limit.
fn something_is_answered(report: &Report) -> Result<(), String> {
    let (total, wrong) = (&report.total, answered_wrong(report));
    if wrong == 0 || wrong < total.sent {
        return Ok(());
    }
    let failed = &total.failed;
    let remedy = match failed.content {
        0 => "see with a plain run what is wrong: the key, the models, the path",
        _ => "if the answers do not come from the sandbox, say --no-verify",
    };
    Err(format!(
        "all {} requests of the first window failed (status {}, cut {}, content {}); {remedy}",
        total.sent, failed.status, failed.cut, failed.content
    ))
}

/// Whether this second alone puts the window's p99 over the bound: half of its requests are over, and a second is more
/// than a fiftieth of the window.
fn is_decided(second: &Second, bound_ms: f64, window_ns: u64) -> bool {
    second.answered > 0 && second.p50_ms > bound_ms && window_ns < 50_000_000_000
}

fn judged(report: &Report, load: f64, streams: bool) -> Trial {
    let times = if streams {
        &report.total.token_gap_ms
    } else {
        &report.total.latency_ms
    };
    Trial {
        load,
        // A window without an answer kept no bound.
        p99_ms: if times.count == 0 { f64::INFINITY } else { times.p99 },
        failed: report.total.failed.all(),
        // A wrong or broken answer is the target's own, however late the generator was.
        valid: report.valid || answered_wrong(report) > 0,
    }
}

fn answered_wrong(report: &Report) -> u64 {
    let failed = &report.total.failed;
    failed.status + failed.cut + failed.content
}

fn held(found: Found) -> Held {
    Held {
        bound_ms: found.bound_ms,
        limited_by: found.limited_by().map_or("", Limit::name).to_owned(),
        windows: found.loads(),
    }
}

#[cfg(test)]
mod tests;

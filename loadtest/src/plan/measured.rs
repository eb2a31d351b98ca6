//! The measurements file: which documents it may hold, and what of them a plan uses. Reads files; fits nothing.
//!
//! A file holds JSON documents one after another, or arrays of them. Each is an `Annotated` run, a bare report (what
//! `run --output json` prints), a `Swept` or an `Idle`; others are passed over with a word.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{bounds, cost::Work};
use crate::report::{Report, frontier::Frontier};

/// A run's report with what the report itself cannot know. Only `report` must be there:
///
/// ```json
/// {"name": "chat", "shards": 1, "profile": "bare", "machine": "AMD EPYC, 2 cores", "tls": false,
///  "new_connections_per_call": 0.0, "report": {"valid": true, …}}
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Annotated {
    #[serde(default)]
    pub name: Option<String>,
    /// Of the gateway that was measured.
    #[serde(default = "one")]
    pub shards: u32,
    #[serde(default)]
    pub profile: Profile,
    #[serde(default)]
    pub machine: Option<String>,
    /// Whether clients came over TLS.
    #[serde(default)]
    pub tls: bool,
    #[serde(default)]
    pub new_connections_per_call: f64,
    /// When, with which versions, by which command: for readers.
    #[serde(default)]
    pub about: Option<Value>,
    pub report: Report,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// The pass-through: key checked, model's name edited, usage read and recorded.
    #[default]
    Bare,
    /// Every feature on.
    Everything,
    /// Every call answered from the cache.
    Hit,
}

impl Profile {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Everything => "everything",
            Self::Hit => "hit",
        }
    }
}

/// A sweep's frontier with what it cannot know itself: `{"shards": 2, "sweep": {…}}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swept {
    pub shards: u32,
    #[serde(default)]
    pub machine: Option<String>,
    #[serde(default)]
    pub about: Option<Value>,
    pub sweep: Frontier,
}

/// The highest rate that so many shards held under a bound of p99.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalePoint {
    pub label: String,
    pub shards: u32,
    pub bound_ms: f64,
    pub rate: f64,
}

/// What connections that wait cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idle {
    pub idle_connections: u64,
    pub bytes_each: f64,
    #[serde(default = "one")]
    pub shards: u32,
    #[serde(default)]
    pub machine: Option<String>,
    #[serde(default)]
    pub about: Option<Value>,
}

fn one() -> u32 {
    1
}

/// One run that a plan can use.
#[derive(Clone, Debug)]
pub struct Run {
    /// `FILE run 3 (chat)`.
    pub label: String,
    pub name: String,
    pub shards: u32,
    pub profile: Profile,
    pub work: Work,
    pub cpu_us: f64,
    pub rate: f64,
    pub connections: f64,
    /// Of its shards' time.
    pub busy: f64,
    pub rss_before_mib: f64,
    pub rss_peak_mib: f64,
}

/// All that was read.
#[derive(Debug, Default)]
pub struct Measurements {
    pub runs: Vec<Run>,
    pub scale: Vec<ScalePoint>,
    pub idle: Vec<(String, Idle)>,
    pub machines: Vec<String>,
    /// What was passed over, and why.
    pub notes: Vec<String>,
}

/// Of calls that failed, above which a run says nothing about what a call costs.
const MOST_FAILED: f64 = 0.01;

impl Measurements {
    /// Reads files; an error names file and document.
    pub fn read(paths: &[PathBuf]) -> Result<Self, String> {
        let mut all = Self::default();
        for path in paths {
            all.read_file(path)?;
        }
        all.machines.sort();
        all.machines.dedup();
        if !paths.is_empty() && all.runs.is_empty() && all.scale.is_empty() && all.idle.is_empty() {
            let files: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            let notes = if all.notes.is_empty() {
                "no document in it".to_owned()
            } else {
                all.notes.join("\n  ")
            };
            return Err(format!("{}: nothing a plan can use:\n  {notes}", files.join(", ")));
        }
        Ok(all)
    }

    fn read_file(&mut self, path: &Path) -> Result<(), String> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|bad| format!("{name}: {bad}"))?;
        let short = path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut number = 0;
        for document in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            let document =
                document.map_err(|bad| format!("{name}:{}:{}: not JSON: {bad}", bad.line(), bad.column()))?;
            let documents = match document {
                Value::Array(documents) => documents,
                one => vec![one],
            };
            for document in documents {
                number += 1;
                let label = format!("{short} run {number}");
                self.take(&label, document)
                    .map_err(|bad| format!("{name}: document {number}: {bad}"))?;
            }
        }
        Ok(())
    }

    fn take(&mut self, label: &str, document: Value) -> Result<(), String> {
        let has = |key: &str| document.get(key).is_some();
        if has("report") {
            self.take_run(label, typed(document)?);
        } else if has("sweep") {
            self.take_sweep(label, typed(document)?);
        } else if has("window_seconds") && has("tried") {
            self.notes
                .push(format!("{label} is a bare sweep: taken as measured on 1 shard"));
            let (machine, about) = (None, None);
            let sweep: Frontier = typed(document)?;
            self.take_sweep(
                label,
                Swept {
                    shards: 1,
                    machine,
                    about,
                    sweep,
                },
            );
        } else if has("idle_connections") {
            let idle: Idle = typed(document)?;
            match bounds::fault_of_idle(&idle) {
                Some(why) => self.notes.push(format!("{label} passed over: {why}")),
                None => {
                    self.machines.extend(idle.machine.clone());
                    self.idle.push((label.to_owned(), idle));
                }
            }
        } else if has("latency_ms") && has("answered") {
            self.notes.push(format!(
                "{label} is a bare report: taken as measured on 1 shard, pass-through"
            ));
            let (name, machine, about) = (None, None, None);
            let report: Report = typed(document)?;
            let (tls, profile) = (report.url.starts_with("https:"), Profile::Bare);
            let run = Annotated {
                name,
                shards: 1,
                profile,
                machine,
                tls,
                new_connections_per_call: 0.0,
                about,
                report,
            };
            self.take_run(label, run);
        } else {
            let known = "a report or a sweep of `run --output json`, nor one under \"report\" or \"sweep\", nor has it \
                         \"idle_connections\"";
            self.notes.push(format!("{label} passed over: it is neither {known}"));
        }
        Ok(())
    }

    /// Each bound is a point; one at which the generator gave out says nothing of the gateway's scale.
    fn take_sweep(&mut self, label: &str, swept: Swept) {
        if let Some(why) = bounds::fault_of_sweep(&swept) {
            self.notes.push(format!("{label} passed over: {why}"));
            return;
        }
        self.machines.extend(swept.machine);
        for held in &swept.sweep.requests {
            let bound_ms = held.bound_ms;
            match held.median() {
                Some(rate) if held.limited_by != "generator" => {
                    self.scale.push(ScalePoint {
                        label: label.to_owned(),
                        shards: swept.shards,
                        bound_ms,
                        rate,
                    });
                }
                _ => self.notes.push(format!(
                    "{label}, p99 under {bound_ms} ms, passed over: it names no limit of the gateway"
                )),
            }
        }
    }

    fn take_run(&mut self, label: &str, run: Annotated) {
        self.machines.extend(run.machine.clone());
        let used = usable(label, &run).and_then(|usable| match bounds::fault_of_run(&usable) {
            None => Ok(usable),
            Some(why) => Err(why),
        });
        match used {
            Ok(usable) => {
                if !run.report.valid {
                    let why = run.report.invalid_because.as_deref().unwrap_or("it does not say why");
                    self.notes.push(format!(
                        "the latencies of {label} are void ({why}); what its calls cost is counted all the same"
                    ));
                }
                self.runs.push(usable);
            }
            Err(why) => self.notes.push(format!("{label} passed over: {why}")),
        }
    }
}

fn typed<T: DeserializeOwned>(document: Value) -> Result<T, String> {
    serde_json::from_value(document).map_err(|bad| bad.to_string())
}

/// A run as a plan sees it, or why it cannot be used.
fn usable(label: &str, run: &Annotated) -> Result<Run, String> {
    let report = &run.report;
    let total = &report.total;
    let Some(watched) = report
        .watched
        .as_ref()
        .filter(|watched| watched.cpu_us_per_request > 0.0)
    else {
        return Err("it has no CPU time of the gateway: run with --watch-pid".to_owned());
    };
    if run.shards == 0 {
        return Err("\"shards\" is 0".to_owned());
    }
    if total.answered == 0 || report.seconds <= 0.0 {
        return Err("it has no answered call".to_owned());
    }
    let failed = &total.failed;
    // As floating numbers: counts in a file may be any, and their sum overflow.
    let failed: f64 = [
        failed.status,
        failed.connect,
        failed.timeout,
        failed.cut,
        failed.content,
    ]
    .iter()
    .map(|count| *count as f64)
    .sum();
    let failed = failed / (total.answered as f64 + failed);
    if failed > MOST_FAILED {
        return Err(format!("{:.1}% of its calls failed", failed * 100.0));
    }
    let calls = total.answered as f64;
    let sole = match report.classes.len() {
        1 => report.classes.keys().next().cloned(),
        _ => None,
    };
    let name = run.name.clone().or(sole).unwrap_or_else(|| report.mix.clone());
    let kb = |bytes: u64| bytes as f64 / calls / 1000.0;
    let (events, kb_in, kb_out) = (
        total.stream_events as f64 / calls,
        kb(total.bytes_sent),
        kb(total.bytes_received),
    );
    let tls = if run.tls { 1.0 } else { 0.0 };
    Ok(Run {
        label: if name.is_empty() {
            label.to_owned()
        } else {
            format!("{label} ({name})")
        },
        name,
        shards: run.shards,
        profile: run.profile,
        work: Work::of_call(events, kb_in, kb_out, run.new_connections_per_call, tls, 0.0),
        cpu_us: watched.cpu_us_per_request,
        rate: if total.rate > 0.0 {
            total.rate
        } else {
            calls / report.seconds
        },
        connections: report.connections as f64,
        busy: watched.cpu_us_per_request * calls / 1e6 / report.seconds / f64::from(run.shards),
        rss_before_mib: watched.rss_mib_before,
        rss_peak_mib: watched.rss_mib_peak,
    })
}

//! Between which bounds every number of a demand and of a measurement lies. What is outside is a slip of the pen, and
//! would make figures that no machine bears out, or none at all. Knows no plan.

use serde_saphyr::{Location, Spanned};

use super::{
    demand::{Class, Demand},
    measured::{Idle, Run, Swept},
    quantity::{Amount, Quantity},
};

/// The least and the most that a number may be, and how they are told.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    least: f64,
    most: f64,
    told: &'static str,
}

const fn bound(least: f64, most: f64, told: &'static str) -> Bound {
    Bound { least, most, told }
}

impl Bound {
    /// What is wrong with a number and what would be right; numbers that are none are outside too.
    fn fault(&self, what: &str, number: f64) -> Option<String> {
        let told = self.told;
        (!(self.least..=self.most).contains(&number)).then(|| format!("{what} is {number:?}; {told} would be right"))
    }
}

const TIB: f64 = 1024.0 * 1024.0 * 1024.0 * 1024.0;
const MIB: f64 = 1024.0 * 1024.0;

/// A hundred thousand calls of everyone alive.
const CALLS_PER_DAY: Bound = bound(1.0, 1e15, "1 to 1e15 calls a day");
const PEAK_FACTOR: Bound = bound(1.0, 1000.0, "1 to 1000");
const GROWTH_PER_YEAR: Bound = bound(0.0, 100.0, "0% to 10000%");
const GROWTH_YEARS: Bound = bound(0.0, 20.0, "0 to 20 years");
const SHARE: Bound = bound(0.0, 1.0, "0% to 100%");
const TARGET_UTILISATION: Bound = bound(0.01, 1.0, "1% to 100%");
const SCALE_MARGIN: Bound = bound(0.0, 0.99, "0% to 99%");
const TOKENS: Bound = bound(0.0, 1e8, "0 to 1e8 tokens");
const TEXT_BYTES: Bound = bound(0.0, 1024.0 * MIB, "0 to 1GiB, in bytes");
const DURATION_S: Bound = bound(0.0, 86_400.0, "0 to 1d, in seconds");
const EVENTS: Bound = bound(1.0, 1e7, "1 to 1e7 events");
const CALLS_PER_CONNECTION: Bound = bound(1.0, 1e9, "1 to 1e9");
const CACHE_BYTES: Bound = bound(0.0, 64.0 * TIB, "0 to 64TiB, in bytes");
const KEYS: Bound = bound(0.0, 1e9, "0 to 1e9 keys");
const CONNECTIONS: Bound = bound(0.0, 1e10, "0 to 1e10 connections");
const PROVIDER_ADDRESSES: Bound = bound(1.0, 1e6, "1 to 1e6 addresses");
const SPOOL_HOURS: Bound = bound(0.0, 8784.0, "0 to 8784 hours, a year,");
const RECORD_BYTES: Bound = bound(1.0, MIB, "1B to 1MiB, in bytes,");
const CORES: Bound = bound(1.0, 4096.0, "1 to 4096 cores");
const RESERVED_CORES: Bound = bound(0.0, 4096.0, "0 to 4096 cores");
const MEMORY_BYTES: Bound = bound(MIB, 64.0 * TIB, "1MiB to 64TiB, in bytes,");
const NETWORK_GBIT: Bound = bound(0.001, 1e5, "0.001 to 1e5 Gbit/s");
const DESCRIPTORS: Bound = bound(1.0, 1e10, "1 to 1e10 descriptors");
const DISK_BYTES: Bound = bound(0.0, 1024.0 * TIB, "0 to 1024TiB, in bytes,");

const MEASURED_SHARDS: Bound = bound(1.0, 4096.0, "1 to 4096");
const MEASURED_CPU_US: Bound = bound(1e-3, 1e8, "0.001 to 1e8 µs a call");
const MEASURED_RATE: Bound = bound(1e-3, 1e9, "0.001 to 1e9 a second");
const MEASURED_EVENTS: Bound = bound(0.0, 1e7, "0 to 1e7 a call");
const MEASURED_KB: Bound = bound(0.0, 1e7, "0 to 1e7 KB a call");
/// What a run's calls took of each shard, which is one core: more by far is a wrong count.
const MEASURED_BUSY: Bound = bound(0.0, 1000.0, "0 to 1000 cores a shard");
const MEASURED_MEMORY_MIB: Bound = bound(0.0, 64.0 * MIB, "0 to 64TiB, in MiB,");
const MEASURED_P99_MS: Bound = bound(1e-6, 1e7, "0.000001 to 1e7 ms");
const IDLE_CONNECTIONS: Bound = bound(1.0, 1e10, "1 to 1e10");
const IDLE_BYTES: Bound = bound(0.0, 64.0 * MIB, "0 to 64MiB, in bytes,");

type Number<'a> = (&'a str, f64, Bound);

fn first(numbers: &[Number]) -> Option<String> {
    numbers
        .iter()
        .find_map(|(what, number, bound)| bound.fault(what, *number))
}

/// The first of these numbers outside its bounds, all of which stand where `at` does.
fn first_at<T>(at: &Spanned<T>, numbers: &[Number]) -> Option<(Location, String)> {
    first(numbers).map(|told| (at.referenced, told))
}

/// The first number of a demand that is outside its bounds, and where.
pub fn fault(demand: &Demand) -> Option<(Location, String)> {
    let Demand {
        calls_per_day: calls,
        peak_factor: peak,
        target_utilisation: target,
        ..
    } = demand;
    first_at(calls, &[("calls_per_day", calls.value.0, CALLS_PER_DAY)])
        .or_else(|| first_at(peak, &[("peak_factor", peak.value.0, PEAK_FACTOR)]))
        .or_else(|| first_at(target, &[("target_utilisation", target.value.0, TARGET_UTILISATION)]))
        .or_else(|| fault_of_growth(demand))
        .or_else(|| {
            demand.classes.value.iter().find_map(|(name, class)| {
                let told = fault_of_class(&class.value)?;
                Some((class.referenced, format!("class '{name}': {told}")))
            })
        })
        .or_else(|| fault_of_options(demand))
        .or_else(|| fault_of_node(demand))
}

fn fault_of_growth(demand: &Demand) -> Option<(Location, String)> {
    let at = demand.growth.as_ref()?;
    first_at(
        at,
        &[
            ("growth.per_year", at.value.per_year.0, GROWTH_PER_YEAR),
            ("growth.years", at.value.years.0, GROWTH_YEARS),
            (
                "calls_per_day with its growth",
                demand.grown_calls_per_day(),
                CALLS_PER_DAY,
            ),
        ],
    )
}

fn fault_of_class(class: &Class) -> Option<String> {
    let size = |amount: Amount| match amount {
        Amount::Tokens(tokens) => (tokens, TOKENS),
        Amount::Bytes(bytes) => (bytes, TEXT_BYTES),
    };
    let (prompt, answer) = (size(class.prompt.0), size(class.answer.0));
    let events = class.events.map_or(1.0, |events| events.0.number());
    first(&[
        ("share", class.share.0, SHARE),
        ("prompt", prompt.0, prompt.1),
        ("answer", answer.0, answer.1),
        ("duration", class.duration.0.number(), DURATION_S),
        ("events", events, EVENTS),
    ])
}

fn fault_of_options(demand: &Demand) -> Option<(Location, String)> {
    let tls = demand.tls.as_ref().and_then(|at| {
        let every = at.value.calls_per_connection.map_or(1.0, |every| every.0);
        first_at(
            at,
            &[
                ("tls.clients", at.value.clients.0, SHARE),
                ("tls.providers", at.value.providers.0, SHARE),
                ("tls.calls_per_connection", every, CALLS_PER_CONNECTION),
            ],
        )
    });
    let cache = || {
        let at = demand.cache.as_ref()?;
        let size = ("cache.size", at.value.size.0, CACHE_BYTES);
        first_at(at, &[("cache.hits", at.value.hits.0, SHARE), size])
    };
    let spool = || {
        let at = demand.spool.as_ref()?;
        let record = at.value.record.map_or(RECORD_BYTES.least, |record| record.0);
        let hours = ("spool.hours", at.value.hours.0, SPOOL_HOURS);
        first_at(at, &[hours, ("spool.record", record, RECORD_BYTES)])
    };
    let counts = || {
        [
            ("keys", &demand.keys, KEYS),
            ("idle_client_connections", &demand.idle_client_connections, CONNECTIONS),
            ("provider_addresses", &demand.provider_addresses, PROVIDER_ADDRESSES),
        ]
        .into_iter()
        .find_map(|(what, at, bound)| {
            let at = at.as_ref()?;
            first_at(at, &[(what, at.value.0, bound)])
        })
    };
    let shares = || {
        [
            ("translated", &demand.translated, SHARE),
            ("scale_margin", &demand.scale_margin, SCALE_MARGIN),
        ]
        .into_iter()
        .find_map(|(what, at, bound)| {
            let at = at.as_ref()?;
            first_at(at, &[(what, at.value.0, bound)])
        })
    };
    tls.or_else(cache).or_else(spool).or_else(counts).or_else(shares)
}

fn fault_of_node(demand: &Demand) -> Option<(Location, String)> {
    let at = &demand.node;
    let node = &at.value;
    first_at(
        at,
        &[
            ("node.cores", node.cores.into(), CORES),
            ("node.reserved_cores", demand.reserved_cores().into(), RESERVED_CORES),
            ("node.memory", node.memory.0, MEMORY_BYTES),
            ("node.network_gbit", node.network_gbit.0, NETWORK_GBIT),
            ("node.descriptors", node.descriptors.0, DESCRIPTORS),
            ("node.disk", node.disk.0, DISK_BYTES),
        ],
    )
}

/// Why a run is of no use to a plan.
pub fn fault_of_run(run: &Run) -> Option<String> {
    first(&[
        ("\"shards\"", run.shards.into(), MEASURED_SHARDS),
        ("\"cpu_us_per_request\"", run.cpu_us, MEASURED_CPU_US),
        ("\"rate\"", run.rate, MEASURED_RATE),
        ("\"connections\"", run.connections, CONNECTIONS),
        ("its CPU time, by its calls and seconds,", run.busy, MEASURED_BUSY),
        ("\"rss_mib_before\"", run.rss_before_mib, MEASURED_MEMORY_MIB),
        ("\"rss_mib_peak\"", run.rss_peak_mib, MEASURED_MEMORY_MIB),
        ("\"stream_events\" by its calls", run.work.events(), MEASURED_EVENTS),
        ("\"bytes_sent\" by its calls", run.work.kb_in(), MEASURED_KB),
        ("\"bytes_received\" by its calls", run.work.kb_out(), MEASURED_KB),
        ("\"new_connections_per_call\"", run.work.new_connections(), SHARE),
    ])
}

/// Why a sweep is.
pub fn fault_of_sweep(swept: &Swept) -> Option<String> {
    first(&[("\"shards\"", swept.shards.into(), MEASURED_SHARDS)]).or_else(|| {
        swept.sweep.requests.iter().find_map(|held| {
            let windows = held
                .windows
                .iter()
                .map(|rate| ("a rate in \"windows\"", *rate, MEASURED_RATE));
            let all: Vec<Number> = windows
                .chain([("\"bound_ms\"", held.bound_ms, MEASURED_P99_MS)])
                .collect();
            first(&all)
        })
    })
}

/// Why a measurement of idle connections is.
pub fn fault_of_idle(idle: &Idle) -> Option<String> {
    first(&[
        ("\"idle_connections\"", idle.idle_connections as f64, IDLE_CONNECTIONS),
        ("\"bytes_each\"", idle.bytes_each, IDLE_BYTES),
        ("\"shards\"", idle.shards.into(), MEASURED_SHARDS),
    ])
}

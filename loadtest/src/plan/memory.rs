//! What of a node's memory is always taken, and what each connection adds. Knows runs and defaults, not how many nodes.

use super::{
    defaults::{self, Assumed, MIB},
    demand::Demand,
    figure::{Figure, Sources},
    load::Load,
    measured::Measurements,
    quantity::Bytes,
};

/// Memory of a node: `fixed` whatever is asked of it, `fleet` shared by however many nodes there are.
#[derive(Clone, Debug)]
pub struct Memory {
    pub fixed: Vec<Figure>,
    pub fleet: Vec<Figure>,
}

impl Memory {
    pub fn of(demand: &Demand, load: &Load, measured: &Measurements) -> Self {
        Self {
            fixed: fixed(demand, measured),
            fleet: fleet(demand, load, measured),
        }
    }

    pub fn fixed_bytes(&self) -> f64 {
        self.fixed.iter().map(|figure| figure.value).sum()
    }

    pub fn fleet_bytes(&self) -> f64 {
        self.fleet.iter().map(|figure| figure.value).sum()
    }

    pub fn sources(&self) -> Sources {
        self.fixed
            .iter()
            .chain(&self.fleet)
            .fold(Sources::default(), |all, figure| all.and(&figure.sources))
    }
}

fn fixed(demand: &Demand, measured: &Measurements) -> Vec<Figure> {
    let assumed = |assumed: Assumed| (assumed.value, Sources::assumed(assumed));
    let cold = measured
        .runs
        .iter()
        .filter(|run| run.rss_before_mib > 0.0)
        .min_by(|left, right| left.rss_before_mib.total_cmp(&right.rss_before_mib));
    let base = cold.map_or_else(
        || assumed(defaults::BASE_MEMORY),
        |run| (run.rss_before_mib * MIB, Sources::measured([&run.label])),
    );
    let shards = f64::from(demand.shards_per_node());
    let shard = assumed(defaults::SHARD_MEMORY);
    let system = assumed(defaults::SYSTEM_MEMORY);
    let cache = demand.cache.as_ref().map_or(Bytes(0.0), |cache| cache.value.size);
    let keys = demand.keys.as_ref().map_or(0.0, |keys| keys.value.0);
    let key = assumed(defaults::KEY_BYTES);
    vec![
        Figure::new("operating system", system.0, "bytes a node", system.1),
        Figure::new("both planes, unloaded", base.0, "bytes a node", base.1),
        Figure::new(
            "shards",
            shards * shard.0,
            "bytes a node",
            shard.1.and(&Sources::demand("node.cores")),
        ),
        Figure::new(
            "snapshots",
            keys * key.0,
            "bytes a node",
            key.1.and(&Sources::demand("keys")),
        ),
        Figure::new("caches", cache.0, "bytes a node", Sources::demand("cache.size")),
    ]
}

fn fleet(demand: &Demand, load: &Load, measured: &Measurements) -> Vec<Figure> {
    let idle = idle_connection(measured);
    let busy = busy_connection(measured);
    let sockets = (load.client_connections + load.provider_connections) * defaults::KERNEL_SOCKET.value;
    let waiting = load.client_connections - load.in_flight + load.provider_connections - load.in_flight;
    let prompts: f64 = load
        .classes
        .iter()
        .map(|class| class.in_flight * class.prompt_bytes)
        .sum();
    let (clients, providers) = demand.tls_shares();
    let tls =
        (load.client_connections * clients + load.provider_connections * providers) * defaults::TLS_CONNECTION.value;
    let in_flight = Sources::demand("classes");
    vec![
        Figure::new(
            "connections that wait",
            waiting * idle.0,
            "bytes",
            idle.1.and(&Sources::demand("idle_client_connections")),
        ),
        Figure::new(
            "calls in flight",
            load.in_flight * busy.0,
            "bytes",
            busy.1.and(&in_flight),
        ),
        Figure::new(
            "prompts held until answered",
            prompts,
            "bytes",
            in_flight.clone().and(&Sources::assumed(defaults::BYTES_PER_TOKEN)),
        ),
        Figure::new(
            "TLS",
            tls,
            "bytes",
            Sources::demand("tls").and(&Sources::assumed(defaults::TLS_CONNECTION)),
        ),
        Figure::new(
            "sockets in the kernel",
            sockets,
            "bytes",
            in_flight.and(&Sources::assumed(defaults::KERNEL_SOCKET)),
        ),
    ]
}

fn idle_connection(measured: &Measurements) -> (f64, Sources) {
    match measured.idle.iter().max_by_key(|(_, idle)| idle.idle_connections) {
        Some((label, idle)) => (idle.bytes_each, Sources::measured([label])),
        None => (
            defaults::IDLE_CONNECTION.value,
            Sources::assumed(defaults::IDLE_CONNECTION),
        ),
    }
}

/// What RSS grew by for each connection, over the two runs that differ most in connections; the prompts held are counted
/// apart, so they are taken off.
fn busy_connection(measured: &Measurements) -> (f64, Sources) {
    /// Fewer times as many connections tell noise, not a slope.
    const APART: f64 = 4.0;
    let with_memory = || {
        measured
            .runs
            .iter()
            .filter(|run| run.rss_peak_mib > 0.0 && run.connections >= 1.0)
    };
    let few = with_memory().min_by(|left, right| left.connections.total_cmp(&right.connections));
    let many = with_memory().max_by(|left, right| left.connections.total_cmp(&right.connections));
    let otherwise = (
        defaults::BUSY_CONNECTION.value,
        Sources::assumed(defaults::BUSY_CONNECTION),
    );
    let (Some(few), Some(many)) = (few, many) else {
        return otherwise;
    };
    if many.connections < APART * few.connections {
        return otherwise;
    }
    let grown = (many.rss_peak_mib - few.rss_peak_mib) * MIB;
    let held = 1000.0 * (many.connections * many.work.kb_in() - few.connections * few.work.kb_in());
    let each = (grown - held) / (many.connections - few.connections);
    if each <= 0.0 {
        return otherwise;
    }
    (each, Sources::measured([&few.label, &many.label]))
}

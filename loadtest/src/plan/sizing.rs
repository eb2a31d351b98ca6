//! The plan: from a demand and measurements to nodes, with every figure's source. Pure; files and rendering are others'.

use serde::Serialize;

use super::{
    cost::Cost,
    defaults::{self, GIB},
    demand::Demand,
    figure::{Figure, Sources},
    growth::Scale,
    limits::{self, Beyond},
    load::{ClassLoad, Load},
    measured::Measurements,
    memory::Memory,
    quantity::Bytes,
    resources::{self, Resource, Utilisation},
};

#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    pub demand: String,
    pub measurements: Vec<String>,
    pub machines: Vec<String>,
    pub calls_per_day: f64,
    pub redundant_nodes: u32,
    pub nodes: u64,
    pub shards: u64,
    pub figures: Vec<Figure>,
    /// What a node's memory is made of.
    pub memory: Vec<Figure>,
    pub resources: Vec<Utilisation>,
    pub breaks_first: Break,
    pub classes: Vec<ClassLoad>,
    pub cost: Cost,
    pub cost_error_max: f64,
    pub cost_error_mean: f64,
    pub scale: Scale,
    /// What goes further than the measurements bear; only with `--extrapolate` is there a plan with any.
    pub beyond: Vec<Beyond>,
    pub notes: Vec<String>,
}

/// The first resource that is exhausted as the demand grows, with the redundant nodes lost.
#[derive(Clone, Debug, Serialize)]
pub struct Break {
    pub resource: &'static str,
    pub times_peak: f64,
    pub times_peak_all_up: f64,
    pub calls_per_day: f64,
}

pub struct Given<'a> {
    pub demand: &'a Demand,
    pub demand_file: String,
    pub measured: &'a Measurements,
    pub measured_files: Vec<String>,
}

/// A node's shape with what the shards make of it.
struct Fleet {
    shards_per_node: f64,
    nodes: f64,
    redundant: f64,
}

/// The error says why no number of such nodes would do.
pub fn plan(given: Given) -> Result<Plan, String> {
    let Given { demand, measured, .. } = given;
    let scale = Scale::of(demand, measured);
    let cost = Cost::fit(&measured.runs, demand.features.any(), &|shards| scale.slowdown(shards));
    let load = Load::of(demand, &cost, &event_bytes(measured));
    let memory = Memory::of(demand, &load, measured);
    let shards_per_node = scale.most_useful(demand.shards_per_node());
    let resources = resources_of(demand, &load, &memory, &scale, f64::from(shards_per_node));
    let target = demand.target_utilisation.value.0;
    let mut nodes: f64 = 1.0;
    for resource in &resources {
        let needed = resource.nodes(target).ok_or_else(|| too_small(resource, target))?;
        nodes = nodes.max(needed);
    }
    let fleet = Fleet {
        shards_per_node: f64::from(shards_per_node),
        nodes,
        redundant: f64::from(demand.redundancy.0),
    };
    let at_peak: Vec<Utilisation> = resources
        .iter()
        .map(|one| one.at_peak(fleet.nodes, fleet.redundant))
        .collect();
    let first = resources::first_to_break(&at_peak).ok_or("a node has no resource")?;
    let breaks_first = Break {
        resource: first.name,
        times_peak: first.exhausted_at,
        times_peak_all_up: first.exhausted_at_all_up,
        calls_per_day: first.exhausted_at * demand.grown_calls_per_day(),
    };
    let (cost_error_max, cost_error_mean) = cost.errors();
    let mut notes = measured.notes.clone();
    notes.extend(cost.notes.iter().cloned());
    notes.extend(notes_of(demand, measured, shards_per_node));
    let all = fleet.nodes + fleet.redundant;
    Ok(Plan {
        demand: given.demand_file,
        measurements: given.measured_files,
        machines: measured.machines.clone(),
        calls_per_day: demand.grown_calls_per_day(),
        redundant_nodes: demand.redundancy.0,
        nodes: all as u64,
        shards: (all * fleet.shards_per_node) as u64,
        figures: figures(demand, &load, &scale, &fleet, &at_peak),
        memory: memory_of_a_node(&memory, all),
        resources: at_peak,
        breaks_first,
        beyond: limits::beyond(demand, &load, fleet.nodes, measured),
        classes: load.classes,
        cost,
        cost_error_max,
        cost_error_mean,
        scale,
        notes,
    })
}

fn too_small(resource: &Resource, target: f64) -> String {
    format!(
        "no number of such nodes would do: {} of {:.0}% of a node's {} is taken whatever is asked; choose a larger node",
        scaled(resource.fixed, resource.unit),
        target * 100.0,
        resource.name
    )
}

fn scaled(value: f64, unit: &str) -> String {
    if unit == "bytes" {
        format!("{:.1} GiB", value / GIB)
    } else {
        format!("{value:.0} {unit}")
    }
}

/// Bytes of a stream event: from the runs that stream, answers' heads left out.
fn event_bytes(measured: &Measurements) -> (f64, Sources) {
    let streamed: Vec<_> = measured.runs.iter().filter(|run| run.work.events() >= 10.0).collect();
    if streamed.is_empty() {
        return (defaults::EVENT_BYTES.value, Sources::assumed(defaults::EVENT_BYTES));
    }
    let each = |run: &&&super::measured::Run| {
        (run.work.kb_out() * 1000.0 - defaults::HEAD_OUT_BYTES.value).max(0.0) / run.work.events()
    };
    let labels: Vec<&str> = streamed.iter().map(|run| run.label.as_str()).collect();
    let mean = streamed.iter().map(|run| each(&run)).sum::<f64>() / streamed.len() as f64;
    (mean, Sources::measured(labels))
}

fn resources_of(demand: &Demand, load: &Load, memory: &Memory, scale: &Scale, shards: f64) -> Vec<Resource> {
    let node = &demand.node.value;
    let one = |name, unit, capacity, fixed, used, sources| Resource {
        name,
        unit,
        capacity,
        fixed,
        used,
        sources,
    };
    let gbit = |bits: f64| bits / 1e9;
    let descriptors = 2.0 * load.client_connections.max(load.provider_connections);
    let addresses = provider_addresses(demand);
    let mut found = vec![
        one(
            "CPU",
            "shards",
            scale.effective(shards),
            0.0,
            load.cores,
            load.cores_sources
                .clone()
                .and(scale.sources())
                .and(&Sources::demand("node.cores")),
        ),
        one(
            "memory",
            "bytes",
            node.memory.0,
            memory.fixed_bytes(),
            memory.fleet_bytes(),
            memory.sources().and(&Sources::demand("node.memory")),
        ),
        one(
            "network in",
            "Gbit/s",
            node.network_gbit.0,
            0.0,
            gbit(load.bits_in),
            load.network_sources.clone(),
        ),
        one(
            "network out",
            "Gbit/s",
            node.network_gbit.0,
            0.0,
            gbit(load.bits_out),
            load.network_sources.clone(),
        ),
        one(
            "descriptors",
            "descriptors",
            node.descriptors.0,
            shards * defaults::SHARD_DESCRIPTORS.value,
            descriptors,
            client_sources(demand)
                .and(&provider_sources(demand))
                .and(&Sources::assumed(defaults::SHARD_DESCRIPTORS)),
        ),
        one(
            "local ports",
            "ports",
            defaults::PORTS.value * addresses.0,
            0.0,
            load.provider_connections,
            provider_sources(demand)
                .and(&addresses.1)
                .and(&Sources::assumed(defaults::PORTS)),
        ),
    ];
    if let Some((bytes, sources)) = spool(demand) {
        found.push(one("spool disk", "bytes", node.disk.0, 0.0, bytes, sources));
    }
    found
}

fn provider_addresses(demand: &Demand) -> (f64, Sources) {
    match &demand.provider_addresses {
        Some(addresses) => (addresses.value.0, Sources::demand("provider_addresses")),
        None => (
            defaults::PROVIDER_ADDRESSES.value,
            Sources::assumed(defaults::PROVIDER_ADDRESSES),
        ),
    }
}

fn client_sources(demand: &Demand) -> Sources {
    let idle = demand
        .idle_client_connections
        .as_ref()
        .map(|_| Sources::demand("idle_client_connections"));
    demand
        .rate_sources()
        .and(&Sources::demand("classes, cache.hits"))
        .and(&idle.unwrap_or_default())
}

fn provider_sources(demand: &Demand) -> Sources {
    let spare = Sources::assumed(defaults::SPARE_PROVIDER_CONNECTIONS);
    demand
        .rate_sources()
        .and(&Sources::demand("classes, cache.hits"))
        .and(&spare)
}

/// Bytes of the whole fleet's records: of a peak while it can last, never more than a day's calls in a day.
fn spool(demand: &Demand) -> Option<(f64, Sources)> {
    let spool = &demand.spool.as_ref()?.value;
    let hours = spool.hours.0;
    let day = demand.grown_calls_per_day() * (hours / 24.0).max(1.0);
    let records = (demand.peak_rate() * hours * 3600.0).min(day);
    let (record, sources) = match spool.record {
        Some(Bytes(bytes)) => (bytes, Sources::demand("spool.record")),
        None => (defaults::RECORD_BYTES.value, Sources::assumed(defaults::RECORD_BYTES)),
    };
    Some((
        records * record,
        sources.and(&Sources::demand("spool.hours")).and(&demand.rate_sources()),
    ))
}

fn figures(demand: &Demand, load: &Load, scale: &Scale, fleet: &Fleet, at_peak: &[Utilisation]) -> Vec<Figure> {
    let rate = demand.rate_sources();
    let calls = rate.clone().and(&Sources::demand("classes, cache.hits"));
    let nodes = at_peak
        .iter()
        .fold(Sources::demand("node, redundancy, target_utilisation"), |all, one| {
            all.and(&one.sources)
        });
    let shards = load
        .cores_sources
        .clone()
        .and(scale.sources())
        .and(&Sources::demand("node.cores, target_utilisation"));
    let target = demand.target_utilisation.value.0;
    let needed = load.cores / (scale.effective(fleet.shards_per_node) * target) * fleet.shards_per_node;
    let clients = client_sources(demand);
    let providers = provider_sources(demand);
    let mut found = vec![
        Figure::new("calls at peak", load.rate, "calls/s", rate),
        Figure::new(
            "CPU of a call, mean",
            load.cores * 1e6 / load.rate,
            "µs",
            load.cores_sources.clone(),
        ),
        Figure::new(
            "shards that the calls fill, each alone",
            load.cores,
            "shards",
            load.cores_sources.clone(),
        ),
        Figure::new("shards needed, at the target", needed.ceil(), "shards", shards),
        Figure::new(
            "shards a node",
            fleet.shards_per_node,
            "shards",
            Sources::demand("node.cores"),
        ),
        Figure::new(
            "nodes, the redundant ones counted",
            fleet.nodes + fleet.redundant,
            "nodes",
            nodes,
        ),
        Figure::new("calls in flight", load.in_flight, "calls", calls.clone()),
        Figure::new("client connections", load.client_connections, "connections", clients),
        Figure::new(
            "provider connections",
            load.provider_connections,
            "connections",
            providers,
        ),
    ];
    for one in at_peak {
        let name = match one.name {
            "memory" => "memory a node",
            "network in" => "network in a node",
            "network out" => "network out a node",
            "descriptors" => "descriptors a node",
            "spool disk" => "spool disk a node",
            _ => continue,
        };
        found.push(Figure::new(name, one.used, one.unit, one.sources.clone()));
    }
    found
}

fn memory_of_a_node(memory: &Memory, nodes: f64) -> Vec<Figure> {
    let shared = memory.fleet.iter().map(|figure| Figure {
        value: figure.value / nodes,
        ..figure.clone()
    });
    memory.fixed.iter().cloned().chain(shared).collect()
}

fn notes_of(demand: &Demand, measured: &Measurements, shards_per_node: u32) -> Vec<String> {
    let mut notes = Vec::new();
    if measured.runs.is_empty() {
        notes.push(
            "no run was given: every cost is a default; measure with `tollgate-loadtest run --watch-pid`".to_owned(),
        );
    }
    if measured.machines.len() > 1 {
        notes.push(format!(
            "measured on several machines: {}",
            measured.machines.join("; ")
        ));
    }
    if shards_per_node < demand.shards_per_node() {
        notes.push(format!(
            "a node runs {shards_per_node} shards and not {}: by the law, more would do less",
            demand.shards_per_node()
        ));
    }
    notes
}

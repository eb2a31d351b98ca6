//! The demand as rates at peak: calls, work, connections and bytes a second of the whole fleet. Pure arithmetic over a
//! demand and the cost of a call.

use serde::Serialize;

use super::{
    cost::{Cost, Work},
    defaults::{self, Assumed},
    demand::{Class, Demand, Kind},
    figure::Sources,
    quantity::{Amount, Quantity as _},
};

/// A class at peak.
#[derive(Clone, Debug, Serialize)]
pub struct ClassLoad {
    pub name: String,
    pub kind: &'static str,
    /// Calls a second.
    pub rate: f64,
    pub work: Work,
    /// CPU of a call, features, translation and cache hits counted.
    pub cpu_us: f64,
    /// Calls that wait for a provider, by Little's law.
    pub in_flight: f64,
    pub prompt_bytes: f64,
    pub sources: Sources,
}

/// The fleet at peak.
#[derive(Clone, Debug, Serialize)]
pub struct Load {
    pub rate: f64,
    pub classes: Vec<ClassLoad>,
    /// Cores of one shard each that the calls fill.
    pub cores: f64,
    pub cores_sources: Sources,
    pub in_flight: f64,
    pub client_connections: f64,
    pub provider_connections: f64,
    pub bits_in: f64,
    pub bits_out: f64,
    pub network_sources: Sources,
}

/// A request's and an answer's sizes on the wire, heads counted, TCP/IP not.
struct Sizes {
    events: f64,
    prompt_bytes: f64,
    request_bytes: f64,
    answer_bytes: f64,
    sources: Sources,
}

impl Load {
    pub fn of(demand: &Demand, cost: &Cost, event_bytes: &(f64, Sources)) -> Self {
        let rate = demand.peak_rate();
        let mut load = Self {
            rate,
            classes: Vec::new(),
            cores: 0.0,
            cores_sources: demand.rate_sources(),
            in_flight: 0.0,
            client_connections: demand.idle_client_connections.as_ref().map_or(0.0, |idle| idle.value.0),
            provider_connections: 0.0,
            bits_in: 0.0,
            bits_out: 0.0,
            network_sources: demand.rate_sources().and(&Sources::assumed(defaults::PACKET_BYTES)),
        };
        for (name, class) in &demand.classes.value {
            load.add(demand, cost, event_bytes, name, &class.value);
        }
        load.client_connections += load.in_flight;
        load.provider_connections = load.in_flight * (1.0 + defaults::SPARE_PROVIDER_CONNECTIONS.value);
        load
    }

    fn add(&mut self, demand: &Demand, cost: &Cost, event_bytes: &(f64, Sources), name: &str, class: &Class) {
        let sizes = sizes_of(class, event_bytes);
        let rate = self.rate * class.share.0;
        let missed = 1.0 - demand.cache_hits();
        let (cpu_us, work, sources) = cpu_of(demand, cost, name, &sizes);
        let in_flight = rate * missed * class.duration.0.number();
        self.cores += rate * cpu_us / 1e6;
        self.cores_sources.add(&sources);
        self.network_sources.add(&sizes.sources);
        self.in_flight += in_flight;
        let request = wire_bytes(sizes.request_bytes, 0.0);
        let answer = wire_bytes(sizes.answer_bytes, sizes.events);
        // Both sides share the node's network: what comes from clients goes to providers, and back.
        self.bits_in +=
            8.0 * rate * (request.sent + answer.acknowledged + missed * (answer.sent + request.acknowledged));
        self.bits_out +=
            8.0 * rate * (answer.sent + request.acknowledged + missed * (request.sent + answer.acknowledged));
        self.classes.push(ClassLoad {
            name: name.to_owned(),
            kind: if class.kind == Kind::Stream {
                "stream"
            } else {
                "buffered"
            },
            rate,
            work,
            cpu_us,
            in_flight,
            prompt_bytes: sizes.prompt_bytes,
            sources,
        });
    }
}

fn cpu_of(demand: &Demand, cost: &Cost, name: &str, sizes: &Sizes) -> (f64, Work, Sources) {
    let (tls_in, tls_out) = demand.tls_shares();
    let every = demand.tls.as_ref().and_then(|tls| tls.value.calls_per_connection);
    let new_connections = 1.0 / every.map_or(defaults::CALLS_PER_CONNECTION.value, |every| every.0);
    let kb = |bytes: f64| bytes / 1000.0;
    let (kb_in, kb_out) = (kb(sizes.request_bytes), kb(sizes.answer_bytes));
    let work = Work::of_call(sizes.events, kb_in, kb_out, new_connections, tls_in, tls_out);
    let base = cost.of_class(name, work);
    let mut sources = base.sources;
    sources.add(&sizes.sources);
    let known = if every.is_some() {
        Sources::demand("tls")
    } else {
        Sources::assumed(defaults::CALLS_PER_CONNECTION)
    };
    sources.add(&known);
    let mut cpu_us = base.value * cost.features.value;
    sources.add(&cost.features.sources);
    if let Some(share) = demand.translated.as_ref().filter(|share| share.value.0 > 0.0) {
        cpu_us *= 1.0 + share.value.0 * (cost.translated.value - 1.0);
        sources.add(&cost.translated.sources);
        sources.add(&Sources::demand("translated"));
    }
    let hits = demand.cache_hits();
    if hits > 0.0 {
        cpu_us = (1.0 - hits) * cpu_us + hits * base.value * cost.hit.value;
        sources.add(&cost.hit.sources);
        sources.add(&Sources::demand("cache.hits"));
    }
    (cpu_us, work, sources)
}

fn sizes_of(class: &Class, event_bytes: &(f64, Sources)) -> Sizes {
    let mut sources = Sources::demand("classes");
    let mut known = |assumed: Assumed| {
        sources.add(&Sources::assumed(assumed));
        assumed.value
    };
    let prompt_bytes = match class.prompt.0 {
        Amount::Bytes(bytes) => bytes,
        Amount::Tokens(tokens) => tokens * known(defaults::BYTES_PER_TOKEN),
    };
    let request_bytes = prompt_bytes + known(defaults::HEAD_IN_BYTES);
    let head_out = known(defaults::HEAD_OUT_BYTES);
    let events = match (class.kind, &class.events, class.answer.0) {
        (Kind::Buffered, ..) => 0.0,
        (Kind::Stream, Some(events), _) => events.0.0,
        (Kind::Stream, None, answer) => answer.number(),
    };
    let answer_bytes = match (class.kind, class.answer.0) {
        (Kind::Buffered, Amount::Tokens(tokens)) => tokens * known(defaults::BYTES_PER_TOKEN),
        (_, Amount::Bytes(bytes)) => bytes,
        // The events' text is small beside what each event says around it.
        (Kind::Stream, Amount::Tokens(_)) => {
            sources.add(&event_bytes.1);
            events * event_bytes.0
        }
    };
    Sizes {
        events,
        prompt_bytes,
        request_bytes,
        answer_bytes: answer_bytes + head_out,
        sources,
    }
}

struct WireBytes {
    sent: f64,
    /// In the other direction.
    acknowledged: f64,
}

/// Bytes on the network for a message: a packet for each event, or for each 1,448 bytes.
fn wire_bytes(bytes: f64, events: f64) -> WireBytes {
    const SEGMENT_BYTES: f64 = 1448.0;
    const ACKNOWLEDGED: f64 = 0.5;
    let packets = events.max(bytes / SEGMENT_BYTES).ceil() + 1.0;
    let around = defaults::PACKET_BYTES.value;
    WireBytes {
        sent: bytes + packets * around,
        acknowledged: packets * ACKNOWLEDGED * around,
    }
}

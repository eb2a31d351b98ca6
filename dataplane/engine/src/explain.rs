//! What would become of a call, stage by stage, with reasons and numbers: nothing is sent. Runs the very stages that calls
//! run, up to where the first target would be dialled.

mod beside;
mod header;

use std::{net::IpAddr, rc::Rc};

use tollgate_config::{link::LimitStatus, money::PicoUsd};
use tollgate_wire::{
    head::{RequestHead, RequestView},
    http1::read::{self, Limits, Progress},
};

use crate::{
    Tick, compress,
    exact::Mark,
    exchange::{Exchange, Io, Local, Peer, Pinned},
    failure::{self, Failure},
    guard,
    limits::assumed,
    outputs::Outputs,
    routing::{choose, meaning, needs::Needs, reckoning::Reckoning},
    semantic,
    snapshot::{Route, Target},
    stage::Verdict,
    stages::{matching, route},
};

pub(crate) use header::{is_asked_for, note, write_line};

/// A call as its client would make it.
pub struct Asked<'a> {
    /// The name of the key it would come with.
    pub key: &'a str,
    /// `/v1/chat/completions` or any other path that calls a model.
    pub path: &'a str,
    pub body: &'a [u8],
    /// Header lines, each with its line end.
    pub headers: &'a str,
    /// How limits stand, as far as that is known.
    pub limits: &'a [LimitStatus],
}

/// What one stage decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    pub stage: &'static str,
    pub decision: String,
    pub why: String,
    /// Of `route`: every target of the model, in the document's order.
    pub candidates: Vec<Candidate>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub provider: String,
    pub model: String,
    /// It would be asked first.
    pub chosen: bool,
    pub why: String,
    /// Of this call, by the prices that are known.
    pub expected_cost: Option<PicoUsd>,
}

/// The stages up to the first that refuses, or up to the choice of a target. An error is what is wrong with the question.
pub fn explain(pinned: &Rc<Pinned>, asked: &Asked<'_>, unix_ms: u64) -> Result<Vec<Explained>, String> {
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: explain\r\n{}content-length: {}\r\n\r\n",
        asked.path,
        asked.headers,
        asked.body.len()
    );
    let mut parsed = RequestHead::default();
    match read::request(head.as_bytes(), &Limits::default(), &mut parsed) {
        Ok(Progress::Complete) => {}
        Ok(_) => return Err(format!("'{}' is no path", asked.path)),
        Err(bad) => {
            return Err(format!(
                "a request of this path and these headers is malformed: {bad:?}"
            ));
        }
    }
    let (mut local, mut out) = (Local::default(), Outputs::default());
    let mut io = Io {
        now: Tick(1_000_000_000),
        unix_ms,
        ready: true,
        request: RequestView {
            head: &parsed,
            buf: head.as_bytes(),
        },
        body: asked.body,
        local: &mut local,
        out: &mut out,
    };
    let mut exchange = Exchange::default();
    let peer = Peer {
        address: IpAddr::from([127, 0, 0, 1]),
        loopback: true,
        listener: None,
    };
    exchange.begin(pinned.clone(), peer, io.now);
    walk(&mut exchange, &mut io, asked)
}

fn walk(exchange: &mut Exchange, io: &mut Io<'_>, asked: &Asked<'_>) -> Result<Vec<Explained>, String> {
    let mut told = Vec::new();
    match matching::enter(exchange, io) {
        Verdict::Next => {
            let name = exchange.facts.surface.name;
            let why = format!("POST {} is a call of it", asked.path);
            told.push(step("match", format!("surface '{name}'"), why));
        }
        Verdict::Refuse(failure) => return Ok(vec![refused("match", exchange, &failure)]),
        Verdict::Pause | Verdict::Taken => return Err("the gateway would answer this itself".to_owned()),
    }
    for stage in exchange.facts.surface.stages {
        match stage.name {
            "identify" => match exchange.pin().keys.named(asked.key) {
                Some(key) => exchange.facts.key = Some(key),
                None => return Err(format!("there is no key '{}'", asked.key)),
            },
            "admit" => exchange.admitted.asked_for_body = true,
            // Nothing is known here of calls that came before, nor of how a shard is.
            "repeat" | "shed" => continue,
            "limit" => assumed::assume(exchange, io, asked.limits),
            "match" | "authorize" | "open" | "guard" | "cache" | "compress" | "route" => {}
            // Whatever comes now would call somebody.
            _ => break,
        }
        let verdict = match stage.name {
            "identify" => Verdict::Next,
            _ => (stage.enter)(exchange, io),
        };
        match verdict {
            Verdict::Next if stage.name == "guard" => told.push(of_guards(exchange, io)),
            // Only of models that have it.
            Verdict::Next if stage.name == "compress" => {
                told.extend(compress::told(exchange).map(|(decision, why)| step("compress", decision, why)));
            }
            Verdict::Next => told.push(passed(stage.name, exchange, io)),
            Verdict::Refuse(failure) => {
                told.push(match stage.name {
                    "route" => refused_by_route(exchange, io, &failure),
                    name => refused(name, exchange, &failure),
                });
                return Ok(told);
            }
            Verdict::Pause | Verdict::Taken => break,
        }
    }
    if told.last().is_some_and(|last| last.stage == "route") {
        told.extend(beside::told(exchange, io));
        return Ok(told);
    }
    Err(format!("'{}' is no path that calls a model by its name", asked.path))
}

fn step(stage: &'static str, decision: String, why: String) -> Explained {
    Explained {
        stage,
        decision,
        why,
        candidates: Vec::new(),
    }
}

fn refused(stage: &'static str, exchange: &Exchange, failure: &Failure) -> Explained {
    let decision = format!("refused with {}, code {}", failure.kind.status(), failure.kind.code());
    step(stage, decision, failure::message(exchange, failure).into_owned())
}

fn refused_by_route(exchange: &Exchange, io: &Io<'_>, failure: &Failure) -> Explained {
    Explained {
        candidates: candidates(exchange, io),
        ..refused("route", exchange, failure)
    }
}

fn passed(stage: &'static str, exchange: &Exchange, io: &Io<'_>) -> Explained {
    let pinned = exchange.pin();
    let facts = &exchange.facts;
    let key = facts.key.map(|key| pinned.keys.entry(key));
    let or_none = |name: Option<&str>| name.unwrap_or("none").to_owned();
    match stage {
        "identify" => {
            let team = or_none(key.and_then(|key| key.team.as_deref()));
            let user = or_none(key.and_then(|key| key.user.as_deref()));
            let name = key.map_or("?", |key| &*key.name);
            step(
                "identify",
                format!("key '{name}'"),
                format!("team: {team}; user: {user}"),
            )
        }
        "admit" => {
            let how = if facts.stream { "streamed" } else { "whole" };
            let why = format!("answered {how}; {} bytes of body", facts.request_body_bytes);
            step("admit", format!("model '{}'", facts.model_asked), why)
        }
        "authorize" => {
            let why = "the key's `models` have it, or it has none".to_owned();
            step("authorize", format!("may use '{}'", facts.model_asked), why)
        }
        "open" => {
            let why = match exchange.call.pinned_by {
                Some(member) => format!("'{member}' names what lives at one provider: the call goes there"),
                None => "the request names nothing that lives at a provider".to_owned(),
            };
            step("open", "passed".to_owned(), why)
        }
        "route" => chosen(exchange, io),
        "limit" if exchange.held.is_limited() => step(
            "limit",
            "passed".to_owned(),
            "what is left of its limits suffices".to_owned(),
        ),
        "cache" if facts.cache != Mark::None => of_cache(exchange, io),
        stage => step(stage, "passed".to_owned(), "nothing is configured".to_owned()),
    }
}

fn of_guards(exchange: &Exchange, io: &mut Io<'_>) -> Explained {
    match guard::told(exchange, io) {
        Some((decision, why)) => step("guard", decision, why),
        None => passed("guard", exchange, io),
    }
}

fn of_cache(exchange: &Exchange, io: &Io<'_>) -> Explained {
    let pinned = exchange.pin();
    let model = exchange
        .facts
        .route()
        .and_then(|route| pinned.snapshot.document.models.get(route));
    let name = model.and_then(|(_, model)| model.cache.as_deref()).unwrap_or("?");
    match exchange.facts.cache {
        Mark::Bypass(why) => step("cache", format!("'{name}' is passed by"), why.words().to_owned()),
        _ => {
            let why = "an answer that is there is given; one that comes is kept when it is complete, unrefused and of a kind that \
                       the cache allows";
            let near =
                semantic::told_before(exchange, io).map_or_else(String::new, |told| format!("; by meaning: {told}"));
            let cache = pinned.snapshot.document.caches.iter().find(|(known, _)| known == name);
            let tier = cache.and_then(|(_, cache)| cache.second.as_deref());
            let tier = tier.map_or_else(String::new, |tier| {
                format!(
                    "; where none is there the second tier is asked, for {} ms at most",
                    tier.timeout_ms
                )
            });
            step("cache", format!("looked up in '{name}'"), format!("{why}{near}{tier}"))
        }
    }
}

fn chosen(exchange: &Exchange, io: &Io<'_>) -> Explained {
    let candidates = candidates(exchange, io);
    let first = candidates.iter().find(|candidate| candidate.chosen);
    let decision = first.map_or_else(
        || "no target".to_owned(),
        |first| format!("{}/{} is asked first", first.provider, first.model),
    );
    let strategies = route_of(exchange, |route| {
        let names: Vec<&str> = route.tiers.iter().map(|tier| tier.strategy.name()).collect();
        match names.len() {
            0 | 1 => format!("strategy: {}", names.first().unwrap_or(&"priority")),
            _ => format!("tiers in order: {}", names.join(", ")),
        }
    });
    let mut why = strategies.unwrap_or_default();
    if let Some(judged) = read(exchange).and_then(meaning::decision) {
        why = format!("{why}; {judged}");
    }
    Explained {
        candidates,
        ..step("route", decision, why)
    }
}

fn route_of<T>(exchange: &Exchange, look: impl FnOnce(&Route) -> T) -> Option<T> {
    let pinned = exchange.pin();
    let model = exchange.facts.route()?;
    Some(look(pinned.snapshot.routes.get(model)?))
}

fn candidates(exchange: &Exchange, io: &Io<'_>) -> Vec<Candidate> {
    let pinned = exchange.pin();
    let told = route_of(exchange, |route| {
        let (reckoning, asked) = (
            Reckoning::new(exchange, io, route, exchange.admitted.bound),
            route::Asked::by(exchange, io, route),
        );
        let told = route.targets.iter().enumerate().map(|(index, target)| {
            let place = exchange
                .call
                .order
                .as_slice()
                .iter()
                .position(|&at| usize::from(at) == index);
            let mut model = String::new();
            target.model.write_name(exchange.facts.star(), &mut model);
            Candidate {
                provider: pinned.snapshot.endpoints[target.provider].provider.clone(),
                model,
                chosen: place == Some(0),
                why: why(exchange, (io, &asked), (route, index, target), place),
                expected_cost: reckoning.cost(target, &io.local.routing, (io.now, io.unix_ms)),
            }
        });
        told.collect()
    });
    told.unwrap_or_default()
}

/// Why a target has its place, or none.
fn why(
    exchange: &Exchange,
    (io, asked): (&Io<'_>, &route::Asked<'_>),
    (route, index, target): (&Route, usize, &Target),
    place: Option<usize>,
) -> String {
    match place {
        Some(place) => {
            let number = route.tiers.iter().position(|tier| tier.targets.contains(&index));
            let tier = number.and_then(|number| route.tiers.get(number));
            if let Some(judged) = judged(exchange, number, index) {
                return format!("number {}: {judged}", place + 1);
            }
            let by = tier.map_or("its place in the list", |tier| choose::words(tier.strategy));
            let by = match place {
                0 if exchange.call.order.by_prefix => "how the prompt begins",
                _ => by,
            };
            format!("number {} by {by}", place + 1)
        }
        None => {
            let known = || Needs::of(exchange.admitted.body(io.body)).lacking(target.facts);
            let obstacle = route::obstacle(exchange, io, asked, target).map(route::Obstacle::words);
            obstacle
                .or_else(|| known().map(Into::into))
                .unwrap_or("it is not asked for this call".into())
                .into_owned()
        }
    }
}

/// Why a target of a tier that goes by meaning has its place.
fn judged(exchange: &Exchange, tier: Option<usize>, target: usize) -> Option<String> {
    let pinned = exchange.pin();
    let (_, model) = pinned.snapshot.document.models.get(exchange.facts.route()?)?;
    meaning::why(read(exchange)?, tier?, target, model)
}

/// What the model made of the prompt's meaning; nothing where that was another one, which this took over from.
fn read(exchange: &Exchange) -> Option<&meaning::Read> {
    let reads = route_of(exchange, |route| route.reads_meaning)?;
    exchange.call.read.as_deref().filter(|_| reads)
}

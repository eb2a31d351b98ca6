//! The name that an answer is kept under: who may share it, by which policy, of which model, in whose words, and all of the
//! request that can change it. And which calls have none.

use std::{hash::Hasher, sync::Arc};

use tollgate_config::document::Dialect;
use tollgate_wire::head::Known;

use super::{
    About, Body, Form, Policy, Tenant, Wish,
    about::{self, Said},
    canon,
};
use crate::{
    exchange::{Exchange, Io},
    outputs::Rest,
    percent, relay,
    routing::residency::Regions,
    stages::{
        admit::Fields,
        route::{Asked, obstacle},
    },
    surface::Operation,
};

/// Why a call is neither looked up nor kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uncached {
    /// It says so.
    Asked,
    /// It is no chat, and asks for no vectors and no ranking.
    Operation,
    /// It names what lives at a provider, or is made to live there.
    Object,
    /// It is answered while nobody waits.
    Background,
    /// It says a temperature above zero.
    Temperature,
    /// A key stands in it twice or is no text, or it is no JSON that can be read.
    Unclear,
    /// It is a copy of another, or a look at a provider.
    Detached,
}

impl Uncached {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Asked => "the request says `x-tollgate-cache: bypass`",
            Self::Operation => "only chats, embeddings and rankings are kept",
            Self::Object => "the request names what lives at a provider, or wants its answer kept there",
            Self::Background => "the answer is made while nobody waits",
            Self::Temperature => {
                "the request has a `temperature` above 0, and the cache's `allow` does not have `temperature`"
            }
            Self::Unclear => "a key stands twice in the request's body, or is no text",
            Self::Detached => "it is a copy of another call",
        }
    }
}

/// The name of the call's answer.
pub(super) fn of(exchange: &mut Exchange, io: &mut Io<'_>, policy: &Policy, wish: Wish) -> Result<u128, Uncached> {
    if wish == Wish::Bypass {
        return Err(Uncached::Asked);
    }
    let (facts, admitted) = (&exchange.facts, &exchange.admitted);
    let surface = facts.surface;
    let dialect = surface.dialect.ok_or(Uncached::Operation)?;
    if facts.is_detached() || admitted.rest != Rest::Nothing {
        return Err(Uncached::Detached);
    }
    if !matches!(
        surface.operation,
        Operation::Chat | Operation::Embed(_) | Operation::Rerank
    ) {
        return Err(Uncached::Operation);
    }
    if admitted.in_background {
        return Err(Uncached::Background);
    }
    let call = &exchange.call;
    if !admitted.opened.is_empty() || call.pinned_by.is_some() || call.only_provider.is_some() {
        return Err(Uncached::Object);
    }
    let none = canon::Seed([0; 2]);
    let answers = io.local.answers.as_ref();
    let (own, seed) = answers.map_or((none, none), |answers| (answers.0.seed, answers.seed_of(policy)));
    let body = Body {
        dialect,
        bytes: admitted.body(io.body),
        hash: admitted.hash,
    };
    let fields = Fields::of(dialect, admitted, facts.tier);
    let names = &mut io.local.names;
    let canon = names.of((own, seed), body, fields).ok_or(Uncached::Unclear)?;
    if canon.keeps {
        return Err(Uncached::Object);
    }
    if canon.samples && !policy.allow.temperature {
        return Err(Uncached::Temperature);
    }
    let name = named(exchange, io, (policy, seed), (dialect, &canon)).ok_or(Uncached::Detached)?;
    exchange.admitted.begins = canon.begins;
    Ok(name)
}

/// Of all of the request but what is cut out of `rest`: whoever shares it asks in the same place.
pub(crate) fn partition(exchange: &Exchange, io: &Io<'_>, policy: &Policy, rest: &[u8]) -> Option<(u128, canon::Seed)> {
    let dialect = exchange.facts.surface.dialect?;
    let seed = io.local.answers.as_ref()?.seed_of(policy);
    let canon = canon::request(seed, dialect, rest)?;
    let around = named(exchange, io, (policy, seed), (dialect, &canon))?;
    Some((around, seed))
}

fn named(
    exchange: &Exchange,
    io: &Io<'_>,
    (policy, seed): (&Policy, canon::Seed),
    (dialect, canon): (Dialect, &canon::Canon),
) -> Option<u128> {
    let pinned = exchange.pinned()?;
    let owner = pinned.keys.entry(exchange.facts.key?);
    let mut hasher = OneByOne(Vec::with_capacity(USUAL_NAME_BYTES));
    Tenant::of(policy.scope, owner).write(&mut hasher);
    let mut text = |bytes: &[u8]| {
        // Whatever bytes a line has, where one text ends and the next begins is not theirs to say.
        hasher.write_usize(bytes.len());
        hasher.write(bytes);
    };
    text(policy.name.as_bytes());
    text(exchange.facts.model_asked.as_bytes());
    text(exchange.facts.surface.operation.path());
    if exchange.facts.surface.seals {
        // The answer has ids that open for one owner alone.
        let owner = owner.owner();
        let (scope, name) = owner.scope_and_name();
        text(&[scope]);
        text(name.as_bytes());
    }
    for parameter in percent::parameters(io.request.query()) {
        if !parameter.starts_with(b"key=") && !parameter.starts_with(b"alt=") {
            text(parameter);
        }
    }
    text(b"");
    for field in io.request.head.fields.lines.iter() {
        let name = field.name.of(io.request.buf);
        if matches!(field.known, Known::Other | Known::AnthropicVersion) && changes_answer(name) {
            text(name);
            text(field.value.of(io.request.buf));
        }
    }
    reach(exchange, io, &mut hasher);
    hasher.write_u64(policy.version);
    hasher.write_u8(dialect as u8);
    hasher.write_u128(canon.hash);
    Some(seed.hash(&hasher.0))
}

/// Of most names: longer ones take another allocation.
const USUAL_NAME_BYTES: usize = 512;

/// What a name is made of: a hasher is given it at once, for the reason that `canon` has.
struct OneByOne(Vec<u8>);

impl Hasher for OneByOne {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("what is to be hashed is gathered here")
    }
}

/// Where the call may go: who may not be answered by all of the model's targets gets no answer of one that is not for it.
fn reach(exchange: &Exchange, io: &Io<'_>, hasher: &mut impl Hasher) {
    let pinned = exchange.pin();
    let route = exchange.facts.route().and_then(|at| pinned.snapshot.routes.get(at));
    let Some(route) = route else { return };
    Regions::of(exchange).write(hasher);
    if route.targets.iter().all(|target| target.when.is_none()) {
        return;
    }
    let asked = Asked::by(exchange, io, route);
    for target in &route.targets {
        hasher.write_u8(u8::from(obstacle(exchange, io, &asked, target).is_none()));
    }
}

/// Header lines that go to the provider and say how it is to answer.
fn changes_answer(name: &[u8]) -> bool {
    const FAMILIES: [&[u8]; 3] = [b"anthropic-", b"openai-", b"x-amzn-bedrock-"];
    // Most lines are told by their first letter.
    matches!(name.first(), Some(b'a' | b'A' | b'o' | b'O' | b'x' | b'X'))
        && FAMILIES.iter().any(|family| {
            name.get(..family.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(family))
        })
}

/// The form that the client asks its answer in.
pub(super) fn form(exchange: &Exchange, io: &Io<'_>) -> Form {
    match exchange.facts.stream {
        false => Form::Whole,
        true => Form::Stream {
            usage: exchange.admitted.asked_stream_usage() || exchange.facts.surface.dialect != Some(Dialect::OpenAi),
            array: relay::asks_for_array(exchange, io),
        },
    }
}

/// What the answer will be known by.
pub(super) fn about(exchange: &Exchange, io: &Io<'_>, policy: &Policy) -> About {
    let pinned = exchange.pin();
    let owner = exchange.facts.key.map(|key| pinned.keys.entry(key));
    let body = exchange.admitted.body(io.body);
    let begins = exchange.admitted.begins.clone();
    let begins = begins.and_then(|span| {
        let quoted = span.start.checked_sub(1)?..span.end + 1;
        let value = tollgate_wire::json::cursor::Value {
            span: tollgate_wire::Span::new(quoted.start, quoted.end),
            kind: tollgate_wire::json::cursor::Kind::String,
        };
        tollgate_wire::json::cursor::string(body, value)
    });
    let tenant = owner.map_or_else(Default::default, |owner| Tenant::of(policy.scope, owner).text());
    let said = Said {
        key: owner.map_or("", |owner| &owner.name),
        team: owner.and_then(|owner| owner.team.as_deref()),
        model: &exchange.facts.model_asked,
        tags: &exchange.facts.tags,
        begins: about::beginning(begins.as_deref().unwrap_or_default()),
    };
    About::new(Arc::clone(&policy.name), tenant, &said)
}

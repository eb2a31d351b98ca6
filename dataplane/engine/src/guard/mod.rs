//! Guards on what calls are about: a prompt that is near a denied topic is refused, an answer that comes near one is not
//! told. Or, in shadow mode, both are only counted. Compiled once for a snapshot; a call holds on to the guards that it was
//! admitted with. Knows no file and no vector: those are `tollgate_vector`'s.

mod answer;
mod asked;
mod channels;
mod stream;
mod told;
mod units;

use std::sync::Arc;

use tollgate_config::{
    Document,
    document::{Guard as Configured, GuardMode, Model},
};
use tollgate_vector::{
    Embedder,
    topics::{self, Near, Seen, TopicScratch, Topics, Verdict as Judged},
};

use crate::{
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    routing::meaning::Meaning,
    stage::Verdict,
    surface::Operation,
};

pub(crate) use answer::{Guarding, MAX_HELD_BYTES, Went, ends, pass};
pub(crate) use told::told;

use asked::{Asked, Unread};

const THOUSANDTHS: f32 = 1_000.0;

/// A guard of the document, compiled.
#[derive(Debug)]
pub(crate) struct Guard {
    name: Box<str>,
    /// Names of topics, as `topics` numbers them.
    denied: Vec<Box<str>>,
    allowed: Vec<Box<str>>,
    topics: Topics,
    enforces: bool,
    on_request: bool,
    on_response: bool,
    threshold: f32,
}

/// The guards of a document. Empty where there is none, or nothing to judge with.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    guards: Vec<(String, Arc<Guard>)>,
    embedder: Option<Arc<Embedder>>,
}

impl Compiled {
    pub fn new(document: &Document, meaning: Option<&Meaning>) -> Self {
        let embedder = meaning.map(Meaning::shared_embedder).cloned();
        let guard = |(name, guard): &(String, Configured)| {
            let compiled = Guard::new(name, guard, embedder.as_ref()?);
            Some((name.clone(), Arc::new(compiled)))
        };
        Self {
            guards: document.guards.iter().filter_map(guard).collect(),
            embedder,
        }
    }

    /// Those of a model, where it has any.
    pub fn of(&self, model: &Model, document: &Document) -> Option<Arc<Guards>> {
        let names = || model.guards.iter().map(String::as_str);
        let found = names().filter_map(|name| self.guards.iter().find(|(known, _)| known == name));
        let guards: Vec<_> = found.map(|(_, guard)| Arc::clone(guard)).collect();
        let configured = names().filter_map(|name| document.guards.iter().find(|(known, _)| known == name));
        let enforced = configured.filter(|(_, guard)| guard.mode == GuardMode::Enforce);
        let enforced = enforced.map(|(name, _)| name.as_str().into()).next();
        names().next()?;
        Some(Arc::new(Guards {
            judges: self.embedder.clone().map(|embedder| Judges { guards, embedder }),
            enforced,
        }))
    }
}

/// The guards of a model.
#[derive(Debug)]
pub(crate) struct Guards {
    /// None: there is no embedding model that could be used.
    judges: Option<Judges>,
    /// The first of them that does more than count.
    enforced: Option<Box<str>>,
}

#[derive(Debug)]
struct Judges {
    guards: Vec<Arc<Guard>>,
    embedder: Arc<Embedder>,
}

/// What a guard found in a call.
#[derive(Clone, Debug)]
pub struct Finding {
    guard: Arc<Guard>,
    what: Entity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entity {
    /// A denied topic, by its number.
    Denied(usize),
    /// It is near no allowed topic.
    NotAllowed,
    /// An answer that cannot be read, or is too long to be.
    Unread,
}

impl Finding {
    pub fn guard(&self) -> &str {
        &self.guard.name
    }

    /// The topic; in parentheses, which no topic of an operator's is told apart by, where it is none.
    pub fn entity(&self) -> &str {
        match self.what {
            Entity::Denied(topic) => self.guard.denied.get(topic).map_or("?", |name| name),
            Entity::NotAllowed => "(not allowed)",
            Entity::Unread => "(unread)",
        }
    }

    /// What became of it.
    pub fn action(&self) -> &'static str {
        match self.guard.enforces {
            true => "block",
            false => "shadow",
        }
    }

    fn failure(&self) -> Failure {
        Failure::client(Kind::BlockedByGuard {
            guard: self.guard.name.clone(),
            entity: self.entity().into(),
        })
    }
}

/// Notes what was found, once for a call; false where it was known.
fn add(findings: &mut Vec<Finding>, finding: Finding) -> bool {
    let is = |known: &Finding| Arc::ptr_eq(&known.guard, &finding.guard) && known.what == finding.what;
    let is_new = !findings.iter().any(is);
    if is_new {
        findings.push(finding);
    }
    is_new
}

/// Which of the two a guard is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

impl Guard {
    fn new(name: &str, configured: &Configured, embedder: &Embedder) -> Self {
        let names = |topics: &[(String, Vec<String>)]| topics.iter().map(|(name, _)| name.as_str().into()).collect();
        let threshold = f32::from(configured.threshold_thousandths) / THOUSANDTHS;
        Self {
            name: name.into(),
            denied: names(&configured.deny),
            allowed: names(&configured.allow),
            topics: Topics::new(
                embedder,
                configured
                    .deny
                    .iter()
                    .map(|(_, examples)| examples.iter().map(String::as_str)),
                configured
                    .allow
                    .iter()
                    .map(|(_, examples)| examples.iter().map(String::as_str)),
                threshold,
            ),
            enforces: configured.mode == GuardMode::Enforce,
            on_request: configured.on.request,
            on_response: configured.on.response,
            threshold,
        }
    }

    fn reads(&self, side: Side) -> bool {
        match side {
            Side::Request => self.on_request,
            Side::Response => self.on_response,
        }
    }

    /// The nearest topic's name.
    fn topic(&self, near: Near) -> &str {
        let names = if self.denied.is_empty() {
            &self.allowed
        } else {
            &self.denied
        };
        names.get(near.topic).map_or("?", |name| name)
    }
}

impl Guards {
    fn on(&self, side: Side) -> impl Iterator<Item = &Arc<Guard>> {
        let guards = self.judges.iter().flat_map(|judges| &judges.guards);
        guards.filter(move |guard| guard.reads(side))
    }

    /// The first that would not let a prompt pass.
    fn holds_prompts(&self) -> Option<&Arc<Guard>> {
        self.on(Side::Request).find(|guard| guard.enforces)
    }

    /// The first that would not let an answer pass.
    fn holds_answers(&self) -> Option<&Arc<Guard>> {
        self.on(Side::Response).find(|guard| guard.enforces)
    }

    /// What they make of a text, each.
    fn judge(&self, side: Side, text: &str, scratch: &mut TopicScratch) -> Vec<(&Arc<Guard>, Judged)> {
        let Some(judges) = &self.judges else {
            return Vec::new();
        };
        let guards: Vec<&Arc<Guard>> = self.on(side).collect();
        let mut seen: Vec<(&Topics, Seen)> = guards.iter().map(|guard| (&guard.topics, Seen::default())).collect();
        topics::look(&judges.embedder, text, scratch, &mut seen);
        let verdict = |(guard, (topics, seen)): (_, (&Topics, Seen))| (guard, topics.verdict(&seen));
        guards.into_iter().zip(seen).map(verdict).collect()
    }

    fn findings(&self, side: Side, text: &str, scratch: &mut TopicScratch) -> Vec<Finding> {
        let found = |(guard, judged): (&Arc<Guard>, Judged)| {
            let what = match judged {
                Judged::Passes(_) => return None,
                Judged::Denied(near) => Entity::Denied(near.topic),
                Judged::NotAllowed(_) => Entity::NotAllowed,
            };
            Some(Finding {
                guard: Arc::clone(guard),
                what,
            })
        };
        self.judge(side, text, scratch).into_iter().filter_map(found).collect()
    }
}

/// Those of the model that the call is for.
fn of(exchange: &Exchange) -> Option<&Arc<Guards>> {
    let route = exchange.facts.route()?;
    exchange.pinned()?.snapshot.routes.get(route)?.guards.as_ref()
}

fn prompt(exchange: &Exchange, io: &Io<'_>) -> Asked {
    let ends_bytes = [topics::MAX_LOOKED_AT_BYTES / 2; 2];
    let surface = exchange.facts.surface;
    match &exchange.admitted.form {
        None => Asked::of(
            (surface.dialect, surface.operation),
            exchange.admitted.body(io.body),
            ends_bytes,
        ),
        Some(_) => Asked {
            text: String::new(),
            unread: Some(Unread {
                field: "model".to_owned(),
                wrong: "is called by a form",
                offset: 0,
            }),
        },
    }
}

/// The stage: reads the prompt, and sees to it that the answer will be read.
pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    match of(exchange).cloned() {
        None => Verdict::Next,
        Some(guards) => match guarded(exchange, io, &guards) {
            Ok(()) => Verdict::Next,
            Err(failure) => Verdict::Refuse(failure),
        },
    }
}

/// The same of a form that names its model when it is on its way.
pub(crate) fn enter_late(exchange: &mut Exchange, io: &mut Io<'_>, route: usize) -> Result<(), Kind> {
    match exchange.pin().snapshot.routes[route].guards.clone() {
        None => Ok(()),
        Some(guards) => guarded(exchange, io, &guards).map_err(|failure| failure.kind),
    }
}

fn guarded(exchange: &mut Exchange, io: &mut Io<'_>, guards: &Arc<Guards>) -> Result<(), Failure> {
    if guards.judges.is_none() {
        return match &guards.enforced {
            // What nobody can judge is not let through.
            Some(guard) => Err(Failure::gateway(Kind::GuardUnavailable { guard: guard.clone() })),
            None => Ok(()),
        };
    }
    let operation = exchange.facts.surface.operation;
    if guards.on(Side::Request).next().is_some() && !matches!(operation, Operation::CountTokens(_)) {
        let Asked { text, unread } = prompt(exchange, io);
        if let (Some(Unread { field, wrong, offset }), Some(guard)) = (unread, guards.holds_prompts()) {
            let name = &guard.name;
            return Err(Failure::client(Kind::Untranslatable {
                field: field.into(),
                wrong: format!("{wrong}: the guard '{name}' lets no prompt pass that it cannot read").into(),
                offset,
            }));
        }
        let found = guards.findings(Side::Request, &text, &mut io.local.guard);
        let blocks = found
            .iter()
            .find(|finding| finding.guard.enforces)
            .map(Finding::failure);
        exchange.facts.findings.extend(found);
        if let Some(failure) = blocks {
            return Err(failure);
        }
    }
    if let Some(guard) = guards.holds_answers() {
        refuse_unread(exchange, operation, &guard.name)?;
    }
    if operation == Operation::Chat && guards.on(Side::Response).next().is_some() {
        exchange.guard = Some(Box::new(Guarding::new(guards)));
    }
    Ok(())
}

/// An answer that no guard could read is not asked for.
fn refuse_unread(exchange: &Exchange, operation: Operation, guard: &str) -> Result<(), Failure> {
    let wrong = |field: &'static str, wrong: String| {
        Err(Failure::client(Kind::Untranslatable {
            field: field.into(),
            wrong: wrong.into(),
            offset: 0,
        }))
    };
    match operation {
        Operation::Chat if exchange.admitted.in_background => wrong(
            "background",
            format!("cannot be true: the guard '{guard}' reads answers before they are given"),
        ),
        Operation::Chat | Operation::Embed(_) | Operation::Rerank | Operation::CountTokens(_) => Ok(()),
        Operation::Other(_) => wrong(
            "model",
            format!("has a guard on answers, '{guard}', which reads those of chats alone: call it by a chat's path"),
        ),
    }
}

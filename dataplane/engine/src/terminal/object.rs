//! Objects that live at a provider: responses, files, batches. An id says where its object is; what is made goes to the
//! provider that `x-tollgate-provider` names, or to the first that serves the key's models.

use tollgate_config::document::Dialect;
use tollgate_wire::{
    head::{Framing, Method},
    json::{
        cursor::{self, Kind as Json},
        watch::Watch,
    },
};

use super::direct;
use crate::{
    call::ObjectCall,
    decode,
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    names::header,
    outputs::Action,
    percent,
    sealing::{self, Object, request},
    snapshot::Upstream,
    stage::Verdict,
    stages::admit,
    surface::{NamesModel, Operation},
};

const BATCHES: Operation = Operation::Other(b"/batches");

pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    let verdict = match exchange.admitted.asked_for_body {
        true => read_body(exchange, io),
        false => read_head(exchange, io),
    };
    match verdict {
        Ok(verdict) => verdict,
        Err(kind) => Verdict::Refuse(Failure::client(kind)),
    }
}

fn read_head(exchange: &mut Exchange, io: &mut Io<'_>) -> Result<Verdict, Kind> {
    admit::read_headers(exchange, io)?;
    let pinned = exchange.pin();
    let key = exchange.facts.key.ok_or(Kind::NoKey)?;
    let surface = exchange.facts.surface;
    if surface.operation == BATCHES && !pinned.keys.entry(key).batches {
        return Err(Kind::BatchesNotAllowed);
    }
    match surface.model_in_path(io.request.path()) {
        Some(id) => {
            let id = percent::decode(id);
            let found = str::from_utf8(&id).ok().and_then(|id| sealing::open(exchange, id));
            goes_to(exchange, io, found.ok_or(Kind::NoSuchObject { name: "" })?)?;
        }
        None if io.request.head.method == Method::Get => return Err(Kind::ListNotServed),
        // The file that it reads says where it is made.
        None if surface.operation == BATCHES => {}
        None => {
            let provider = provider_for_new(exchange, io)?;
            goes_to(exchange, io, nothing_yet(provider))?;
        }
    }
    let max_bytes = pinned.snapshot.document.max_body_bytes;
    exchange.admitted.asked_for_body = true;
    match io.request.head.framing {
        Framing::Length(length) if length > max_bytes => Err(Kind::TooLarge { max_bytes }),
        Framing::None | Framing::Length(0) => read_body(exchange, io),
        _ => {
            io.out.actions.push(Action::ReadBody { max_bytes });
            Ok(Verdict::Pause)
        }
    }
}

fn read_body(exchange: &mut Exchange, io: &mut Io<'_>) -> Result<Verdict, Kind> {
    exchange.facts.request_body_bytes = io.body.len() as u64;
    if exchange.call.object.is_none() {
        read_batch(exchange, io)?;
    }
    Ok(direct::begin(exchange, io))
}

/// A batch is made where the file is that it reads.
fn read_batch(exchange: &mut Exchange, io: &mut Io<'_>) -> Result<(), Kind> {
    const INPUT: &str = "input_file_id";
    const FIELDS: Watch<'static, 1> = Watch::new(&[INPUT]);
    let max_bytes = exchange.pin().snapshot.document.max_body_bytes;
    if let Some(encoding) = io.request.get(tollgate_wire::head::Known::ContentEncoding) {
        exchange.admitted.decoded = decode::request_body(encoding, io.body, max_bytes)?;
    }
    let body = exchange.admitted.body(io.body);
    let [input] = cursor::find_watched(body, &FIELDS).map_err(Kind::BadJson)?;
    match input {
        Some(value) if value.kind == Json::String => {}
        Some(value) => return Err(admit::field(INPUT, "must be a string", value)),
        None => {
            return Err(Kind::Field {
                name: INPUT,
                wrong: "is missing",
                offset: body.len(),
            });
        }
    }
    request::open_all(exchange, io.body, &[(INPUT, input)])?;
    let provider = exchange.call.only_provider.ok_or(Kind::NoSuchObject { name: INPUT })?;
    if asked_provider(io).is_some_and(|name| *name != *exchange.pin().snapshot.endpoints[provider].provider.as_bytes())
    {
        return Err(ASKED_WRONGLY);
    }
    let credential = exchange.call.only_credential;
    let lives_at = Object {
        credential,
        ..nothing_yet(provider)
    };
    goes_to(exchange, io, lives_at)
}

/// What is to be made at a provider.
fn nothing_yet(provider: usize) -> Object {
    Object {
        provider,
        credential: None,
        raw: String::new(),
    }
}

/// Notes whom the call goes to, and at which path there.
fn goes_to(exchange: &mut Exchange, io: &Io<'_>, object: Object) -> Result<(), Kind> {
    let pinned = exchange.pin();
    let surface = exchange.facts.surface;
    let upstream = &pinned.snapshot.upstreams[object.provider];
    if upstream.ids.key.is_none() {
        return Err(Kind::NoIdSecret {
            provider: pinned.snapshot.endpoints[object.provider].provider.as_str().into(),
        });
    }
    let Operation::Other(family) = surface.operation else {
        return Err(Kind::NotServedYet);
    };
    let mut rest = family.to_vec();
    if let NamesModel::InPath { after, .. } = surface.names_model {
        rest.push(b'/');
        percent::encode_segment(&mut rest, &object.raw);
        rest.extend_from_slice(after);
    }
    let (spoken, path) = upstream.spoken(surface.dialect);
    let place = path.beside(&rest).filter(|_| is_openai(spoken));
    let (path, own_query) = place.ok_or(Kind::NotOffered)?;
    let mut query = own_query.unwrap_or_default().as_bytes().to_vec();
    for pair in percent::parameters(io.request.query()) {
        let name = |pair: &[u8]| pair.split(|&byte| byte == b'=').next().map(<[u8]>::to_vec);
        if !percent::parameters(own_query.unwrap_or_default().as_bytes()).any(|own| name(own) == name(pair)) {
            query.extend_from_slice(if query.is_empty() { b"" } else { b"&" });
            query.extend_from_slice(pair);
        }
    }
    exchange.facts.direct = Some(object.provider);
    exchange.call.only_credential = object.credential;
    exchange.call.object = Some(ObjectCall { path, query });
    Ok(())
}

fn is_openai(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::OpenAi | Dialect::OpenAiResponses)
}

const ASKED_WRONGLY: Kind = Kind::Header {
    name: "x-tollgate-provider",
    wrong: "must name a provider of the OpenAI API that serves a model of this API key, and that has what the request names",
};

fn asked_provider<'a>(io: &Io<'a>) -> Option<&'a [u8]> {
    let request = io.request;
    let mut lines = request.head.fields.lines.iter();
    let line = lines.find(|line| line.name.of(request.buf).eq_ignore_ascii_case(header::PROVIDER))?;
    Some(line.value.of(request.buf))
}

/// The provider that the client names, else the document's first: of those that serve a model of the key.
fn provider_for_new(exchange: &Exchange, io: &Io<'_>) -> Result<usize, Kind> {
    let pinned = exchange.pin();
    let snapshot = &pinned.snapshot;
    let key = exchange.facts.key.ok_or(Kind::NoKey)?;
    let allowed = &pinned.keys.entry(key).models;
    let serves_key = |provider: usize| {
        let mut models = snapshot.document.models.iter().zip(&snapshot.routes);
        models.any(|((name, _), route)| {
            let mut may_use = false;
            if route.targets.iter().any(|target| target.provider == provider) {
                allowed.visible(name, |_| may_use = true);
            }
            may_use
        })
    };
    let speaks = |upstream: &Upstream| is_openai(upstream.spoken(exchange.facts.surface.dialect).0);
    let asked = asked_provider(io);
    let is_asked = |index: usize| asked.is_none_or(|name| *name == *snapshot.endpoints[index].provider.as_bytes());
    let mut upstreams = snapshot.upstreams.iter().enumerate();
    let found = upstreams.find(|(index, upstream)| speaks(upstream) && is_asked(*index) && serves_key(*index));
    let missing = if asked.is_some() {
        ASKED_WRONGLY
    } else {
        Kind::NotOffered
    };
    found.map(|(index, _)| index).ok_or(missing)
}

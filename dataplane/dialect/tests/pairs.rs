//! Every dialect's corpus through every other dialect and back: what one client says, each provider is told, and what
//! one provider answers, each client reads.

mod corpus;
mod talk;

use tollgate_dialect::{
    canonical::{
        answer::Answer,
        event::Reason,
        fault::{Fault, FaultKind},
        feature::{Drops, Feature},
        request::{Format, Request, Sampling, ToolChoice},
    },
    json::Number,
    quirks::Quirks,
    speak::{PathFacts, Speaks, TargetFacts},
    usage::Usage,
};

use corpus::{Call, Case, Gist, cases, gist, read_answer, read_stream, relay_stream, write_answer};

/// The dialects, by the names of their folders: each that has a corpus.
const DIALECTS: &[(&str, &'static dyn Speaks)] = &[
    ("openai_chat", &tollgate_dialect::openai_chat::SPEAKS),
    ("openai_responses", &tollgate_dialect::openai_responses::OpenAiResponses),
    ("anthropic", &tollgate_dialect::anthropic::SPEAKS),
    ("gemini", &tollgate_dialect::gemini::SPEAKS),
    ("cohere", &tollgate_dialect::cohere::SPEAKS),
    ("bedrock", &tollgate_dialect::bedrock::SPEAKS),
];

/// What a dialect cannot be told at all: its writer must refuse it. The client's dialect, the beginning of the case's
/// name, the provider's dialect.
const REFUSED: &[(&str, &str, &str)] = &[];

const MODEL: &str = "a-model";

fn path(stream: bool) -> PathFacts<'static> {
    PathFacts {
        model: Some(MODEL),
        stream,
    }
}

/// Runs every case of a kind through every dialect; `run` gives what is wrong.
fn every_pair(kind: &str, run: impl Fn(&'static dyn Speaks, &'static dyn Speaks, &Case) -> Result<(), String>) {
    let mut wrong = Vec::new();
    for &(from, speaks) in DIALECTS {
        let cases = cases(from, kind);
        assert!(!cases.is_empty(), "{from} has no {kind}");
        for case in cases {
            for &(to, other) in DIALECTS {
                if let Err(what) = run(speaks, other, &case) {
                    wrong.push(format!("{} through {to}: {what}", case.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn is_refused(case: &Case, to: &dyn Speaks) -> bool {
    let to = DIALECTS
        .iter()
        .find(|(_, speaks)| std::ptr::addr_eq(*speaks, to))
        .map(|(name, _)| *name);
    REFUSED
        .iter()
        .any(|(from, name, by)| case.name.starts_with(&format!("{from}/requests/{name}")) && Some(*by) == to)
}

#[test]
fn every_corpus_has_its_dialect() {
    for folder in [
        "anthropic",
        "bedrock",
        "cohere",
        "gemini",
        "openai_chat",
        "openai_responses",
    ] {
        let has_line = DIALECTS.iter().any(|(name, _)| *name == folder);
        assert_eq!(!cases(folder, "requests").is_empty(), has_line, "{folder}");
    }
}

#[test]
fn requests_are_told_to_every_provider() {
    every_pair("requests", |from, to, case| {
        let mut request = from
            .read_request(&case.bytes, path(false))
            .map_err(|error| error.to_string())?;
        request.name_calls();
        let quirks = Quirks::default();
        let target = TargetFacts {
            model: MODEL,
            quirks: &quirks,
        };
        let (mut drops, mut body) = (Drops::default(), Vec::new());
        let written = to.write_request(&request, &target, &mut drops, &mut body);
        match (written, is_refused(case, to)) {
            (Ok(()), false) => {}
            (Err(_), true) => return Ok(()),
            (Err(error), false) => return Err(format!("not written: {error}")),
            (Ok(()), true) => return Err("it should have been refused".to_owned()),
        }
        let told = to.read_request(&body, path(request.stream));
        let mut told = told.map_err(|error| format!("not read again: {error}\n{}", String::from_utf8_lossy(&body)))?;
        told.name_calls();
        talk::compare(&request, &told, &drops)
            .and_then(|()| compare_tools(&request, &told, &drops))
            .and_then(|()| compare_sampling(&request.sampling, &told.sampling, &drops))
            .map_err(|what| format!("{what}\n{}", String::from_utf8_lossy(&body)))
    });
}

fn noted(drops: &Drops, feature: Feature) -> bool {
    drops.features().contains(&feature)
}

fn compare_tools(request: &Request<'_>, told: &Request<'_>, drops: &Drops) -> Result<(), String> {
    let names = |request: &Request<'_>| -> Vec<String> {
        let names = request
            .tools
            .iter()
            .map(|tool| tool.name.plain().expect("a name").into_owned());
        names.collect()
    };
    let (asked, told_of) = (names(request), names(told));
    // A choice of one tool, or of none, may be told by leaving out the others.
    let fewer = matches!(request.tool_choice, Some(ToolChoice::Named(_) | ToolChoice::None));
    // A dialect may demand the tools that were called before, also where none is offered any more.
    let called = |name: &String| talk::calls(request).any(|called| called == *name);
    let same = told_of == asked
        || (fewer && told_of.iter().all(|name| asked.contains(name)))
        || (asked.is_empty() && told_of.iter().all(called));
    if !same && !noted(drops, Feature::Tools) {
        return Err(format!("tools {asked:?} became {told_of:?}"));
    }
    let kind = |format: &Format<'_>| match format {
        Format::Text => 0,
        Format::Json => 1,
        Format::Schema { .. } => 2,
    };
    match kind(&request.format) == kind(&told.format) || noted(drops, Feature::Format) {
        true => Ok(()),
        false => Err(format!("{:?} became {:?}", request.format, told.format)),
    }
}

fn compare_sampling(asked: &Sampling<'_>, told: &Sampling<'_>, drops: &Drops) -> Result<(), String> {
    let float = |number: Option<Number<'_>>| number.map(Number::value);
    let whole = |number: Option<u64>| number.map(|number| number as f64);
    let flag = |flag: Option<bool>| flag.map(f64::from);
    // The last column is the value that says nothing.
    for (feature, asked, told, neutral) in [
        (
            Feature::MaxTokens,
            whole(asked.max_tokens),
            whole(told.max_tokens),
            None,
        ),
        (
            Feature::Temperature,
            float(asked.temperature),
            float(told.temperature),
            None,
        ),
        (Feature::TopP, float(asked.top_p), float(told.top_p), Some(1.0)),
        (Feature::TopK, whole(asked.top_k), whole(told.top_k), Some(0.0)),
        (
            Feature::FrequencyPenalty,
            float(asked.frequency_penalty),
            float(told.frequency_penalty),
            Some(0.0),
        ),
        (
            Feature::PresencePenalty,
            float(asked.presence_penalty),
            float(told.presence_penalty),
            Some(0.0),
        ),
        (Feature::Seed, float(asked.seed), float(told.seed), None),
        (Feature::N, whole(asked.n), whole(told.n), Some(1.0)),
        (Feature::Logprobs, flag(asked.logprobs), flag(told.logprobs), Some(0.0)),
        (
            Feature::TopLogprobs,
            whole(asked.top_logprobs),
            whole(told.top_logprobs),
            Some(0.0),
        ),
    ] {
        let Some(asked) = asked else { continue };
        let kept = told == Some(asked) || (told.is_none() && neutral == Some(asked));
        if !kept && !noted(drops, feature) {
            return Err(format!("{feature:?} {asked} became {told:?}, and nothing was noted"));
        }
    }
    match asked.stop == told.stop || noted(drops, Feature::Stop) {
        true => Ok(()),
        false => Err(format!("stop sequences {:?} became {:?}", asked.stop, told.stop)),
    }
}

#[test]
fn answers_are_read_by_every_client() {
    every_pair("answers", |from, to, case| {
        let answer = read_answer(from, &case.bytes).map_err(|error| error.to_string())?;
        if answer.fault.is_some() {
            return Ok(());
        }
        let body = write_answer(to, &answer);
        read_answer(to, &body)
            .map_err(|error| error.to_string())
            .and_then(|read| compare_answers(&answer, &read))
            .map_err(|what| format!("{what}\n{}", String::from_utf8_lossy(&body)))
    });
}

#[test]
fn streams_are_read_by_every_client() {
    every_pair("streams", |from, to, case| {
        let (_, answer) = read_stream(from, &[&case.bytes]).map_err(|error| error.to_string())?;
        let stream = relay_stream(from, to, &case.bytes).map_err(|error| error.to_string())?;
        let cut: Vec<&[u8]> = stream.chunks(1).collect();
        let read = match (read_stream(to, &[&stream]), read_stream(to, &cut)) {
            (Ok(whole), Ok(cut)) if whole == cut => Ok(whole.1),
            (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
            _ => Err("cuts matter".to_owned()),
        };
        read.and_then(|read| compare_answers(&answer, &read))
            .map_err(|what| format!("{what}\n{}", String::from_utf8_lossy(&stream)))
    });
}

/// Each dialect's own tests also cut its streams in two, at every place.
#[test]
fn no_cut_of_a_stream_matters() {
    for &(dialect, speaks) in DIALECTS {
        for case in cases(dialect, "streams") {
            let bytes: Vec<&[u8]> = case.bytes.chunks(1).collect();
            let whole = read_stream(speaks, &[&case.bytes]);
            assert_eq!(read_stream(speaks, &bytes), whole, "{}", case.name);
        }
    }
}

/// Whatever words a dialect has for it: a client must see what went wrong, and whether to try again.
#[test]
fn every_kind_of_fault_is_told_to_every_client() {
    use FaultKind::*;
    let lasting = [
        InvalidRequest,
        ContextLength,
        ContentPolicy,
        Authentication,
        Quota,
        Permission,
        NotFound,
        TooLarge,
    ];
    let transient = [RateLimited, Overloaded, Timeout, Internal];
    let mut wrong = Vec::new();
    for &(dialect, speaks) in DIALECTS {
        for kind in lasting.into_iter().chain(transient) {
            let mut body = Vec::new();
            let status = speaks.write_fault(&Fault::in_stream(kind, "It went wrong."), &corpus::call(), &mut body);
            let told = speaks.read_fault(status, &body);
            // Some dialects have one word for both.
            let quota = kind == Quota && told.kind == RateLimited;
            let again = quota || transient.contains(&kind) == transient.contains(&told.kind);
            if !again || !told.message.contains("It went wrong.") || status < 400 {
                let body = String::from_utf8_lossy(&body);
                wrong.push(format!("{dialect}: {kind:?} became {:?} ({status}): {body}", told.kind));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn compare_answers(answer: &Answer, read: &Answer) -> Result<(), String> {
    if answer.fault.is_some() != read.fault.is_some() {
        return Err(format!("fault {:?} became {:?}", answer.fault, read.fault));
    }
    let (said, heard) = (gist(answer), gist(read));
    compare_texts(&said, &heard)?;
    if answer.fault.is_some() {
        // A call that broke off is nobody's, and an error's event has no room for usage.
        return Ok(());
    }
    // A dialect that has only whole calls may have a word of its own for one that broke off.
    if said.calls.iter().all(|call| call.arguments.is_object()) {
        compare_reasons(reason(answer), reason(read))?;
    }
    compare_calls(said.calls, heard.calls)?;
    match (&answer.usage, &read.usage) {
        (None, None) => Ok(()),
        // Dialects that always have usage have zeros.
        (None, Some(usage)) if usage.all_input() + usage.all_output() == 0 => Ok(()),
        (Some(usage), Some(told)) => compare_usage(usage, told),
        (usage, told) => Err(format!("{usage:?} became {told:?}")),
    }
}

fn compare_texts(said: &Gist, heard: &Gist) -> Result<(), String> {
    if said.spoken != heard.spoken {
        return Err(format!("text {:?} became {:?}", said.spoken, heard.spoken));
    }
    // Some dialects show no thoughts.
    match heard.thought.is_empty() || said.thought == heard.thought {
        true => Ok(()),
        false => Err(format!("thought {:?} became {:?}", said.thought, heard.thought)),
    }
}

fn compare_calls(mut said: Vec<Call>, mut heard: Vec<Call>) -> Result<(), String> {
    // A dialect that has only whole calls leaves out one that broke off, and gives those that are streamed at once in
    // the order of their ends.
    said.retain(|call| call.arguments.is_object());
    heard.retain(|call| call.arguments.is_object());
    if said.iter().chain(&heard).all(|call| call.id.is_some()) {
        said.sort_by(|one, other| one.id.cmp(&other.id));
        heard.sort_by(|one, other| one.id.cmp(&other.id));
    }
    let same = said.len() == heard.len()
        && said.iter().zip(&heard).all(|(one, other)| {
            // An id may be made where there was none, and lost where there are none.
            let ids = one.id.is_none() || other.id.is_none() || one.id == other.id;
            ids && one.name == other.name && one.arguments == other.arguments
        });
    match same {
        true => Ok(()),
        false => Err(format!("calls {said:?} became {heard:?}")),
    }
}

fn reason(answer: &Answer) -> Option<&Reason<'static>> {
    answer.choices.first()?.reason.as_ref()
}

/// The reasons that every dialect has must stay.
fn compare_reasons(said: Option<&Reason<'_>>, heard: Option<&Reason<'_>>) -> Result<(), String> {
    match said {
        Some(Reason::Stop | Reason::Length | Reason::ToolCalls) if said != heard => {
            Err(format!("{said:?} became {heard:?}"))
        }
        _ => Ok(()),
    }
}

fn compare_usage(usage: &Usage, told: &Usage) -> Result<(), String> {
    let same = |one: Option<u64>, other: Option<u64>| one.is_none() || other.is_none() || one == other;
    let kept = usage.all_input() == told.all_input()
        && usage.all_output() == told.all_output()
        && same(usage.cache_read, told.cache_read)
        && same(usage.reasoning, told.reasoning)
        && same(usage.input_audio, told.input_audio)
        && same(usage.output_audio, told.output_audio);
    match kept {
        true => Ok(()),
        false => Err(format!("{usage:?} became {told:?}")),
    }
}

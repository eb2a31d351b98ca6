//! A client's request → canonical.

mod messages;
mod parts;
mod pick;
mod tools;

use crate::{
    canonical::{
        answer::MAX_CHOICES,
        bad::BadRequest,
        request::{Amount, Effort, Request, Sampling, Thinking},
    },
    json::{Node, Text},
    speak::PathFacts,
};

use pick::{Found, Place, Unread, pick};

/// Stop sequences; OpenAI takes four, other servers more.
const MAX_STOPS: usize = 64;

const MEMBERS: [&str; 34] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "parallel_tool_calls",
    "response_format",
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "n",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "reasoning_effort",
    "reasoning",
    "thinking",
    "safety_identifier",
    "user",
    "metadata",
    "service_tier",
    "modalities",
    "store",
    "verbosity",
    "prompt_cache_options",
];

type Top<'a> = Found<'a, 'static, { MEMBERS.len() }>;

pub(super) fn read<'a>(body: &'a [u8], path: PathFacts<'a>) -> Result<Request<'a>, BadRequest> {
    let mut unread = Unread::default();
    let top: Top<'a> = pick(Node::document(body)?, &Place::ROOT, &MEMBERS, &mut unread)?;
    let named = match path.model {
        Some(model) => Some(model.into()),
        None => top.string("model")?,
    };
    let model = top.need("model", named.filter(|model| !model.is_empty()))?;
    let conversation = messages::read(&top, &mut unread)?;
    let (tool_choice, tools) = (tools::choice(&top, &mut unread)?, tools::read(&top, &mut unread)?);
    let request = Request {
        model,
        stream: path.stream || top.flag("stream")?.unwrap_or(false),
        stream_usage: stream_usage(&top, &mut unread)?,
        turns: conversation.turns,
        owned: conversation.owned,
        tools,
        tool_choice,
        parallel_tools: top.flag("parallel_tool_calls")?,
        format: tools::format(&top, &mut unread)?,
        sampling: sampling(&top, &mut unread)?,
        thinking: thinking(&top, &mut unread)?,
        user: user(&top, &mut unread)?,
        metadata: top.object("metadata")?.filter(|raw| !is_empty(raw)),
        service_tier: top.text("service_tier")?.filter(|tier| !tier.is("auto")),
        unread: Vec::new(),
    };
    note_uncarried(&top, &mut unread)?;
    Ok(Request {
        unread: unread.into_paths(),
        ..request
    })
}

/// An object without members.
fn is_empty(object: &[u8]) -> bool {
    object.len() >= 2 && object[1..object.len() - 1].trim_ascii().is_empty()
}

/// Members that say nothing where they have their documented default, and are not carried where they have not.
fn note_uncarried(top: &Top<'_>, unread: &mut Unread<'_>) -> Result<(), BadRequest> {
    let only_text = |modes: Node<'_>| modes.elements().all(|mode| mode.is("text"));
    let says = [
        ("store", top.flag("store")? == Some(true)),
        (
            "verbosity",
            top.text("verbosity")?.is_some_and(|level| !level.is("medium")),
        ),
        (
            "modalities",
            top.list("modalities")?.is_some_and(|modes| !only_text(modes)),
        ),
        (
            "prompt_cache_options",
            top.object("prompt_cache_options")?.is_some_and(|raw| !is_empty(raw)),
        ),
    ];
    for (name, _) in says.iter().filter(|(_, says)| *says) {
        unread.note(&top.place.member(name));
    }
    Ok(())
}

fn stream_usage(top: &Top<'_>, unread: &mut Unread<'_>) -> Result<bool, BadRequest> {
    const OPTIONS: [&str; 2] = ["include_usage", "include_obfuscation"];
    let Some(options) = top.get("stream_options") else {
        return Ok(false);
    };
    let place = top.place.member("stream_options");
    let options = pick(options, &place, &OPTIONS, unread)?;
    // False is what it gets.
    if options.flag("include_obfuscation")? == Some(true) {
        unread.note(&place.member("include_obfuscation"));
    }
    Ok(options.flag("include_usage")?.unwrap_or(false))
}

fn sampling<'a>(top: &Top<'a>, unread: &mut Unread<'_>) -> Result<Sampling<'a>, BadRequest> {
    Ok(Sampling {
        max_tokens: either(top, ["max_completion_tokens", "max_tokens"], Found::unsigned, unread)?,
        temperature: top.number("temperature")?,
        top_p: top.number("top_p")?,
        top_k: top_k(top)?,
        frequency_penalty: top.number("frequency_penalty")?,
        presence_penalty: top.number("presence_penalty")?,
        seed: top.number("seed")?,
        stop: stop(top)?,
        n: n(top)?,
        logprobs: top.flag("logprobs")?,
        top_logprobs: top.unsigned("top_logprobs")?,
        logit_bias: top.object("logit_bias")?.filter(|raw| !is_empty(raw)),
    })
}

/// Of two names for one thing the first counts; the other is not carried where it says something else.
fn either<'a, T: PartialEq>(
    top: &Top<'a>,
    [newer, older]: [&str; 2],
    read: impl Fn(&Top<'a>, &str) -> Result<Option<T>, BadRequest>,
    unread: &mut Unread<'_>,
) -> Result<Option<T>, BadRequest> {
    let (first, second) = (read(top, newer)?, read(top, older)?);
    if first.is_some() && second.is_some() && first != second {
        unread.note(&top.place.member(older));
    }
    Ok(first.or(second))
}

/// Servers that have it take -1 for "all".
fn top_k(top: &Top<'_>) -> Result<Option<u64>, BadRequest> {
    match top.number("top_k")? {
        Some(number) if number.value() < 0.0 => Ok(None),
        _ => top.unsigned("top_k"),
    }
}

fn n(top: &Top<'_>) -> Result<Option<u64>, BadRequest> {
    match (top.unsigned("n")?, top.get("n")) {
        (Some(n), Some(node)) if n == 0 || n > MAX_CHOICES as u64 => {
            Err(top.place.member("n").wrong(format!("must be 1 to {MAX_CHOICES}"), node))
        }
        (n, _) => Ok(n),
    }
}

fn stop<'a>(top: &Top<'a>) -> Result<Vec<Text<'a>>, BadRequest> {
    let Some(node) = top.get("stop") else {
        return Ok(Vec::new());
    };
    if let Some(text) = node.text() {
        return Ok(vec![text]);
    }
    let place = top.place.member("stop");
    if !node.is_array() {
        return Err(place.wrong("must be a string or an array of strings", node));
    }
    let mut stops = Vec::new();
    for (index, element) in node.elements().enumerate() {
        if index == MAX_STOPS {
            return Err(place.wrong(format!("has more than {MAX_STOPS} elements"), element));
        }
        let wrong = || place.element(index).wrong("must be a string", element);
        stops.push(element.text().ok_or_else(wrong)?);
    }
    Ok(stops)
}

fn user<'a>(top: &Top<'a>, unread: &mut Unread<'_>) -> Result<Option<Text<'a>>, BadRequest> {
    either(top, ["safety_identifier", "user"], Found::text, unread)
}

type ReadThinking = fn(&Top<'_>, &mut Unread<'_>) -> Result<Option<Thinking>, BadRequest>;

/// OpenAI's word, OpenRouter's object, or the object that Anthropic-like servers take; the first that is there counts.
fn thinking(top: &Top<'_>, unread: &mut Unread<'_>) -> Result<Option<Thinking>, BadRequest> {
    let mut said = None;
    let shapes: [(&str, ReadThinking); 3] = [
        ("reasoning_effort", word),
        ("reasoning", reasoning_object),
        ("thinking", thinking_object),
    ];
    for (name, read) in shapes {
        let thinking = read(top, unread)?;
        if said.is_some() && thinking.is_some() && thinking != said {
            unread.note(&top.place.member(name));
        }
        said = said.or(thinking);
    }
    Ok(said)
}

fn word(top: &Top<'_>, _: &mut Unread<'_>) -> Result<Option<Thinking>, BadRequest> {
    let amount = effort(top, "reasoning_effort")?;
    Ok(amount.map(|amount| Thinking { amount, shown: None }))
}

fn effort<const N: usize>(found: &Found<'_, '_, N>, name: &str) -> Result<Option<Amount>, BadRequest> {
    let (Some(word), Some(node)) = (found.string(name)?, found.get(name)) else {
        return Ok(None);
    };
    Ok(Some(match &*word {
        "none" => Amount::Off,
        "minimal" => Amount::Effort(Effort::Minimal),
        "low" => Amount::Effort(Effort::Low),
        "medium" => Amount::Effort(Effort::Medium),
        "high" => Amount::Effort(Effort::High),
        "xhigh" | "max" => Amount::Effort(Effort::Most),
        _ => {
            let wrong = "must be one of none, minimal, low, medium, high, xhigh and max";
            return Err(found.place.member(name).wrong(wrong, node));
        }
    }))
}

fn reasoning_object(top: &Top<'_>, unread: &mut Unread<'_>) -> Result<Option<Thinking>, BadRequest> {
    const REASONING: [&str; 4] = ["effort", "max_tokens", "exclude", "enabled"];
    let Some(node) = top.get("reasoning") else {
        return Ok(None);
    };
    let place = top.place.member("reasoning");
    let found = pick(node, &place, &REASONING, unread)?;
    let budget = found.unsigned("max_tokens")?.map(Amount::BudgetTokens);
    let amount = match (found.flag("enabled")?, effort(&found, "effort")?.or(budget)) {
        (Some(false), _) => Some(Amount::Off),
        (Some(true), None) => Some(Amount::Adaptive),
        (_, amount) => amount,
    };
    let shown = found.flag("exclude")?.map(|exclude| !exclude);
    Ok(match (amount, shown) {
        (None, None) => None,
        (amount, shown) => Some(Thinking {
            amount: amount.unwrap_or(Amount::Adaptive),
            shown,
        }),
    })
}

fn thinking_object(top: &Top<'_>, unread: &mut Unread<'_>) -> Result<Option<Thinking>, BadRequest> {
    const THINKING: [&str; 2] = ["type", "budget_tokens"];
    let Some(node) = top.get("thinking") else {
        return Ok(None);
    };
    let place = top.place.member("thinking");
    let found = pick(node, &place, &THINKING, unread)?;
    let budget = found.unsigned("budget_tokens")?;
    let kind = found.need("type", found.string("type")?)?;
    let amount = match (&*kind, budget) {
        ("disabled", _) => Amount::Off,
        ("enabled", Some(tokens)) => Amount::BudgetTokens(tokens),
        ("enabled" | "adaptive" | "auto", _) => Amount::Adaptive,
        _ => {
            let wrong = "must be one of enabled, disabled and adaptive";
            return Err(place.member("type").wrong(wrong, node));
        }
    };
    Ok(Some(Thinking { amount, shown: None }))
}

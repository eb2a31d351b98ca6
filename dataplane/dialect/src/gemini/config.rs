//! `generationConfig` of a client's request: sampling, the answer's format, thinking.

use std::borrow::Cow;

use super::{
    loose::{Path, camel, each, fields, flag, number, once, text, unsigned, word},
    schema,
};
use crate::{
    canonical::{
        bad::BadRequest,
        request::{Amount, Effort, Format, Request, Sampling, Thinking},
    },
    json::{Node, Text},
};

/// Stop sequences at most, whatever the target's own bound is.
const MAX_STOP_SEQUENCES: usize = 256;

pub(super) fn read<'a>(config: Node<'a>, path: &Path<'_>, request: &mut Request<'a>) -> Result<(), BadRequest> {
    let mut stop = None;
    let mut thinking = None;
    let mut format = Wanted::default();
    for (name, value) in fields(config, path)? {
        let at = &path.member(&name);
        let name = camel(&name);
        if sample(&name, value, at, &mut request.sampling)? {
            continue;
        }
        match &*name {
            "stopSequences" => once(&mut stop, stop_sequences(value, at)?, at, value)?,
            "thinkingConfig" => once(&mut thinking, read_thinking(value, at, &mut request.unread)?, at, value)?,
            "responseMimeType" => once(&mut format.media_type, value, at, value)?,
            "responseSchema" => {
                let schema = schema::to_json_schema(value, at)?;
                once(&mut format.schema, schema, at, value)?;
            }
            "responseJsonSchema" if value.is_object() => once(&mut format.schema, value.raw().into(), at, value)?,
            "responseJsonSchema" => return Err(at.wrong("must be an object", value)),
            _ => at.is_unread(&mut request.unread),
        }
    }
    request.sampling.stop = stop.unwrap_or_default();
    request.thinking = thinking.flatten();
    request.format = format.read(path, &mut request.unread)?;
    Ok(())
}

/// Takes one of the numbers; false when it is none.
fn sample<'a>(name: &str, value: Node<'a>, at: &Path<'_>, into: &mut Sampling<'a>) -> Result<bool, BadRequest> {
    match name {
        "temperature" => once(&mut into.temperature, number(value, at)?, at, value)?,
        "topP" => once(&mut into.top_p, number(value, at)?, at, value)?,
        "topK" => once(&mut into.top_k, unsigned(value, at)?, at, value)?,
        "candidateCount" => once(&mut into.n, unsigned(value, at)?, at, value)?,
        "maxOutputTokens" => once(&mut into.max_tokens, unsigned(value, at)?, at, value)?,
        "seed" => once(&mut into.seed, number(value, at)?, at, value)?,
        "presencePenalty" => once(&mut into.presence_penalty, number(value, at)?, at, value)?,
        "frequencyPenalty" => once(&mut into.frequency_penalty, number(value, at)?, at, value)?,
        "responseLogprobs" => once(&mut into.logprobs, flag(value, at)?, at, value)?,
        "logprobs" => once(&mut into.top_logprobs, unsigned(value, at)?, at, value)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn stop_sequences<'a>(value: Node<'a>, path: &Path<'_>) -> Result<Vec<Text<'a>>, BadRequest> {
    let mut sequences = Vec::new();
    for (index, sequence) in each(value).enumerate() {
        if index == MAX_STOP_SEQUENCES {
            return Err(path.wrong(format!("has more than {MAX_STOP_SEQUENCES} elements"), value));
        }
        sequences.push(text(sequence, &path.element(index))?);
    }
    Ok(sequences)
}

fn read_thinking<'a>(
    config: Node<'a>,
    path: &Path<'_>,
    unread: &mut Vec<Cow<'a, str>>,
) -> Result<Option<Thinking>, BadRequest> {
    let (mut amount, mut level, mut shown) = (None, None, None);
    for (name, value) in fields(config, path)? {
        let at = &path.member(&name);
        match &*camel(&name) {
            "thinkingBudget" => once(&mut amount, budget(value, at)?, at, value)?,
            "thinkingLevel" => once(&mut level, read_level(value, at)?, at, value)?,
            "includeThoughts" => once(&mut shown, flag(value, at)?, at, value)?,
            _ => at.is_unread(unread),
        }
    }
    let amount = match (amount, level.flatten()) {
        (Some(_), Some(_)) => return Err(path.wrong("has both a thinkingBudget and a thinkingLevel", config)),
        (Some(amount), None) => amount,
        (None, Some(level)) => Amount::Effort(level),
        // Who only wants to see the thoughts leaves their amount to the model.
        (None, None) if shown == Some(true) => Amount::Adaptive,
        (None, None) => return Ok(None),
    };
    Ok(Some(Thinking { amount, shown }))
}

fn budget(value: Node<'_>, path: &Path<'_>) -> Result<Amount, BadRequest> {
    if value.number().is_some_and(|number| number.value() == -1.0) {
        return Ok(Amount::Adaptive);
    }
    match unsigned(value, path) {
        Ok(0) => Ok(Amount::Off),
        Ok(tokens) => Ok(Amount::BudgetTokens(tokens)),
        Err(_) => Err(path.wrong("must be -1, 0 or a number of tokens", value)),
    }
}

fn read_level(value: Node<'_>, path: &Path<'_>) -> Result<Option<Effort>, BadRequest> {
    Ok(Some(match &*word(value, path)? {
        "MINIMAL" => Effort::Minimal,
        "LOW" => Effort::Low,
        "MEDIUM" => Effort::Medium,
        "HIGH" => Effort::High,
        "XHIGH" => Effort::Most,
        "THINKING_LEVEL_UNSPECIFIED" => return Ok(None),
        _ => return Err(path.wrong("must be MINIMAL, LOW, MEDIUM, HIGH or XHIGH", value)),
    }))
}

/// The members that make up a format, in whatever order they came.
#[derive(Default)]
struct Wanted<'a> {
    media_type: Option<Node<'a>>,
    schema: Option<Cow<'a, [u8]>>,
}

impl<'a> Wanted<'a> {
    fn read(self, path: &Path<'_>, unread: &mut Vec<Cow<'a, str>>) -> Result<Format<'a>, BadRequest> {
        let at = path.member("responseMimeType");
        let media_type = match self.media_type {
            Some(node) => Some(node.string().ok_or_else(|| at.wrong("must be a string", node))?),
            None => None,
        };
        match (media_type.as_deref(), self.schema) {
            (Some("application/json") | None, Some(schema)) => Ok(Format::Schema {
                name: None,
                description: None,
                schema,
                strict: None,
            }),
            (Some("application/json"), None) => Ok(Format::Json),
            (Some("text/plain" | "") | None, None) => Ok(Format::Text),
            // `text/x.enum` and whatever comes after it: the answer would not be what its schema says as JSON.
            _ => {
                at.is_unread(unread);
                Ok(Format::Text)
            }
        }
    }
}

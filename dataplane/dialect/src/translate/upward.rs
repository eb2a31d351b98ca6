//! A client's request → the body that a provider of another dialect gets.

use crate::{
    canonical::{
        bad::BadRequest,
        feature::{self, Drops, Feature},
        request::{Content, Part, Request},
        seal,
    },
    json::Text,
    speak::{PathFacts, Speaks, TargetFacts},
};

use super::{members, schema};

/// What is wrong with naming what lives at a provider to one of another dialect; one of the same may take it.
pub const LIVES_ELSEWHERE: &str =
    "names something that lives at a provider, and no target of this model speaks the dialect it was made in";

/// What was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// What the target cannot say, in the caller's words.
    pub dropped: Vec<String>,
    /// A tool stands for the structured answer that was asked for.
    pub forced_tool: bool,
    /// The caller's dialect has usage in its streams, or the caller asked for it.
    pub stream_usage: bool,
    /// The request carried something that a provider issued and the gateway sealed.
    pub had_seals: bool,
}

/// Appends the body for `provider`. Reads the client's body anew for each attempt: a retry is rare, a tree kept would be
/// paid for by every call.
pub fn write_request(
    (client, target): (&dyn Speaks, &dyn Speaks),
    (body, path): (&[u8], PathFacts<'_>),
    (provider, to): (&str, &TargetFacts<'_>),
    out: &mut Vec<u8>,
) -> Result<Sent, BadRequest> {
    write_changed((client, target), (body, path), (provider, to), out, |_| Ok(()))
}

/// The same, changed on its way.
pub(super) fn write_changed<'a>(
    (client, target): (&dyn Speaks, &dyn Speaks),
    (body, path): (&'a [u8], PathFacts<'a>),
    (provider, to): (&str, &TargetFacts<'_>),
    out: &mut Vec<u8>,
    change: impl FnOnce(&mut Request<'a>) -> Result<(), BadRequest>,
) -> Result<Sent, BadRequest> {
    let mut request = client.read_request(body, path)?;
    change(&mut request)?;
    if let Some(owned) = request.owned.first() {
        return Err(BadRequest::missing(owned.field, LIVES_ELSEWHERE));
    }
    request.name_calls();
    let mut drops = Drops::default();
    let had_seals = has_seals(&request);
    open_seals(&mut request, provider, &mut drops);
    let forced_tool = !to.quirks.native_schema && schema::force(&mut request);
    let start = out.len();
    target.write_request(&request, to, &mut drops, out)?;
    let mut dropped = feature::names(&request.unread, &drops, |feature| client.field(feature));
    let mut lost = Vec::new();
    members::fit(out, start, to.quirks, &mut lost);
    for name in lost {
        let name = in_callers_words(name, target, client);
        if !dropped.contains(&name) {
            dropped.push(name);
        }
    }
    Ok(Sent {
        dropped,
        forced_tool,
        stream_usage: request.stream_usage,
        had_seals,
    })
}

/// A member of the target's dialect, as the caller knows it. One that the caller's dialect has no word for was never said
/// by the caller, and keeps its name.
fn in_callers_words(member: String, target: &dyn Speaks, client: &dyn Speaks) -> String {
    // OpenAI has had several names for the cap.
    let is_cap = matches!(&*member, "max_tokens" | "max_completion_tokens" | "max_output_tokens");
    let known = Feature::ALL
        .into_iter()
        .find(|feature| target.field(*feature) == member);
    match known.or(is_cap.then_some(Feature::MaxTokens)) {
        Some(feature) => client.field(feature).to_owned(),
        None => member,
    }
}

/// Sealed matter where a provider's matter stands; the same words in a text are text.
fn has_seals(request: &Request<'_>) -> bool {
    let sealed = |text: &Text<'_>| text.plain().is_some_and(|text| seal::open(&text).is_some());
    request.turns.iter().flat_map(|turn| &turn.parts).any(|part| {
        let data = matches!(&part.content, Content::Sealed { data, .. } if sealed(data));
        data || part.signature.as_ref().is_some_and(sealed)
    })
}

/// Gives `provider` back what it issued, byte for byte, and takes out what others did: no provider reads another's.
fn open_seals(request: &mut Request<'_>, provider: &str, drops: &mut Drops) {
    for turn in &mut request.turns {
        let (mut lost, mut unsigned, mut sealed) = (false, false, false);
        turn.parts.retain_mut(|part| {
            let bare = matches!(part.content, Content::Thinking(_)) && part.signature.is_none();
            let kept = open(part, provider);
            lost |= !kept && !bare;
            unsigned |= !kept && bare;
            sealed |= kept && matches!(part.content, Content::Sealed { .. });
            kept
        });
        // Beside sealed thinking stands its summary, which nobody asks for again.
        drops.note_if(Feature::Signature, lost || (unsigned && !sealed));
    }
}

/// False where the part has no meaning without what another provider signed.
fn open(part: &mut Part<'_>, provider: &str) -> bool {
    let raw_of = |text: &Text<'_>| {
        let sealed = seal::open(&text.plain()?)?;
        (sealed.provider == provider).then(|| Text::from(sealed.raw))
    };
    if let Content::Sealed { data, .. } = &mut part.content {
        return raw_of(data).map(|raw| *data = raw).is_some();
    }
    part.signature = part.signature.as_ref().and_then(raw_of);
    let thought = matches!(part.content, Content::Thinking(_));
    // Thoughts that nobody signed are not asked for again by anyone, and refused by some.
    !thought || part.signature.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{anthropic, gemini, openai_chat, quirks::Quirks};

    #[test]
    fn what_a_row_drops_is_told_in_the_callers_words() {
        let quirks = Quirks {
            drop: ["top_p", "stop", "max_tokens", "store"].map(str::to_owned).to_vec(),
            ..Quirks::default()
        };
        let to = TargetFacts {
            model: "m",
            quirks: &quirks,
        };
        for (client, speaks, body, names) in [
            (
                "anthropic",
                &anthropic::SPEAKS as &dyn Speaks,
                r#"{"model":"m","max_tokens":5,"top_p":0.5,"stop_sequences":["x"],"messages":[{"role":"user","content":"hi"}]}"#,
                ["max_tokens", "stop_sequences", "top_p"],
            ),
            (
                "gemini",
                &gemini::SPEAKS,
                r#"{"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":5,"topP":0.5,"stopSequences":["x"]}}"#,
                [
                    "generationConfig.maxOutputTokens",
                    "generationConfig.stopSequences",
                    "generationConfig.topP",
                ],
            ),
        ] {
            let path = PathFacts {
                model: Some("m"),
                stream: false,
            };
            let sent = write_request(
                (speaks, &openai_chat::SPEAKS),
                (body.as_bytes(), path),
                ("p", &to),
                &mut Vec::new(),
            );
            let mut dropped = sent.map(|sent| sent.dropped).unwrap_or_default();
            dropped.sort();
            assert_eq!(dropped, names, "{client}");
        }
    }
}

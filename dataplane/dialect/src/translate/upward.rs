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
    let mut request = client.read_request(body, path)?;
    if let Some(owned) = request.owned.first() {
        let wrong = "names something that lives at a provider, and no target of this model speaks the dialect it was \
                     made in";
        return Err(BadRequest::missing(owned.field, wrong));
    }
    request.name_calls();
    let mut drops = Drops::default();
    let had_seals = has_seals(&request);
    open_seals(&mut request, provider, &mut drops);
    let forced_tool = !to.quirks.native_schema && schema::force(&mut request);
    let start = out.len();
    target.write_request(&request, to, &mut drops, out)?;
    let mut dropped = feature::names(&request.unread, &drops, |feature| client.field(feature));
    members::fit(out, start, to.quirks, &mut dropped);
    Ok(Sent {
        dropped,
        forced_tool,
        stream_usage: request.stream_usage,
        had_seals,
    })
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

//! What the engine knows of a call → the record as it is written. Knows no file.

use tollgate_config::{
    money::PicoUsd,
    usage_event::{AttemptLine, CacheMark, Ending, HedgeMark, Tokens, UsageEvent},
};
use tollgate_dialect::usage::Usage;
use tollgate_engine::{
    billing::{Attempt, Billed},
    cost::Cost,
    record::{HedgeOutcome, LateWork, Outcome, Record},
};

/// All but the record's identity, its lines, and what it is known by where that was found at its end.
pub fn event<'r>(record: &Record<'r>, billed: &Billed<'r>, unix_ms: u64) -> UsageEvent<'r> {
    let text = |text: Option<&'r str>| text.unwrap_or_default();
    let cache = match record.cache {
        Some("hit") => CacheMark::Hit,
        Some("semantic-hit") => CacheMark::SemanticHit,
        _ => CacheMark::None,
    };
    let mut event = UsageEvent {
        started_unix_ms: unix_ms.saturating_sub(record.total_ns / 1_000_000),
        ended_unix_ms: unix_ms,
        total_ns: record.total_ns,
        gateway_ns: record.gateway_ns,
        first_token_ns: record.first_token_ns,
        request_bytes: record.request_body_bytes,
        response_bytes: record.response_body_bytes,
        tokens: record.usage.map_or_else(Tokens::default, |usage| classes(&usage)),
        cost: record.cost.map(|cost| (cost.usd, cost.prices)),
        list: record.cost.map(|cost| cost.list),
        images: record.media.images,
        audio_ms: record.media.audio_ms,
        tier: billed.tier,
        status: record.status,
        ending: match record.outcome {
            Outcome::Complete => Ending::Complete,
            Outcome::ClientGone => Ending::ClientGone,
            Outcome::Cut => Ending::Cut,
            Outcome::Crashed => Ending::Crashed,
        },
        attempts: record.attempts,
        streamed: record.streamed,
        estimated: record.estimated,
        hedge: record.hedge.map_or(HedgeMark::None, |hedge| mark(hedge.outcome)),
        resumed: record.resumed,
        shadow: record.shadow || record.embeds,
        replayed: record.replayed || record.is_kept(),
        cache,
        free: billed.free,
        trace: billed.trace,
        request_id: record.request_id,
        key: text(record.key),
        user: text(record.user),
        team: text(record.team),
        tags: text(record.tags),
        model_asked: text(record.model_asked),
        model: text(record.model.map(|(_, name)| name)),
        provider: text(record.provider.map(|(_, name)| name)),
        upstream_model: text(record.upstream_model),
        surface: record.surface,
        dialect: record.dialect,
        rejected: text(record.rejected),
        organization: text(billed.organization),
        cost_center: text(billed.cost_center),
        credential: text(billed.credential),
        arm: text(record.arm),
        ..UsageEvent::default()
    };
    if let Some((input, cost)) = billed.beaten {
        add_beaten(&mut event, input, cost);
    }
    event
}

/// What the attempt read that another was quicker than is part of the call: balances are charged with it as well.
fn add_beaten(event: &mut UsageEvent<'_>, input: u64, cost: Option<Cost>) {
    let [all_input, ..] = &mut event.tokens;
    *all_input = Some(all_input.unwrap_or(0).saturating_add(input));
    event.estimated = true;
    let Some(cost) = cost else { return };
    let (usd, prices) = event.cost.unwrap_or((PicoUsd::ZERO, cost.prices));
    event.cost = Some((usd.saturating_add(cost.usd), prices));
    event.list = Some(event.list.unwrap_or_default().saturating_add(cost.list));
}

pub fn line<'a>(attempt: &Attempt<'a>) -> AttemptLine<'a> {
    AttemptLine {
        provider: attempt.provider,
        model: attempt.model,
        credential: attempt.credential,
        status: attempt.status,
        end: attempt.outcome,
        started_ns: attempt.started_ns,
        took_ns: attempt.took_ns,
        tokens: attempt.usage.map_or_else(Tokens::default, |usage| classes(&usage)),
        cost: attempt.cost.map(|cost| (cost.usd, cost.prices)),
        list: attempt.cost.map(|cost| cost.list),
        estimated: attempt.estimated,
    }
}

fn mark(outcome: HedgeOutcome) -> HedgeMark {
    match outcome {
        HedgeOutcome::Won => HedgeMark::Won,
        HedgeOutcome::Lost => HedgeMark::Lost,
        HedgeOutcome::Failed => HedgeMark::Failed,
        HedgeOutcome::OverBudget => HedgeMark::OverBudget,
    }
}

/// What it is known by, and behind that a batch's id as its client has it.
pub fn late_text(late: LateWork<'_>) -> String {
    let LateWork { id, batch } = late;
    match batch {
        Some(batch) => format!("{id:032x} {batch}"),
        None => format!("{id:032x}"),
    }
}

/// By `TOKEN_CLASSES` of the record.
fn classes(usage: &Usage) -> Tokens {
    [
        usage.input,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.output,
        usage.reasoning,
        usage.input_audio,
        usage.output_audio,
        usage.input_image,
    ]
}

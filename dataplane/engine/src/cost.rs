//! What a call cost, by the prices of the snapshot it began with: arithmetic, and for models that only the call names a
//! look-up. Knows no dialect's words for usage.

use tollgate_config::{
    document::Dialect,
    money::{NANO_TEXT_BYTES, PicoUsd},
    prices::{Counts, Price, PriceVersion, ServiceTier},
};
use tollgate_dialect::usage::Usage;
use tollgate_wire::{
    http1::write,
    json::{
        cursor::{self, Value},
        watch::Watch,
    },
};

use crate::{
    call::SentModel,
    exchange::{Exchange, Pinned},
    facts::Facts,
    names::header,
};

/// The exact sum, and the prices it was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub usd: PicoUsd,
    /// The same at list prices.
    pub list: PicoUsd,
    pub prices: PriceVersion,
}

impl Cost {
    pub(crate) fn of(price: &Price<'_>, counts: &Counts, tier: ServiceTier) -> Self {
        let usd = price.cost(counts, tier);
        Self {
            usd,
            list: price.list_cost(counts, tier, usd),
            prices: price.version(),
        }
    }
}

/// What an answer with this usage cost; `None` where no price is known, or nothing was used that has one.
pub(crate) fn of(exchange: &Exchange, unix_ms: u64) -> Option<Cost> {
    let pinned = exchange.pinned()?;
    let price = price(exchange, pinned, unix_ms)?;
    let usage = match exchange.facts.usage {
        Some(usage) => usage,
        None if price.prices.by_request() => Usage::default(),
        None => return None,
    };
    Some(Cost::of(&price, &counts(&usage), tier(exchange)))
}

/// What this usage costs at this price.
pub(crate) fn by(price: &Price<'_>, usage: &Usage, tier: ServiceTier) -> Cost {
    Cost::of(price, &counts(usage), tier)
}

/// What an answer of so many tokens costs, in nano-dollars, where nothing else of it is known yet; `input` is that of a prompt
/// of which no more is known.
pub(crate) fn with_output(exchange: &Exchange, unix_ms: u64, input: u64, output: u64) -> u64 {
    let price = exchange.pinned().and_then(|pinned| price(exchange, pinned, unix_ms));
    let heard = exchange.facts.usage.filter(|usage| usage.all_input() > 0);
    let usage = heard.unwrap_or(Usage {
        input: Some(input),
        ..Usage::default()
    });
    let usage = Usage {
        output: Some(output),
        reasoning: None,
        output_audio: None,
        ..usage
    };
    price.map_or(0, |price| price.cost(&counts(&usage), tier(exchange)).to_nanos().0)
}

/// What both cost together; the prices are the first's.
pub(crate) fn sum(one: Option<Cost>, other: Option<Cost>) -> Option<Cost> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Cost {
            usd: one.usd.saturating_add(other.usd),
            list: one.list.saturating_add(other.list),
            ..one
        }),
        (one, other) => one.or(other),
    }
}

/// Of the answer and of those before it that refused.
pub(crate) fn with_declined(facts: &Facts) -> Option<Cost> {
    sum(facts.cost, facts.declined.as_ref().and_then(|declined| declined.cost))
}

/// Is it known what this call costs, once its usage is?
pub(crate) fn is_known(exchange: &Exchange, unix_ms: u64) -> bool {
    exchange
        .pinned()
        .is_some_and(|pinned| price(exchange, pinned, unix_ms).is_some())
}

/// Counting tokens is free, and asks about an object were paid for when it was made; but not what is known only at its
/// end.
pub(crate) fn is_free(exchange: &Exchange) -> bool {
    let call = &exchange.call;
    let asks = call.object.is_some() || call.through.is_some_and(|through| !through.uses);
    let paid = asks && exchange.facts.late.is_none();
    exchange.facts.surface.name == "count_tokens" || paid
}

/// Of the model that was sent last.
fn price<'p>(exchange: &Exchange, pinned: &'p Pinned, unix_ms: u64) -> Option<Price<'p>> {
    let call = &exchange.call;
    if is_free(exchange) {
        return None;
    }
    price_of(pinned, (call.sent_model, &call.star_model), call.provider, unix_ms)
}

/// Of a model that was sent to a provider.
pub(crate) fn price_of<'p>(
    pinned: &'p Pinned,
    (sent, star_model): (SentModel, &str),
    provider: Option<usize>,
    unix_ms: u64,
) -> Option<Price<'p>> {
    let (snapshot, unix_s) = (&pinned.snapshot, unix_ms / 1000);
    match sent {
        SentModel::None => None,
        SentModel::Target { route, target } => snapshot.routes[route].targets[target].priced.at(unix_s),
        SentModel::Star { .. } => {
            let (_, provider) = &snapshot.document.providers[provider?];
            provider.prices.at(star_model, unix_s)
        }
    }
}

/// The `service_tier` of a request, in OpenAI's two dialects. Others have no published prices for theirs, or no word for
/// it in their answers.
pub(crate) fn tier_asked(body: &[u8], value: Option<Value>) -> ServiceTier {
    match value.map(|value| value.span.of(body)) {
        Some(b"\"flex\"") => ServiceTier::Flex,
        Some(b"\"priority\"") => ServiceTier::Priority,
        _ => ServiceTier::Standard,
    }
}

/// A provider may serve a call otherwise than it was asked to, and says so in its answer.
pub(crate) fn read_tier(facts: &mut Facts, answer: &[u8]) {
    const TIER: Watch<'static, 1> = Watch::new(&["service_tier"]);
    if facts.tier != ServiceTier::Standard
        && let Ok([Some(value)]) = cursor::find_watched(answer, &TIER)
    {
        facts.tier = tier_asked(answer, Some(value));
    }
}

/// What is translated for another family of dialects is served as standard there.
pub(crate) fn tier(exchange: &Exchange) -> ServiceTier {
    if exchange.facts.late.as_ref().is_some_and(|late| late.batch.is_some()) {
        return ServiceTier::Batch;
    }
    let to = exchange.call.translated.as_ref().map(|translated| translated.spoken);
    match to {
        None | Some(Dialect::OpenAi | Dialect::OpenAiResponses) => exchange.facts.tier,
        Some(_) => ServiceTier::Standard,
    }
}

fn counts(usage: &Usage) -> Counts {
    let count = |class: Option<u64>| class.unwrap_or(0);
    Counts {
        input: count(usage.input),
        cache_read: count(usage.cache_read),
        cache_write_5m: count(usage.cache_write_5m),
        cache_write_1h: count(usage.cache_write_1h),
        output: count(usage.output),
        reasoning: count(usage.reasoning),
        input_audio: count(usage.input_audio),
        output_audio: count(usage.output_audio),
        input_image: count(usage.input_image),
        requests: 1,
    }
}

/// Appends the header that says the cost, where it is known: dollars, rounded up to the nano-dollar.
pub(crate) fn write_line(out: &mut Vec<u8>, cost: Option<Cost>) {
    if let Some(cost) = cost {
        write::header(
            out,
            header::COST_USD,
            cost.usd.to_nanos().text(&mut [0; NANO_TEXT_BYTES]),
        );
    }
}

//! What a record adds to sums: by which dimensions, and which numbers. The same twice, as code for roll-ups and as SQL for
//! single calls, so that both give the same sums; a test holds them to that.

use tollgate_config::usage_event::{AttemptLine, AttemptOutcome, Ending, Tokens, UsageEvent};

use super::ledger::{self, units};

/// The texts by which sums are kept apart. Calls themselves are no entry; what was posted later says what it is.
pub const TEXTS: [&str; 17] = [
    "organization",
    "cost_center",
    "team",
    "user",
    "key",
    "model_asked",
    "model",
    "provider",
    "upstream_model",
    "credential",
    "surface",
    "dialect",
    "tags",
    "arm",
    "cache",
    "entry",
    "price_version",
];

/// Places in `TEXTS` that differ between the attempts of a call.
const PROVIDER: usize = 7;
const UPSTREAM_MODEL: usize = 8;
const CREDENTIAL: usize = 9;
pub const ENTRY: usize = 15;
pub const PRICE_VERSION: usize = 16;

pub const NUMBERS: [&str; 25] = [
    "requests",
    "failed",
    "crashed",
    "attempts",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "images",
    "audio_ms",
    "request_bytes",
    "response_bytes",
    "estimated",
    "replayed",
    "shadow",
    "adjustments",
    "cost_units",
    "cost_rest",
    "list_units",
    "list_rest",
];
/// Of these, those that a row shows as they are; the rest make costs.
pub const SHOWN: usize = NUMBERS.len() - 4;
/// What tells a token's class, and what money is in.
pub const TOKENS: std::ops::Range<usize> = 4..13;
pub const COST: std::ops::Range<usize> = SHOWN..NUMBERS.len();

pub type Numbers = [i64; NUMBERS.len()];

const INPUT: &str = "IFNULL(input, 0) + IFNULL(cache_read, 0) + IFNULL(cache_write_5m, 0) + IFNULL(cache_write_1h, 0) + \
     IFNULL(input_audio, 0) + IFNULL(input_image, 0)";
const OUTPUT: &str = "IFNULL(output, 0) + IFNULL(reasoning, 0) + IFNULL(output_audio, 0)";

/// `NUMBERS` of a row of `calls`. A call is answered when its client got an answer of success, whatever became of its end.
const OF_CALL: [&str; NUMBERS.len()] = [
    // What a list has shown the end of is a batch, and no call.
    "CASE WHEN c.status BETWEEN 200 AND 299 AND c.ending <> 3 AND (c.attempts > 0 OR c.batch = '') THEN 1 ELSE 0 END",
    "CASE WHEN c.status NOT BETWEEN 200 AND 299 AND c.ending <> 3 THEN 1 ELSE 0 END",
    "CASE WHEN c.ending = 3 THEN 1 ELSE 0 END",
    "c.attempts",
    INPUT,
    OUTPUT,
    "IFNULL(cache_read, 0)",
    "IFNULL(cache_write_5m, 0)",
    "IFNULL(cache_write_1h, 0)",
    "IFNULL(reasoning, 0)",
    "IFNULL(input_audio, 0)",
    "IFNULL(output_audio, 0)",
    "IFNULL(input_image, 0)",
    "IFNULL(images, 0)",
    "IFNULL(audio_ms, 0)",
    "request_bytes",
    "response_bytes",
    "c.estimated",
    "c.replayed",
    "c.shadow",
    "0",
    "IFNULL(cost_units, 0)",
    "IFNULL(cost_rest, 0)",
    "IFNULL(list_units, 0)",
    "IFNULL(list_rest, 0)",
];
const _: () = assert!(Ending::Crashed as u8 == 3, "as the sums above say");

/// One row of sums.
pub struct Row<'e> {
    pub at_ms: u64,
    /// By `TEXTS`, but for the version of prices.
    pub texts: [&'e str; PRICE_VERSION],
    pub prices: Option<u64>,
    pub numbers: Numbers,
}

/// What a call adds: all of it where it was answered, and what other attempts used from there to them.
pub fn rows<'e>(event: &UsageEvent<'e>) -> (Row<'e>, impl Iterator<Item = Row<'e>>) {
    let main = main(event);
    let (at_ms, texts, prices) = (main.at_ms, main.texts, main.prices);
    let moved = moved(event).flat_map(move |(_, line)| {
        let numbers = of_usage(&line.tokens, line.cost.map(|(usd, _)| units(usd)), line.list.map(units));
        let mut there = texts;
        (there[PROVIDER], there[UPSTREAM_MODEL], there[CREDENTIAL]) = (line.provider, line.model, line.credential);
        [
            Row {
                at_ms,
                texts,
                prices,
                numbers: numbers.map(|number| -number),
            },
            Row {
                at_ms,
                texts: there,
                prices: line.cost.map(|(_, version)| version.0),
                numbers,
            },
        ]
    });
    (main, moved)
}

/// Attempts that are billed beside the one whose names are the call's, and their places among the lines.
pub fn moved<'e>(event: &UsageEvent<'e>) -> impl Iterator<Item = (usize, AttemptLine<'e>)> + use<'e> {
    let answering = answering(event);
    // Who answered need not be who was asked last, and the call has the last one's names.
    let own = (event.provider, event.upstream_model, event.credential);
    let is_own = move |at: usize, line: &AttemptLine<'_>| {
        Some(at) == answering && (line.provider, line.model, line.credential) == own
    };
    // The ledger keeps no line of a call that has but one.
    let many = event.lines.len() > 1;
    let lines = event.lines.iter().enumerate();
    let others = lines.filter(move |(at, line)| many && line.is_billed() && !is_own(*at, line));
    others.map(|(at, line)| {
        let tokens = ledger::believed(line.tokens);
        (at, AttemptLine { tokens, ..line })
    })
}

/// The last that was answered with success, or else the last.
fn answering(event: &UsageEvent<'_>) -> Option<usize> {
    let mut found = None;
    let mut is_success = false;
    for (at, line) in event.lines.iter().enumerate() {
        let succeeded = (200..300).contains(&line.status);
        if line.end != AttemptOutcome::HedgeLost && (succeeded || !is_success) {
            (found, is_success) = (Some(at), succeeded);
        }
    }
    found
}

fn main<'e>(event: &UsageEvent<'e>) -> Row<'e> {
    let crashed = event.ending == Ending::Crashed;
    let succeeded = (200..300).contains(&event.status);
    let mut numbers = of_usage(
        &event.tokens,
        event.cost.map(|(usd, _)| units(usd)),
        event.list.map(units),
    );
    let is_call = event.attempts > 0 || event.batch.is_empty();
    let calls = [succeeded && !crashed && is_call, !succeeded && !crashed, crashed].map(i64::from);
    numbers[..3].copy_from_slice(&calls);
    numbers[3] = i64::from(event.attempts);
    let counts = [
        event.images.unwrap_or(0),
        event.audio_ms.unwrap_or(0),
        event.request_bytes,
        event.response_bytes,
    ];
    numbers[13..17].copy_from_slice(&counts.map(ledger::whole));
    numbers[17..20].copy_from_slice(&[event.estimated, event.replayed, event.shadow].map(i64::from));
    Row {
        at_ms: event.ended_unix_ms,
        texts: texts(event),
        prices: event.cost.map(|(_, version)| version.0),
        numbers,
    }
}

/// By `TEXTS`, but for the version of prices.
pub fn texts<'e>(event: &UsageEvent<'e>) -> [&'e str; PRICE_VERSION] {
    [
        event.organization,
        event.cost_center,
        event.team,
        event.user,
        event.key,
        event.model_asked,
        event.model,
        event.provider,
        event.upstream_model,
        event.credential,
        event.surface,
        event.dialect,
        event.tags,
        event.arm,
        event.cache.name(),
        "",
    ]
}

fn of_usage(tokens: &Tokens, cost: Option<(i64, i64)>, list: Option<(i64, i64)>) -> Numbers {
    let [
        input,
        cache_read,
        cache_write_5m,
        cache_write_1h,
        output,
        reasoning,
        input_audio,
        output_audio,
        input_image,
    ] = tokens.map(|count| ledger::whole(count.unwrap_or(0)));
    let mut numbers = [0; NUMBERS.len()];
    numbers[TOKENS].copy_from_slice(&[
        input + cache_read + cache_write_5m + cache_write_1h + input_audio + input_image,
        output + reasoning + output_audio,
        cache_read,
        cache_write_5m,
        cache_write_1h,
        reasoning,
        input_audio,
        output_audio,
        input_image,
    ]);
    let ((cost_units, cost_rest), (list_units, list_rest)) = (cost.unwrap_or_default(), list.unwrap_or_default());
    numbers[COST].copy_from_slice(&[cost_units, cost_rest, list_units, list_rest]);
    numbers
}

/// A view of all single records as rows of sums: calls, what their other attempts used (taken from the call's own
/// provider, and added to theirs), and what was posted later.
pub fn view() -> String {
    let list = |columns: Vec<String>| columns.join(", ");
    let price =
        |of: &str| format!("CASE WHEN {of}.price_version IS NULL THEN '' ELSE printf('%016x', {of}.price_version) END");
    let texts = |attempt: bool| {
        let column = |(at, name): (usize, &&str)| match (at, attempt) {
            (ENTRY, _) => "''".to_owned(),
            (PROVIDER | UPSTREAM_MODEL | CREDENTIAL, true) => format!("a.{name}"),
            (PRICE_VERSION, true) => price("a"),
            (PRICE_VERSION, false) => price("c"),
            _ => format!("c.{name}"),
        };
        list(TEXTS.iter().enumerate().map(column).collect())
    };
    let of_attempts = |sign: &str| {
        let column = |(at, name): (usize, &&str)| match TOKENS.contains(&at) || COST.contains(&at) {
            true => format!("{sign}({}) AS {name}", OF_CALL[at].replace("IFNULL(", "IFNULL(a.")),
            false => format!("0 AS {name}"),
        };
        list(NUMBERS.iter().enumerate().map(column).collect())
    };
    let of_calls = numbers_of_calls();
    let joined = "attempts a JOIN calls c ON c.id = a.call WHERE a.moved = 1";
    format!(
        "CREATE VIEW IF NOT EXISTS billed AS SELECT c.ended_ms AS at_ms, {}, {of_calls} FROM calls c \
         UNION ALL SELECT c.ended_ms, {}, {} FROM {joined} \
         UNION ALL SELECT c.ended_ms, {}, {} FROM {joined} \
         UNION ALL SELECT at_ms, {}, {} FROM adjustments;",
        texts_named(&texts(false)),
        texts(false),
        of_attempts("-"),
        texts(true),
        of_attempts(""),
        TEXTS.join(", "),
        NUMBERS.join(", "),
    )
}

/// `NUMBERS` of a call `c` of the ledger, each by its name.
pub fn numbers_of_calls() -> String {
    let made = OF_CALL.iter().zip(NUMBERS);
    let named: Vec<String> = made.map(|(made, name)| format!("{made} AS {name}")).collect();
    named
        .join(", ")
        .replace("IFNULL(", "IFNULL(c.")
        .replace(", request_bytes", ", c.request_bytes")
}

/// The first part of a compound names its columns.
fn texts_named(columns: &str) -> String {
    let mut named = columns.replacen("''", "'' AS entry", 1);
    named.push_str(" AS price_version");
    named
}

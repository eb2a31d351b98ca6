//! Every way to write providers, models, teams, users and keys wrong: what `check` says.

#[allow(dead_code)] // Each test has it said in one of its ways.
mod faults;

use faults::lines;

/// A document that is right, with one section replaced or added.
fn with(section: &str) -> String {
    format!("version: 1\n{section}\n")
}

const PROVIDER_FAULTS: &[(&str, &str)] = &[
    (
        "base_url: 'https://a'",
        ": `kind` is missing; kind: openai, or another that `tollgate providers` lists; or dialect: and base_url:",
    ),
    (
        "kind: openia, credential: env:A",
        "/kind: `openia` is not a kind of provider that is known; did you mean `openai`?",
    ),
    (
        "kind: openai",
        ": `credential` is missing; credential: env:NAME or file:PATH",
    ),
    (
        "kind: sandbox, credential: env:A",
        ": `base_url` is missing; base_url: https://HOST",
    ),
    (
        "kind: openai, dialect: openai, credential: env:A",
        "/dialect: `kind` and `dialect` are both given; one of them: `kind` implies its dialect",
    ),
    (
        "dialect: soap, base_url: 'https://a'",
        "/dialect: `soap` is not a dialect; openai, openai-responses, anthropic, gemini, cohere or bedrock",
    ),
    (
        "kind: openai, base_url: 'ftp://a'",
        "/base_url: `ftp://a` is not a URL that works here: it does not begin with http:// or https://; https://HOST, https://HOST:PORT or https://HOST/PATH",
    ),
    (
        "kind: openai, base_url: 'https://user:hunter2@a'",
        "/base_url: this URL carries a user or password; credential: env:NAME or file:PATH, and a URL without",
    ),
    (
        "kind: openai, base_url: 'https://a:0'",
        "/base_url: `https://a:0` is not a URL that works here: its port is not a number from 1 to 65535; https://HOST, https://HOST:PORT or https://HOST/PATH",
    ),
    (
        "kind: openai, base_url: 'https://::1'",
        "/base_url: `https://::1` is not a URL that works here: an IPv6 address goes in brackets, [::1]; https://HOST, https://HOST:PORT or https://HOST/PATH",
    ),
    (
        "kind: openai, base_url: 'https://a?b'",
        "/base_url: `https://a?b` is not a URL that works here: it has a query or a fragment; https://HOST, https://HOST:PORT or https://HOST/PATH",
    ),
    (
        "kind: openai, base_url: 'https://'",
        "/base_url: `https://` is not a URL that works here: its host is neither a name nor an IP address; https://HOST, https://HOST:PORT or https://HOST/PATH",
    ),
    (
        "kind: openai, base_url: 'https://1.2.3'",
        "/base_url: `https://1.2.3` is not a URL that works here: its host is neither a name nor an IP address; https://HOST, https://HOST:PORT or https://HOST/PATH",
    ),
    (
        "kind: openai, credential: sk-hunter2",
        "/credential: this text is not a reference to a secret; env:NAME or file:PATH; secrets are never written in the document",
    ),
    (
        "kind: openai, credential: 'env:A B'",
        "/credential: this text is not the name of an environment variable; env:NAME, of letters, digits and `_`",
    ),
    (
        "kind: openai, credential: [ env:A, 7 ]",
        "/credential/1: this value is not a reference to a secret; env:NAME or file:PATH; secrets are never written in the document",
    ),
    (
        "kind: openai, credential: []",
        "/credential: the list has 0 credentials; 1 to 64, or no `credential`",
    ),
    (
        "kind: openai, credential: env:A, region: x",
        "/region: `region` has no meaning for openai; remove `region`",
    ),
    (
        "kind: openai, credential: env:A, proxy: {}",
        "/proxy: `url` is missing; url: http://HOST:PORT",
    ),
    (
        "kind: openai, credential: env:A, proxy: { url: 'https://a:1' }",
        "/proxy/url: `https` is not supported yet; an http:// proxy; TLS to the provider goes through it unread",
    ),
    (
        "kind: openai, credential: env:A, proxy: { url: 'http://a:1/b' }",
        "/proxy/url: `http://a:1/b` is not the URL of a proxy: it has a path; http://HOST:PORT",
    ),
    (
        "kind: openai, credential: env:A, proxy: { url: 'http://a:1', no_proxy: [ '*.corp' ] }",
        "/proxy/no_proxy/0: `*.corp` is not a host; .corp, without the star",
    ),
    (
        "kind: openai, credential: env:A, timeouts: { connect: 0ms }",
        "/timeouts/connect: `0ms` is not a time to wait; more than zero, such as 10s",
    ),
    (
        "kind: openai, credential: env:A, connections: { max_idle: -1 }",
        "/connections/max_idle: `-1` is not a number that fits here; a whole number from 0 to 65535",
    ),
    (
        "kind: openai, credential: env:A, tls: { client_key: file:k }",
        "/tls: `client_certificate` is missing; client_certificate: file:PATH, beside client_key",
    ),
    (
        "kind: openai, base_url: 'http://a', tls: { ca: file:k }",
        "/tls: `tls` has no meaning for an http:// address; an https:// base_url, or no `tls`",
    ),
    (
        "kind: openai, credential: env:A, headers: { Authorization: hunter2 }",
        "/headers/Authorization: `authorization` carries a secret; credential: env:NAME or file:PATH",
    ),
    (
        "kind: openai, credential: env:A, headers: { Host: a }",
        "/headers/Host: `host` is set by the gateway itself; remove it",
    ),
    (
        "kind: openai, credential: env:A, headers: { x: \"a\\nb\" }",
        "/headers/x: this text is not a header's value; visible ASCII characters",
    ),
    (
        "kind: openai, credential: env:A, headers: { 'x y': a }",
        "/headers/x y: `x y` is not a header's name; letters, digits and `-`",
    ),
];

#[test]
fn providers() {
    let provider = |rest: &str| with(&format!("providers: {{ p: {{ {rest} }} }}"));
    for (rest, expected) in PROVIDER_FAULTS {
        let said = lines(&provider(rest));
        let said = said.split_once("/providers/p").map(|(_, said)| said);
        assert_eq!(said, Some(*expected), "{rest}");
    }
}

const PRICE_FAULTS: &[(&str, &str)] = &[
    ("opnai", ": there are no prices `opnai`; did you mean `openai`?"),
    (
        "nothing-like-it",
        ": there are no prices `nothing-like-it`; a kind, or a section of `tollgate prices list`",
    ),
    (
        "3",
        ": `3` is not prices; the name of a kind or of a section of `tollgate prices list`, a map, or a list of maps with `from`",
    ),
    (
        "{}",
        ": it says no price; row: NAME, or models: { NAME: { input: \"2.50\", output: \"10.00\" } }",
    ),
    (
        "{ row: antropic }",
        "/row: there are no prices `antropic`; did you mean `anthropic`?",
    ),
    (
        "{ row: openai, dicsount: 15% }",
        "/dicsount: unknown key `dicsount`; did you mean `discount`?",
    ),
    (
        "{ row: openai, from: 2027-01-01 }",
        "/from: unknown key `from`; one of row, discount, models",
    ),
    (
        "{ row: openai, discount: 15 }",
        "/discount: `15` is not a discount; a share such as 15% or 7.5%, from 0% to 100%",
    ),
    (
        "{ row: openai, discount: 150% }",
        "/discount: `150%` is not a discount; a share such as 15% or 7.5%, from 0% to 100%",
    ),
    (
        "{ models: { m: { input: '1' } } }",
        "/models/m: `output` is missing; output: \"2.50\", USD for a million tokens",
    ),
    (
        "{ models: { m: { input: 2.5, output: '1' } } }",
        "/models/m/input: `2.5` is not text; \"2.5\", in quotes: USD for a million tokens, as text: \"2.50\"",
    ),
    (
        "{ models: { m: { input: '2,5', output: '1' } } }",
        "/models/m/input: `2,5` is not a price; USD for a million tokens, as text: \"2.50\"",
    ),
    (
        "{ models: { m: { input: '0.0000001', output: '1' } } }",
        "/models/m/input: `0.0000001` is not a whole number of pico-dollars for one; fewer digits behind the point",
    ),
    (
        "{ models: { m: { input: '1000000001', output: '1' } } }",
        "/models/m/input: `1000000001` is not a price that anybody asks; USD for a million tokens, as text: \"2.50\"",
    ),
    (
        "{ models: { m: { input: '1', output: '1', cached_read: '1' } } }",
        "/models/m/cached_read: unknown key `cached_read`; did you mean `cache_read`?",
    ),
    (
        "{ models: { m: { input: '1', output: '1', batch: { inptu: '1' } } } }",
        "/models/m/batch/inptu: unknown key `inptu`; did you mean `input`?",
    ),
    (
        "{ models: { m: { input: '1', output: '1', above: [ { input: '1' } ] } } }",
        "/models/m/above/0: `tokens` is missing; tokens: 200000",
    ),
    (
        "{ models: { m: { input: '1', output: '1', above: [ { tokens: 9 }, { tokens: 8 } ] } } }",
        "/models/m/above: these lengths are too many, or in no order; at most 8, each longer than the one above it",
    ),
    (
        "{ models: { m: { input: '1', output: '1', reprices: all } } }",
        "/models/m/reprices: `all` is not what a longer prompt reprices; request (the whole of it) or beyond (the tokens above)",
    ),
    (
        "[ { row: openai }, { row: openai } ]",
        "/1: `from` is missing; from: 2027-01-01T00:00:00Z; only the first may be without",
    ),
    (
        "[ { row: openai, from: 2027-01-01 }, { row: openai, from: 2026-01-01 } ]",
        "/1: it begins before the entry above it; entries in the order of `from`",
    ),
    ("[]", ": the list has 0 entries; 1 to 64 maps, each with `from`"),
];

#[test]
fn prices() {
    for (prices, expected) in PRICE_FAULTS {
        let text = with(&format!(
            "providers:\n  p:\n    dialect: openai\n    base_url: http://a\n    prices: {prices}"
        ));
        let said = lines(&text);
        assert!(said.starts_with("6:"), "{prices}: the line and column: {said}");
        let said = said.split_once("/providers/p/prices").map(|(_, said)| said);
        assert_eq!(said, Some(*expected), "{prices}");
    }
}

const MODEL_FAULTS: &[(&str, &str)] = &[
    (
        "m: {}",
        "/models/m: `targets` is missing; targets: [ { provider: NAME, model: NAME } ]",
    ),
    (
        "m: { targets: [] }",
        "/models/m/targets: the model has 0 targets; 1 to 64 targets",
    ),
    (
        "m: { targets: [ { provider: q, model: x } ] }",
        "/models/m/targets/0/provider: there is no provider `q`; did you mean `p`?",
    ),
    (
        "m: { targets: [ { provider: openai, model: x } ] }",
        "/models/m/targets/0/provider: there is no provider `openai`; a name from `providers`",
    ),
    (
        "m: { targets: [ { provider: p } ] }",
        "/models/m/targets/0: `model` is missing; model: the provider's name of the model",
    ),
    (
        "m: { targets: [ { provider: p, model: '*' } ] }",
        "/models/m/targets/0/model: `*` is not a model's name here; the provider's name of the model; `*` is for wildcard models",
    ),
    (
        "'m/*': { targets: [ { provider: p, model: 'a*' } ] }",
        "/models/m~1*/targets/0/model: `a*` is not a model's name; 1 to 256 ASCII characters without spaces or `*`",
    ),
    (
        "'m*x': { targets: [ { provider: p, model: a } ] }",
        "/models/m*x: `m*x` has a star that is not its end; one `*`, at the end: `openai/*`",
    ),
    (
        "'m**': { targets: [ { provider: p, model: a } ] }",
        "/models/m**: `m**` has a star that is not its end; one `*`, at the end: `openai/*`",
    ),
    (
        "m: { strategy: weigted, targets: [ { provider: p, model: x } ] }",
        "/models/m/strategy: `weigted` is not a strategy; did you mean `weighted`?",
    ),
    (
        "m: { sticky: key, targets: [ { provider: p, model: x } ] }",
        "/models/m/sticky: `strategy: priority` does not stick to anything; `strategy: weighted`, or remove `sticky`",
    ),
    (
        "m: { strategy: weighted, sticky: 'header:a b', targets: [ { provider: p, model: x } ] }",
        "/models/m/sticky: `header:a b` is not what a call sticks to; key, user or header:NAME",
    ),
    (
        "m: { strategy: weighted, targets: [ { provider: p, model: x, weight: 0 } ] }",
        "/models/m: every target has the weight 0; a weight of at least 1 for one of them",
    ),
    (
        "m: { tiers: [] }",
        "/models/m/tiers: the list is empty; at least one tier",
    ),
    (
        "m: { strategy: weighted, tiers: [ { targets: [ { provider: p, model: x } ] } ] }",
        "/models/m/strategy: `strategy` beside `tiers`; `strategy` in each of the tiers",
    ),
    (
        "m: { targets: [ { provider: p, model: x, when: { min_body: 2KiB, max_body: 1KiB } } ] }",
        "/models/m/targets/0/when: `min_body` is larger than `max_body`: no call fits; min_body up to max_body",
    ),
    (
        "m: { breaker: { error_rate: 0.5 }, targets: [ { provider: p, model: x } ] }",
        "/models/m/breaker/error_rate: `0.5` is not a share; 1% to 100%",
    ),
    (
        "m: { on_context_overflow: n, targets: [ { provider: p, model: x } ] }",
        "/models/m/on_context_overflow: there is no model `n`; did you mean `m`?",
    ),
    (
        "m: { on_context_overflow: n, targets: [ { provider: p, model: x } ] }, n: { on_refusal: m, targets: [ { provider: p, model: x } ] }",
        "/models/n/on_refusal: `m` comes back to `n`: a call could go round for ever; a model that does not lead back here",
    ),
    (
        "m: { on_client_gone: drain, targets: [ { provider: p, model: x } ] }",
        "/models/m/on_client_gone: `drain` is not cancel or a map; cancel, or { drain: 5s }",
    ),
    (
        "m: { on_client_gone: { drain: 0s }, targets: [ { provider: p, model: x } ] }",
        "/models/m/on_client_gone/drain: `0s` is not a time to wait; more than zero, such as 10s",
    ),
    (
        "m: { keep_alive: 15, targets: [ { provider: p, model: x } ] }",
        "/models/m/keep_alive: `15` is not a duration or off; a time without a word, such as 15s; or off",
    ),
    (
        "m: { timeouts: { first_token: 0s }, targets: [ { provider: p, model: x } ] }",
        "/models/m/timeouts/first_token: `0s` is not a time to wait; more than zero, such as 10s",
    ),
    (
        "m: { timeouts: { connect: 1s }, targets: [ { provider: p, model: x } ] }",
        "/models/m/timeouts/connect: unknown key `connect`; one of first_token, between_tokens",
    ),
    (
        "m: { resume: yes please, targets: [ { provider: p, model: x } ] }",
        "/models/m/resume: `yes please` is not true or false; true or false",
    ),
    (
        "m: { resume: true, retry: { attempts: 1 }, targets: [ { provider: p, model: x } ] }",
        "/models/m/resume: `retry.attempts: 1` leaves no try to go on with; `attempts` of 2 or more, or remove `resume`",
    ),
    (
        "m: { overload: { min: 9, max: 8 }, targets: [ { provider: p, model: x } ] }",
        "/models/m/overload: `min` is 9 and `max` is 8; min up to max",
    ),
    (
        "m: { overload: { min: 0 }, targets: [ { provider: p, model: x } ] }",
        "/models/m/overload/min: `0` is not a number that fits here; a whole number from 1 to 100000",
    ),
    (
        "m: { overload: { queue: 10001 }, targets: [ { provider: p, model: x } ] }",
        "/models/m/overload/queue: `10001` is not a number that fits here; a whole number from 0 to 10000",
    ),
    (
        "m: { overload: { max_queue_wait: 0s }, targets: [ { provider: p, model: x } ] }",
        "/models/m/overload/max_queue_wait: `0s` is not a time to wait; more than zero, such as 10s",
    ),
    (
        "m: { overload: 100, targets: [ { provider: p, model: x } ] }",
        "/models/m/overload: `100` is not a map; a map of min, max, queue, max_queue_wait",
    ),
    (
        "m: { targets: [ { provider: p, model: x } ], retry: { max_wait: 10 } }",
        "/models/m/retry/max_wait: `10` is not a duration: it has no unit; 10s or 10ms",
    ),
    (
        "m: { targets: [ { provider: p, model: x } ], retry: { attempts: 0 } }",
        "/models/m/retry/attempts: `0` is not a number that fits here; a whole number from 1 to 10",
    ),
    (
        "m: { targets: [ { provider: p, model: x } ], retry: { on: [ timout ] } }",
        "/models/m/retry/on/0: `timout` is not a failure to retry; did you mean `timeout`?",
    ),
    (
        "m: { targets: [ { provider: p, model: x } ], retry: { on: [ 200 ] } }",
        "/models/m/retry/on/0: `200` is not a failure to retry; connect, disconnect, timeout, or a status from 400 to 599",
    ),
    (
        "m: { targets: [ { provider: p, model: x } ], retry: { on: [ '429' ] } }",
        "/models/m/retry/on/0: `429` is not a failure to retry; connect, disconnect, timeout, or a status from 400 to 599",
    ),
];

#[test]
fn models() {
    let providers = "providers: { p: { kind: openai, credential: env:A } }\n";
    let model = |rest: &str| with(&format!("{providers}models: {{ {rest} }}"));
    for (rest, expected) in MODEL_FAULTS {
        let said = lines(&model(rest));
        assert_eq!(said.split_once(": ").map(|(_, said)| said), Some(*expected), "{rest}");
    }
}

const KEY_FAULTS: &[(&str, Option<&str>)] = &[
    (
        "k: { hash: 'HASH', team: research, user: ann, models: [ smart, 'gpt/5', 'any*', '*' ] }",
        None,
    ),
    (
        "k: { team: research }",
        Some("/keys/k: the key has no secret; secret: env:NAME or file:PATH; or hash: \"sha256:HEX\""),
    ),
    (
        "k: { secret: tg-hunter2 }",
        Some(
            "/keys/k/secret: this text is not a reference to a secret; env:NAME or file:PATH; secrets are never written in the document",
        ),
    ),
    (
        "k: { hash: 'sha256:abc' }",
        Some("/keys/k/hash: this text is not a hash; \"sha256:\" and 64 hexadecimal digits"),
    ),
    (
        "k: { hash: 'HASH', secret: env:A }",
        Some("/keys/k/hash: `secret` and `hash` are both given; one of them"),
    ),
    (
        "k: { hash: 'HASH', team: reserch }",
        Some("/keys/k/team: there is no team `reserch`; did you mean `research`?"),
    ),
    (
        "k: { hash: 'HASH', user: bob }",
        Some("/keys/k/user: there is no user `bob`; a name from `users`"),
    ),
    (
        "k: { hash: 'HASH', models: [ smrt ] }",
        Some("/keys/k/models/0: there is no model `smrt`; did you mean `smart`?"),
    ),
    (
        "k: { hash: 'HASH', models: [ 's*t' ] }",
        Some("/keys/k/models/0: `s*t` is not a model's name; names of models, or patterns with one `*` at the end"),
    ),
    (
        "k: { hash: 'HASH', models: [] }",
        Some("/keys/k/models: the list has 0 models; 1 to 10000; without `models` the key may use every model"),
    ),
    (
        "k: { hash: 'HASH', expires: tomorrow }",
        Some(
            "/keys/k/expires: `tomorrow` is not a moment from 1970 on; a moment such as 2027-01-01T00:00:00Z, or a date",
        ),
    ),
    (
        "k: { hash: 'HASH', priority: 1 }",
        Some("/keys/k/priority: `1` is not a priority; high, normal or low"),
    ),
    (
        "k: { hash: 'HASH', priority: hihg }",
        Some("/keys/k/priority: `hihg` is not a priority; did you mean `high`?"),
    ),
    (
        "k: { hash: 'HASH' }, l: { hash: 'HASH' }",
        Some("/keys/l: the key has the same secret as `k`; a secret of its own"),
    ),
    (
        "k: { secret: env:A }, l: { secret: env:A }",
        Some("/keys/l: the key has the same secret as `k`; a secret of its own"),
    ),
    (
        "' k': { hash: 'HASH' }",
        Some(
            "/keys/ k: ` k` cannot be a name; 1 to 256 bytes without control characters and without spaces at the ends",
        ),
    ),
];

#[test]
fn teams_users_and_keys() {
    let around = "providers: { p: { kind: openai, credential: env:A } }\nmodels: { smart: { targets: [ { provider: p, model: x } ] }, 'gpt/*': { targets: [ { provider: p, model: '*' } ] } }\nteams: { research: { } }\nusers: { ann: { team: research } }\n";
    let hash = format!("sha256:{}", "0a".repeat(32));
    let key = |rest: &str| with(&format!("{around}keys: {{ {} }}", rest.replace("HASH", &hash)));
    for (rest, expected) in KEY_FAULTS {
        let said = lines(&key(rest));
        assert_eq!(said.split_once(": ").map(|(_, said)| said), *expected, "{rest}");
    }
}

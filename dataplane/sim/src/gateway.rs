//! The configuration every history runs on: two OpenAI providers and two Anthropic ones, short timeouts; what the first of
//! each costs is known.

use std::{rc::Rc, sync::Arc};

use tollgate_config::{
    Document, catalogue,
    document::{
        Auth, BaseUrl, Connections, Dialect, Key, KeySecret, Model, Provider, Reference, Retry, Target, Timeouts,
        TokenTimeouts, UpstreamTls,
    },
    prices::{Builder, Class, Entry, PriceList, ServiceTier},
};
use tollgate_engine::{
    exchange::Pinned,
    identity::KeyTable,
    snapshot::{self, Secrets},
};

pub(crate) const MAX_BODY_BYTES: u64 = 64 * 1024;
/// Some answers of the priced providers fit, some do not.
pub(crate) const COST_HEADER_BUFFER_BYTES: u64 = 600;
pub(crate) const SECRET: &str = "sim-secret";
pub(crate) const ATTEMPTS: u32 = 2;
pub(crate) const TIMEOUTS: Timeouts = Timeouts {
    connect_ms: 200,
    first_byte_ms: 1_000,
    between_bytes_ms: 500,
    total_ms: 5_000,
    tokens: TokenTimeouts {
        first_token_ms: None,
        between_tokens_ms: None,
    },
};

fn provider(name: &str, dialect: Dialect, may_ask_stream_usage: bool) -> (String, Provider) {
    let provider = Provider {
        row: catalogue::bare(dialect),
        dialect,
        paths: catalogue::Paths::of(dialect),
        also: Vec::new(),
        base_url: BaseUrl {
            tls: false,
            host: name.into(),
            port: 80,
            prefix: "/v1".into(),
        },
        auth: Auth::Bearer,
        credentials: vec![Reference::Env("CREDENTIAL".into())],
        proxy: None,
        timeouts: TIMEOUTS,
        connections: Connections::default(),
        tls: UpstreamTls::default(),
        may_ask_stream_usage,
        headers: Vec::new(),
        check: None,
        prices: match name.ends_with("-a") {
            true => priced(),
            false => PriceList::default(),
        },
        grants: Vec::new(),
        limits: Vec::new(),
        residency: None,
    };
    (name.into(), provider)
}

/// One price for every model.
fn priced() -> PriceList {
    let mut prices = Builder::default();
    prices.set(0, ServiceTier::Standard, Class::Input, 1_000_000);
    prices.set(0, ServiceTier::Standard, Class::Output, 2_000_000);
    let prices = prices.build().expect("input has a price");
    let entry = Entry {
        patterns: vec![("*".into(), Arc::new(prices))],
        ..Entry::default()
    };
    PriceList { entries: vec![entry] }
}

fn model(name: &str, targets: &[(&str, &str)]) -> (String, Model) {
    let target = |(provider, model): &(&str, &str)| Target {
        provider: (*provider).into(),
        model: (*model).into(),
        ..Target::default()
    };
    let retry = Retry {
        attempts: ATTEMPTS,
        ..Retry::default()
    };
    (
        name.into(),
        Model {
            targets: targets.iter().map(target).collect(),
            retry,
            ..Model::default()
        },
    )
}

/// Models `chat` and `claude` have two targets each, `chat-one` and `claude-one` a single one.
pub(crate) fn pinned() -> Rc<Pinned> {
    let key = Key {
        secret: KeySecret::Reference(Reference::Env("SECRET".into())),
        team: None,
        user: None,
        models: Vec::new(),
        expires_unix_s: None,
        loopback_only: false,
        pass_through: false,
        batches: false,
        residency: Vec::new(),
        explain: false,
        limits: Vec::new(),
        priority: Default::default(),
    };
    let document = Document {
        max_body_bytes: MAX_BODY_BYTES,
        cost_header_buffer_bytes: COST_HEADER_BUFFER_BYTES,
        providers: vec![
            provider("openai-a", Dialect::OpenAi, true),
            provider("openai-b", Dialect::OpenAi, false),
            provider("anthropic-a", Dialect::Anthropic, false),
            provider("anthropic-b", Dialect::Anthropic, false),
        ],
        models: vec![
            model("chat", &[("openai-a", "gpt-a"), ("openai-b", "gpt-b")]),
            model("chat-one", &[("openai-a", "chat-one")]),
            model(
                "claude",
                &[
                    ("openai-a", "unfit"),
                    ("anthropic-a", "claude-a"),
                    ("anthropic-b", "claude-b"),
                ],
            ),
            model("claude-one", &[("anthropic-b", "claude-b")]),
        ],
        keys: vec![("sim".into(), key)],
        ..Document::default()
    };
    let secrets: Secrets = [("SECRET", SECRET), ("CREDENTIAL", "credential")]
        .into_iter()
        .map(|(name, value)| (Reference::Env(name.into()), value.as_bytes().to_vec()))
        .collect();
    let keys = KeyTable::build(&document, &secrets, &[]).expect("the simulator's keys are right");
    let snapshot = snapshot::compile(1, document, &secrets).expect("the simulator's document is right");
    Rc::new(Pinned {
        snapshot: Arc::new(snapshot),
        keys: Arc::new(keys),
    })
}

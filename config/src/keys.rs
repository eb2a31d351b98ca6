//! Every key an operator may write, as data: `check` refuses what is not here, the docs must have a line for each.
//!
//! A key of a feature that does not exist yet is listed as `NotYet`, so that it is refused with a better message
//! than a misspelled one.

mod caches;
mod cluster;
mod database;
mod kafka;
mod less;
mod streams;

pub use caches::{CACHE, CACHE_EXACT, CACHE_SECOND, CACHE_SEMANTIC, CACHE_SNAPSHOT};
pub use cluster::{CLUSTER, SENTINEL, VALKEY, VALKEY_TLS};
pub use database::{DATABASE, POSTGRES, POSTGRES_TLS};
pub use kafka::{KAFKA, KAFKA_SASL, KAFKA_TLS};
pub use less::{COMPRESS, EXTRACT, GUARD, SUMMARIZE};
pub use streams::{MODEL_TIMEOUTS, ON_CLIENT_GONE};

/// One map of the document and the keys it may have.
#[derive(Debug)]
pub struct Section {
    /// `providers.*.timeouts`; `*` is a name the operator chose, or a list's index. Empty: the document itself.
    pub path: &'static str,
    pub now: &'static [&'static str],
    pub not_yet: &'static [&'static str],
}

pub static ROOT: Section = Section {
    path: "",
    now: &[
        "version",
        "shards",
        "shutdown_grace",
        "drain_delay",
        "access_log",
        "max_body",
        "cost_header_buffer",
        "max_upload",
        "id_secret",
        "idempotency",
        "usage",
        "database",
        "overload",
        "cluster",
        "client",
        "embedding",
        "listeners",
        "admin",
        "timezone",
        "organization",
        "tags",
        "webhooks",
        "charge_hits",
        "caches",
        "guards",
        "providers",
        "models",
        "teams",
        "users",
        "keys",
    ],
    not_yet: &["identify", "log_content", "on_client_gone"],
};

pub static IDEMPOTENCY: Section = Section {
    path: "idempotency",
    now: &["window", "max_bytes", "max_answer"],
    not_yet: &[],
};

pub static USAGE: Section = Section {
    path: "usage",
    now: &["on_full", "block_for", "durability", "max_spool", "retention", "kafka"],
    not_yet: &[],
};

pub static RETENTION: Section = Section {
    path: "usage.retention",
    now: &["calls", "hours"],
    not_yet: &[],
};

pub static SHARD_OVERLOAD: Section = Section {
    path: "overload",
    now: &["max_lag", "max_calls"],
    not_yet: &[],
};

pub static EMBEDDING: Section = Section {
    path: "embedding",
    now: &["model", "complexity", "provider", "dimensions", "timeout"],
    not_yet: &[],
};

pub static CLIENT: Section = Section {
    path: "client",
    now: &["header_timeout", "body_timeout", "idle_timeout", "max_connections"],
    not_yet: &[],
};

pub static LISTENER: Section = Section {
    path: "listeners.*",
    now: &["address", "tls", "proxy_protocol", "trusted_proxies", "cors"],
    not_yet: &["limits"],
};

pub static LISTENER_TLS: Section = Section {
    path: "listeners.*.tls",
    now: &["certificate", "key", "sni"],
    not_yet: &["client_ca"],
};

pub static LISTENER_SNI: Section = Section {
    path: "listeners.*.tls.sni.*",
    now: &["certificate", "key"],
    not_yet: &[],
};

pub static CORS: Section = Section {
    path: "listeners.*.cors",
    now: &["origins", "max_age"],
    not_yet: &[],
};

pub static ADMIN: Section = Section {
    path: "admin",
    now: &["address", "token"],
    not_yet: &["tls"],
};

pub static PROVIDER: Section = Section {
    path: "providers.*",
    now: &[
        "kind",
        "dialect",
        "base_url",
        "region",
        "project",
        "resource",
        "account",
        "api_version",
        "credential",
        "auth",
        "proxy",
        "timeouts",
        "connections",
        "tls",
        "headers",
        "prices",
        "limits",
        "residency",
        "check",
    ],
    not_yet: &[],
};

/// What a provider grants, and what may be used of it beside that.
pub static GRANT: Section = Section {
    path: "providers.*.limits.*",
    now: &[
        "requests",
        "tokens",
        "input_tokens",
        "output_tokens",
        "concurrent",
        "budget",
        "per",
        "burst",
        "mode",
        "thresholds",
    ],
    not_yet: &[],
};

pub static PRICES: Section = Section {
    path: "providers.*.prices",
    now: &["row", "discount", "models"],
    not_yet: &[],
};

/// The same in a list by date.
pub static PRICES_DATED: Section = Section {
    path: "providers.*.prices.*",
    now: &["from", "row", "discount", "models"],
    not_yet: &[],
};

/// Of one model, or of those that a pattern names.
pub static MODEL_PRICES: Section = Section {
    path: "providers.*.prices.models.*",
    now: &[
        "input",
        "output",
        "cache_read",
        "cache_write_5m",
        "cache_write_1h",
        "reasoning",
        "input_audio",
        "output_audio",
        "input_image",
        "request",
        "batch",
        "flex",
        "priority",
        "above",
        "reprices",
    ],
    not_yet: &[],
};

/// `batch`, `flex` and `priority`, wherever they stand: the classes of a model.
pub static PRICES_OF_TIER: Section = Section {
    path: "providers.*.prices.models.*.*",
    now: &[
        "input",
        "output",
        "cache_read",
        "cache_write_5m",
        "cache_write_1h",
        "reasoning",
        "input_audio",
        "output_audio",
        "input_image",
        "request",
    ],
    not_yet: &[],
};

pub static PRICES_ABOVE: Section = Section {
    path: "providers.*.prices.models.*.above.*",
    now: &[
        "tokens",
        "input",
        "output",
        "cache_read",
        "cache_write_5m",
        "cache_write_1h",
        "reasoning",
        "input_audio",
        "output_audio",
        "input_image",
        "request",
        "batch",
        "flex",
        "priority",
    ],
    not_yet: &[],
};

pub static AUTH: Section = Section {
    path: "providers.*.auth",
    now: &["header", "query", "aws", "google", "azure_ad"],
    not_yet: &[],
};

pub static AUTH_AWS: Section = Section {
    path: "providers.*.auth.aws",
    now: &["region", "service"],
    not_yet: &[],
};

pub static AUTH_GOOGLE: Section = Section {
    path: "providers.*.auth.google",
    now: &["scope"],
    not_yet: &[],
};

pub static AUTH_AZURE_AD: Section = Section {
    path: "providers.*.auth.azure_ad",
    now: &["tenant", "client_id", "scope", "authority"],
    not_yet: &[],
};

pub static PROXY: Section = Section {
    path: "providers.*.proxy",
    now: &["url", "credential", "no_proxy"],
    not_yet: &[],
};

pub static TIMEOUTS: Section = Section {
    path: "providers.*.timeouts",
    now: &[
        "connect",
        "first_byte",
        "between_bytes",
        "total",
        "first_token",
        "between_tokens",
    ],
    not_yet: &[],
};

pub static CONNECTIONS: Section = Section {
    path: "providers.*.connections",
    now: &["max_idle", "idle_timeout"],
    not_yet: &[],
};

pub static UPSTREAM_TLS: Section = Section {
    path: "providers.*.tls",
    now: &["ca", "client_certificate", "client_key", "server_name"],
    not_yet: &[],
};

pub static CHECK: Section = Section {
    path: "providers.*.check",
    now: &["path", "every", "timeout", "healthy", "unhealthy"],
    not_yet: &[],
};

pub static MODEL: Section = Section {
    path: "models.*",
    now: &[
        "strategy",
        "sticky",
        "affinity",
        "threshold",
        "hard_share",
        "targets",
        "tiers",
        "retry",
        "breaker",
        "overload",
        "on_unsupported",
        "on_context_overflow",
        "on_refusal",
        "limits",
        "charge",
        "timeouts",
        "keep_alive",
        "resume",
        "on_client_gone",
        "hedge",
        "shadow",
        "cache",
        "guards",
        "compress",
    ],
    not_yet: &["log_content"],
};

pub static TARGET: Section = Section {
    path: "models.*.targets.*",
    now: &[
        "provider", "model", "like", "weight", "when", "region", "arm", "examples", "default", "tier",
    ],
    not_yet: &[],
};

pub static TIER: Section = Section {
    path: "models.*.tiers.*",
    now: &["strategy", "sticky", "affinity", "threshold", "hard_share", "targets"],
    not_yet: &[],
};

pub static WHEN: Section = Section {
    path: "models.*.targets.*.when",
    now: &[
        "keys",
        "teams",
        "users",
        "tags",
        "headers",
        "min_body",
        "max_body",
        "features",
        "without",
        "min_tokens",
        "max_tokens",
        "max_cost",
        "margin",
        "spent_share",
        "hours",
        "days",
        "zone",
    ],
    not_yet: &[],
};

pub static SPENT_SHARE: Section = Section {
    path: "models.*.targets.*.when.spent_share",
    now: &["above", "below", "of", "unit", "per"],
    not_yet: &[],
};

pub static BREAKER: Section = Section {
    path: "models.*.breaker",
    now: &[
        "failures",
        "window",
        "cooldown",
        "error_rate",
        "slow",
        "slow_rate",
        "min_calls",
        "max_ejected",
        "slow_start",
    ],
    not_yet: &[],
};

pub static OVERLOAD: Section = Section {
    path: "models.*.overload",
    now: &["min", "max", "queue", "max_queue_wait"],
    not_yet: &[],
};

pub static RETRY: Section = Section {
    path: "models.*.retry",
    now: &["attempts", "on", "respect_retry_after", "max_wait", "backoff", "budget"],
    not_yet: &[],
};

pub static HEDGE: Section = Section {
    path: "models.*.hedge",
    now: &["after", "max_extra"],
    not_yet: &[],
};

pub static SHADOW: Section = Section {
    path: "models.*.shadow",
    now: &["model", "share"],
    not_yet: &[],
};

pub static TEAM: Section = Section {
    path: "teams.*",
    now: &["cost_center", "residency", "limits"],
    not_yet: &[],
};

pub static USER: Section = Section {
    path: "users.*",
    now: &["team", "limits"],
    not_yet: &[],
};

pub static KEY: Section = Section {
    path: "keys.*",
    now: &[
        "secret",
        "hash",
        "team",
        "user",
        "models",
        "expires",
        "loopback_only",
        "pass_through",
        "batches",
        "residency",
        "explain",
        "limits",
        "priority",
    ],
    not_yet: &[],
};

pub static ORGANIZATION: Section = Section {
    path: "organization",
    now: &["name", "limits"],
    not_yet: &[],
};

/// The same of every scope.
pub static LIMIT: Section = Section {
    path: "keys.*.limits.*",
    now: &[
        "requests",
        "tokens",
        "input_tokens",
        "output_tokens",
        "concurrent",
        "budget",
        "per",
        "burst",
        "mode",
        "hard",
        "cut",
        "thresholds",
    ],
    not_yet: &[],
};

/// Calls that say the same of a tag.
pub static TAG: Section = Section {
    path: "tags.*",
    now: &["limits"],
    not_yet: &[],
};

pub static WEBHOOK: Section = Section {
    path: "webhooks.*",
    now: &["url", "secret", "events"],
    not_yet: &[],
};

/// All of the above, in document order; but for `PRICES_OF_TIER`, whose keys are those of the map it stands in.
pub static SECTIONS: &[&Section] = &[
    &ROOT,
    &IDEMPOTENCY,
    &CACHE,
    &CACHE_EXACT,
    &CACHE_SECOND,
    &CACHE_SEMANTIC,
    &CACHE_SNAPSHOT,
    &GUARD,
    &USAGE,
    &RETENTION,
    &KAFKA,
    &KAFKA_TLS,
    &KAFKA_SASL,
    &DATABASE,
    &POSTGRES,
    &POSTGRES_TLS,
    &CLUSTER,
    &VALKEY,
    &SENTINEL,
    &VALKEY_TLS,
    &CLIENT,
    &EMBEDDING,
    &LISTENER,
    &LISTENER_TLS,
    &LISTENER_SNI,
    &CORS,
    &ADMIN,
    &ORGANIZATION,
    &TAG,
    &WEBHOOK,
    &PROVIDER,
    &GRANT,
    &AUTH,
    &AUTH_AWS,
    &AUTH_GOOGLE,
    &AUTH_AZURE_AD,
    &PROXY,
    &TIMEOUTS,
    &CONNECTIONS,
    &UPSTREAM_TLS,
    &CHECK,
    &PRICES,
    &PRICES_DATED,
    &MODEL_PRICES,
    &PRICES_ABOVE,
    &MODEL,
    &TARGET,
    &TIER,
    &WHEN,
    &SPENT_SHARE,
    &BREAKER,
    &OVERLOAD,
    &RETRY,
    &MODEL_TIMEOUTS,
    &ON_CLIENT_GONE,
    &HEDGE,
    &SHADOW,
    &COMPRESS,
    &EXTRACT,
    &SUMMARIZE,
    &TEAM,
    &USER,
    &KEY,
    &LIMIT,
];

/// A key's place in any document, such as `providers.*.timeouts.connect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPath {
    pub path: String,
    /// Or else it is refused with `not supported yet`.
    pub supported: bool,
}

/// Every known key, in document order.
pub fn keys() -> Vec<KeyPath> {
    let mut keys = Vec::new();
    for section in SECTIONS {
        let path = |key: &str| match section.path {
            "" => key.to_string(),
            outer => format!("{outer}.{key}"),
        };
        keys.extend(section.now.iter().map(|key| KeyPath {
            path: path(key),
            supported: true,
        }));
        keys.extend(section.not_yet.iter().map(|key| KeyPath {
            path: path(key),
            supported: false,
        }));
    }
    keys
}

//! Every metric the data plane tells, in one place. Each has a line in `docs/src/metrics.md`; a test holds us to it.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric family as Prometheus sees it.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        kind: Kind::Counter,
        help,
    }
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        kind: Kind::Gauge,
        help,
    }
}

const fn histogram(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        kind: Kind::Histogram,
        help,
    }
}

pub const REQUESTS: Family = counter("tollgate_requests_total", "Requests that have ended.");
pub const REQUEST_DURATION: Family = histogram(
    "tollgate_request_duration_seconds",
    "From a request's first byte to its end.",
);
pub const GATEWAY_DURATION: Family = histogram(
    "tollgate_gateway_duration_seconds",
    "Of a request's duration, what the gateway itself took.",
);
pub const FIRST_TOKEN: Family = histogram(
    "tollgate_first_token_seconds",
    "From a request's first byte to the first body byte of a stream.",
);
pub const TOKENS: Family = counter(
    "tollgate_tokens_total",
    "Tokens as providers reported them, in disjoint classes.",
);
pub const USAGE_RECORDS: Family = counter("tollgate_usage_records_total", "Usage records, by what became of them.");
pub const COST: Family = counter(
    "tollgate_cost_usd_total",
    "What calls cost, by the prices that are known.",
);
pub const REJECTED: Family = counter(
    "tollgate_rejected_requests_total",
    "Requests the gateway answered with an error.",
);
pub const REPLAYED: Family = counter(
    "tollgate_replayed_requests_total",
    "Requests that got the answer their idempotency-key had before.",
);
pub const ATTEMPTS: Family = counter(
    "tollgate_upstream_attempts_total",
    "Attempts at providers by how they ended.",
);
pub const UPSTREAM_CONNECTIONS: Family = gauge("tollgate_upstream_connections", "Connections to providers.");
pub const HEDGES: Family = counter(
    "tollgate_hedges_total",
    "Calls for which a second target was asked, or would have been, by what came of it.",
);
pub const FAILOVERS: Family = counter(
    "tollgate_failovers_total",
    "Calls that moved on from a provider that failed to another, by what came of it.",
);
pub const SHADOWS: Family = counter(
    "tollgate_shadow_requests_total",
    "Copies of calls that went to another model, by the model that got them and what came of it.",
);
pub const SHADOW_DURATION: Family = histogram(
    "tollgate_shadow_duration_seconds",
    "From a copy's beginning to its end.",
);
pub const CHECKS: Family = counter(
    "tollgate_provider_checks_total",
    "Looks at providers that no call asked for, by what they found.",
);
pub const QUEUE_LENGTH: Family = gauge(
    "tollgate_queue_length",
    "Calls that wait for room at a model's targets.",
);
pub const TARGET_LIMIT: Family = gauge(
    "tollgate_target_limit",
    "Calls that a target of a model may have under way.",
);
pub const CONNECTIONS: Family = gauge("tollgate_connections", "Connections from clients.");
pub const CONNECTIONS_REFUSED: Family = counter(
    "tollgate_connections_refused_total",
    "Connections closed at accept: client.max_connections was reached.",
);
pub const ACCEPT_FAILURES: Family = counter(
    "tollgate_accept_failures_total",
    "Accepts that failed, most often for want of descriptors.",
);
pub const BAD_PREAMBLES: Family = counter(
    "tollgate_bad_proxy_headers_total",
    "Connections closed for a bad PROXY protocol header.",
);
pub const TLS_FAILURES: Family = counter(
    "tollgate_tls_failures_total",
    "Connections from clients closed for a fault in TLS.",
);
pub const PANICS: Family = counter("tollgate_panics_total", "Panics that ended one exchange or connection.");
pub const CONFIG_REVISION: Family = gauge("tollgate_config_revision", "The revision in force.");
pub const BUSY_RATIO: Family = gauge(
    "tollgate_shard_busy_ratio",
    "Share of the last seconds a shard was at work.",
);
pub const BUSY_SECONDS: Family = counter("tollgate_shard_busy_seconds_total", "Time a shard was at work.");
pub const ACCESS_LOG_DROPPED: Family = counter(
    "tollgate_access_log_dropped_total",
    "Access log lines dropped: the log's reader or disk was too slow.",
);
pub const CERTIFICATE_EXPIRY: Family = gauge(
    "tollgate_certificate_not_after_seconds",
    "When a configured certificate ends, in Unix time.",
);
pub const TARGET_EJECTED: Family = gauge(
    "tollgate_target_ejected",
    "Targets of models that are left alone (1), or were (0).",
);
pub const TARGET_EJECTIONS: Family = counter(
    "tollgate_target_ejections_total",
    "Times that a target of a model failed so often that it was left alone.",
);
pub const LIMIT_REMAINING: Family = gauge(
    "tollgate_limit_remaining",
    "What is left of a limit: requests, tokens, calls at once, or dollars.",
);
pub const PROVIDER_LIMIT_REMAINING: Family = gauge(
    "tollgate_provider_limit_remaining",
    "What is left of what a provider grants: requests or tokens.",
);
pub const PROVIDER_LIMIT_REFUSED: Family = counter(
    "tollgate_provider_limit_refused_total",
    "Times that a provider was not asked because what it grants was used up.",
);
pub const LIMIT_DEBT: Family = gauge(
    "tollgate_limit_debt",
    "What was used beyond a limit, in its unit: nothing passes until it has flowed off or the period ends.",
);
pub const CACHE_LOOKUPS: Family = counter(
    "tollgate_cache_lookups_total",
    "Calls that were looked up in a cache, by what came of it.",
);
pub const CACHE_CHANGES: Family = counter(
    "tollgate_cache_changes_total",
    "Answers that a cache took or let go, by why.",
);
pub const CACHE_SEMANTIC: Family = counter(
    "tollgate_cache_semantic_total",
    "What a cache did by meaning: candidates rejected, answers not indexed, hits judged, and what shadow mode compared.",
);
pub const CACHE_SEMANTIC_ENTRIES: Family = gauge(
    "tollgate_cache_semantic_entries",
    "Answers that a cache can find by meaning.",
);
pub const CACHE_ENTRIES: Family = gauge("tollgate_cache_entries", "Answers that a cache keeps.");
pub const CACHE_BYTES: Family = gauge("tollgate_cache_bytes", "What the answers that a cache keeps take.");
pub const CACHE_SAVED_TOKENS: Family = counter(
    "tollgate_cache_saved_tokens_total",
    "Tokens that calls would have used which a cache answered.",
);
pub const CACHE_SAVED_COST: Family = counter(
    "tollgate_cache_saved_usd_total",
    "What calls would have cost which a cache answered, by the prices that are known.",
);
pub const CACHE_SAVED_SECONDS: Family = counter(
    "tollgate_cache_saved_seconds_total",
    "How long providers took for the answers that a cache gave again.",
);
pub const CACHE_SNAPSHOTS: Family = counter(
    "tollgate_cache_snapshots_total",
    "Snapshots of a cache, by what came of it: written, failed.",
);
pub const CACHE_SNAPSHOT_BYTES: Family = gauge(
    "tollgate_cache_snapshot_bytes",
    "Answers in the last snapshot of a cache.",
);
pub const CACHE_SECOND_LOOKUPS: Family = counter(
    "tollgate_cache_second_lookups_total",
    "Calls that a cache's second tier was to be asked for, by what came of it.",
);
pub const CACHE_SECOND_UNREADABLE: Family = counter(
    "tollgate_cache_second_unreadable_total",
    "What a cache's second tier had that is no answer, by why.",
);
pub const CACHE_SECOND_STORES: Family = counter(
    "tollgate_cache_second_stores_total",
    "Answers for a cache's second tier, by what became of them.",
);
pub const CACHE_SECOND_UP: Family = gauge(
    "tollgate_cache_second_up",
    "Whether the store of a cache's second tier answers and knows of all purges.",
);
pub const EMBEDDING_QUESTIONS: Family = counter(
    "tollgate_embedding_questions_total",
    "Lookups of semantic caches that needed a vector of a provider's, by what came of it.",
);
pub const EMBEDDING_CALLS: Family = counter(
    "tollgate_embedding_calls_total",
    "Calls to the provider that makes them: ok, failed.",
);
pub const EMBEDDING_DURATION: Family = histogram(
    "tollgate_embedding_duration_seconds",
    "From such a call's beginning to its end.",
);
pub const GUARD_FINDINGS: Family = counter(
    "tollgate_guard_findings_total",
    "What guards found in prompts and answers, by what became of it.",
);
pub const COMPRESSED_TOKENS: Family = counter(
    "tollgate_compressed_tokens_total",
    "Tokens of prompts that were made shorter, or would have been: kept and saved.",
);
pub const COMPARED_ANSWERS: Family = counter(
    "tollgate_compared_answers_total",
    "Answers to shorter prompts beside those to the prompts that came: same, alike or other.",
);
pub const SUMMARIES: Family = counter(
    "tollgate_summaries_total",
    "Summaries of conversations: calls that had one or went without, and those that were made or not.",
);
pub const CLUSTER_STORE_UP: Family = gauge(
    "tollgate_cluster_store_up",
    "Does the store answer through which nodes share their limits: 1 where all of it does.",
);
pub const CLUSTER_NODES: Family = gauge(
    "tollgate_cluster_nodes",
    "Nodes that share their limits and were heard lately, this one too.",
);
pub const CLUSTER_LEASES: Family = gauge(
    "tollgate_cluster_leases",
    "Limits of which this node holds a lease, or did lately.",
);
pub const CLUSTER_ASKS: Family = counter("tollgate_cluster_asks_total", "Calls to the store: answered, failed.");
pub const CLUSTER_SHORT: Family = counter(
    "tollgate_cluster_short_total",
    "Times that a lease was too small: calls that were refused until it had grown (early), and asks for more than there was (starved).",
);
pub const PROCESS_RSS: Family = gauge("process_resident_memory_bytes", "Memory of the data plane, resident.");
pub const PROCESS_CPU: Family = counter(
    "process_cpu_seconds_total",
    "CPU time of the data plane, user and system.",
);
pub const PROCESS_FDS: Family = gauge("process_open_fds", "Open descriptors of the data plane.");
pub const PROCESS_START: Family = gauge("process_start_time_seconds", "Start of the data plane, in Unix time.");

/// All of them, in the order they are told.
#[cfg(test)]
pub const ALL: [Family; 66] = [
    REQUESTS,
    REQUEST_DURATION,
    GATEWAY_DURATION,
    FIRST_TOKEN,
    TOKENS,
    COST,
    USAGE_RECORDS,
    CACHE_LOOKUPS,
    CACHE_CHANGES,
    CACHE_SEMANTIC,
    CACHE_SEMANTIC_ENTRIES,
    CACHE_ENTRIES,
    CACHE_BYTES,
    CACHE_SAVED_TOKENS,
    CACHE_SAVED_COST,
    CACHE_SAVED_SECONDS,
    CACHE_SNAPSHOTS,
    CACHE_SNAPSHOT_BYTES,
    CACHE_SECOND_LOOKUPS,
    CACHE_SECOND_UNREADABLE,
    CACHE_SECOND_STORES,
    CACHE_SECOND_UP,
    EMBEDDING_QUESTIONS,
    EMBEDDING_CALLS,
    EMBEDDING_DURATION,
    REJECTED,
    REPLAYED,
    ATTEMPTS,
    UPSTREAM_CONNECTIONS,
    HEDGES,
    FAILOVERS,
    SHADOWS,
    SHADOW_DURATION,
    CHECKS,
    GUARD_FINDINGS,
    COMPRESSED_TOKENS,
    SUMMARIES,
    COMPARED_ANSWERS,
    QUEUE_LENGTH,
    TARGET_LIMIT,
    CONNECTIONS,
    CONNECTIONS_REFUSED,
    ACCEPT_FAILURES,
    BAD_PREAMBLES,
    TLS_FAILURES,
    PANICS,
    CONFIG_REVISION,
    BUSY_RATIO,
    BUSY_SECONDS,
    ACCESS_LOG_DROPPED,
    CERTIFICATE_EXPIRY,
    TARGET_EJECTED,
    TARGET_EJECTIONS,
    LIMIT_REMAINING,
    PROVIDER_LIMIT_REMAINING,
    PROVIDER_LIMIT_REFUSED,
    LIMIT_DEBT,
    CLUSTER_STORE_UP,
    CLUSTER_NODES,
    CLUSTER_LEASES,
    CLUSTER_ASKS,
    CLUSTER_SHORT,
    PROCESS_RSS,
    PROCESS_CPU,
    PROCESS_FDS,
    PROCESS_START,
];

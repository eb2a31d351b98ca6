//! Names that clients and operators meet: header names and error codes. Each once, here.

/// Stands where the name of a model does, of calls by which the gateway itself asks for vectors.
pub const EMBEDDING: &str = "(embedding)";

pub(crate) mod code {
    pub const INVALID_REQUEST: &str = "invalid_request";
    pub const INVALID_API_KEY: &str = "invalid_api_key";
    pub const MODEL_NOT_ALLOWED: &str = "model_not_allowed";
    pub const PASS_THROUGH_NOT_ALLOWED: &str = "pass_through_not_allowed";
    pub const BATCHES_NOT_ALLOWED: &str = "batches_not_allowed";
    pub const MODEL_NOT_FOUND: &str = "model_not_found";
    pub const NOT_FOUND: &str = "not_found";
    pub const METHOD_NOT_ALLOWED: &str = "method_not_allowed";
    pub const NOT_SUPPORTED: &str = "not_supported";
    pub const REQUEST_TOO_LARGE: &str = "request_too_large";
    pub const REQUEST_TIMEOUT: &str = "request_timeout";
    pub const UNSUPPORTED_ENCODING: &str = "unsupported_encoding";
    pub const RATE_LIMIT_EXCEEDED: &str = "rate_limit_exceeded";
    pub const INSUFFICIENT_QUOTA: &str = "insufficient_quota";
    /// Not an error's: of a stream that was ended where a limit ended.
    pub const CUT_BY_LIMIT: &str = "cut_by_limit";
    /// Of a stream as well that a guard ended.
    pub const BLOCKED_BY_GUARD: &str = "blocked_by_guard";
    pub const GUARD_UNAVAILABLE: &str = "guard_unavailable";
    pub const CACHE_MISS: &str = "cache_miss";
    pub const UPSTREAM_ERROR: &str = "upstream_error";
    pub const UPSTREAM_TIMEOUT: &str = "upstream_timeout";
    pub const NO_HEALTHY_TARGET: &str = "no_healthy_target";
    pub const LIST_NOT_READY: &str = "list_not_ready";
    pub const IDEMPOTENCY_KEY_REUSED: &str = "idempotency_key_reused";
    pub const OVERLOADED: &str = "overloaded";
    pub const USAGE_SPOOL_FULL: &str = "usage_spool_full";
    pub const INTERNAL_ERROR: &str = "internal_error";
}

pub(crate) mod header {
    pub const X_REQUEST_ID: &[u8] = b"x-request-id";
    pub const REQUEST_ID: &[u8] = b"request-id";
    pub const UPSTREAM_REQUEST_ID: &[u8] = b"x-tollgate-upstream-request-id";
    pub const PROVIDER: &[u8] = b"x-tollgate-provider";
    pub const MODEL: &[u8] = b"x-tollgate-model";
    pub const ATTEMPTS: &[u8] = b"x-tollgate-attempts";
    pub const COST_USD: &[u8] = b"x-tollgate-cost-usd";
    pub const CACHE: &[u8] = b"x-tollgate-cache";
    pub const AGE: &[u8] = b"age";
    pub const EXPLAIN: &[u8] = b"x-tollgate-explain";
    pub const SERVER_TIMING: &[u8] = b"server-timing";
    pub const DROPPED: &[u8] = b"x-tollgate-dropped";
    pub const IDEMPOTENT: &[u8] = b"x-tollgate-idempotent";
    pub const ESTIMATED: &[u8] = b"x-tollgate-estimated";
    pub const ACCEPT: &[u8] = b"accept";
    pub const ANTHROPIC_VERSION: &[u8] = b"anthropic-version";
    pub const RETRY_AFTER: &[u8] = b"retry-after";
    pub const RETRY_AFTER_MS: &[u8] = b"retry-after-ms";
    pub const LIMIT_REQUESTS: &[u8] = b"x-ratelimit-limit-requests";
    pub const REMAINING_REQUESTS: &[u8] = b"x-ratelimit-remaining-requests";
    pub const RESET_REQUESTS: &[u8] = b"x-ratelimit-reset-requests";
    pub const LIMIT_TOKENS: &[u8] = b"x-ratelimit-limit-tokens";
    pub const REMAINING_TOKENS: &[u8] = b"x-ratelimit-remaining-tokens";
    pub const RESET_TOKENS: &[u8] = b"x-ratelimit-reset-tokens";
    pub const AMZN_REQUEST_ID: &[u8] = b"x-amzn-requestid";
    pub const CONTENT_TYPE: &[u8] = b"content-type";
    pub const CONTENT_LENGTH: &[u8] = b"content-length";
    pub const ALLOW: &[u8] = b"allow";
    pub const VARY: &[u8] = b"vary";
    pub const WWW_AUTHENTICATE: &[u8] = b"www-authenticate";
    pub const SHOULD_RETRY: &[u8] = b"x-should-retry";
    pub const ALLOW_ORIGIN: &[u8] = b"access-control-allow-origin";
    pub const ALLOW_METHODS: &[u8] = b"access-control-allow-methods";
    pub const ALLOW_HEADERS: &[u8] = b"access-control-allow-headers";
    pub const EXPOSE_HEADERS: &[u8] = b"access-control-expose-headers";
    pub const MAX_AGE: &[u8] = b"access-control-max-age";
}

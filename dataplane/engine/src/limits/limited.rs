//! Which limit refused a call, and what its client is told: in words, and as SDKs read it.

use tollgate_config::{
    document::{Unit, Window},
    money::NanoUsd,
};
use tollgate_wire::http1::write;

use super::{Level, Rules, Scope, bucket::Lacking, rules::Rule};
use crate::{exchange::Exchange, names::header};

/// Which limit refused a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    pub scope: Scope,
    pub name: Box<str>,
    pub unit: Unit,
    pub amount: u64,
    pub window: Window,
    /// Until the call may pass; `None`: it never will, or nobody knows.
    pub wait_ms: Option<u64>,
    /// It is not the limit that is used up, but what this node holds of it.
    pub is_early: bool,
}

impl Limited {
    pub(super) fn new(rules: &Rules, rule: &Rule, lacking: Lacking) -> Self {
        Self {
            scope: rules.scope,
            name: rules.name.clone(),
            unit: rule.limit.unit,
            amount: rule.limit.amount,
            window: rule.limit.window,
            wait_ms: lacking.wait_ms,
            is_early: lacking.is_early,
        }
    }

    /// Used up until a calendar period ends: to try again in a while is of no use.
    pub fn is_quota(&self) -> bool {
        !self.is_early && (matches!(self.window, Window::Calendar(_)) || self.unit == Unit::Budget)
    }

    pub fn may_retry(&self) -> bool {
        !self.is_quota() && (self.wait_ms.is_some() || self.unit == Unit::Concurrent)
    }

    /// What to say of when to come back.
    pub fn retry_after_ms(&self) -> Option<u64> {
        const SOON_MS: u64 = 1_000;
        match self.unit {
            Unit::Concurrent if !self.is_early => Some(SOON_MS),
            _ => self.wait_ms,
        }
    }
}

impl Limited {
    pub fn words(&self) -> String {
        let whose = match self.scope {
            Scope::Organization => "All calls together".to_owned(),
            scope => format!("The {} '{}'", scope.name(), self.name),
        };
        let what = match self.unit {
            Unit::Requests => format!("{} requests", self.amount),
            Unit::Tokens => format!("{} tokens", self.amount),
            Unit::InputTokens => format!("{} input tokens", self.amount),
            Unit::OutputTokens => format!("{} output tokens", self.amount),
            Unit::Concurrent => format!("{} calls at once", self.amount),
            Unit::Budget => format!("{} USD", NanoUsd(self.amount)),
        };
        let per = match self.window {
            Window::None => String::new(),
            Window::Refill { per_ms, .. } => format!(" per {}", duration(per_ms)),
            Window::Calendar(period) => format!(" per {}", period.name()),
        };
        let then = match (self.is_quota(), self.retry_after_ms()) {
            (true, Some(ms)) => format!(
                "what is left does not suffice until the {} ends, in {}",
                self.period(),
                duration(ms)
            ),
            (_, None) => "this call is larger than that".to_owned(),
            (false, Some(ms)) => format!("try again in {}", duration(ms)),
        };
        format!("{whose} may use {what}{per}: {then}.")
    }

    fn period(&self) -> &'static str {
        match self.window {
            Window::Calendar(period) => period.name(),
            Window::Refill { .. } | Window::None => "period",
        }
    }
}

/// Appends `x-ratelimit-…`, where requests or tokens are limited.
pub(crate) fn write_lines(exchange: &Exchange, out: &mut Vec<u8>) {
    // Each name by itself: constants are written with less work.
    if let Some(level) = exchange.held.requests {
        write::header_u64(out, header::LIMIT_REQUESTS, level.limit);
        write::header_u64(out, header::REMAINING_REQUESTS, level.remaining());
        write_reset(out, header::RESET_REQUESTS, &level);
    }
    if let Some(level) = exchange.held.tokens {
        write::header_u64(out, header::LIMIT_TOKENS, level.limit);
        write::header_u64(out, header::REMAINING_TOKENS, level.remaining());
        write_reset(out, header::RESET_TOKENS, &level);
    }
}

#[inline]
fn write_reset(out: &mut Vec<u8>, name: &[u8], level: &Level) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    write_duration(out, level.reset_ms);
    out.extend_from_slice(b"\r\n");
}

/// Appends when to come back, as SDKs read it: `retry-after-ms` before `retry-after`, and whether to try again at all.
pub(crate) fn write_refusal(limited: &Limited, out: &mut Vec<u8>) {
    if let Some(ms) = limited.retry_after_ms() {
        write::header_u64(out, header::RETRY_AFTER, ms.div_ceil(1_000).max(1));
        write::header_u64(out, header::RETRY_AFTER_MS, ms);
    }
    if !limited.may_retry() {
        write::header(out, header::SHOULD_RETRY, b"false");
    }
}

fn duration(ms: u64) -> String {
    let mut out = Vec::new();
    write_duration(&mut out, ms);
    String::from_utf8_lossy(&out).into_owned()
}

/// `120ms`, `1s`, `6m0s`, as OpenAI writes it. Source: OpenAI, "Rate limits", headers.
fn write_duration(out: &mut Vec<u8>, ms: u64) {
    let seconds = ms / 1_000;
    let (hours, minutes) = (seconds / 3_600, seconds / 60);
    let mut part = |number: u64, unit: &[u8]| {
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        out.extend_from_slice(unit);
    };
    if ms < 1_000 {
        return part(ms, b"ms");
    }
    if hours > 0 {
        part(hours, b"h");
    }
    if minutes > 0 {
        part(minutes % 60, b"m");
    }
    part(seconds % 60, b"s");
}

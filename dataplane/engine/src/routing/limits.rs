//! What is left of that which a provider grants, as the heads of its answers tell.

use tollgate_wire::head::{Known, ResponseView, number};

use crate::Tick;

/// What was told longer ago is not believed any more: the provider's minute is over.
const BELIEVED_NS: u64 = 60_000_000_000;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Headroom {
    per_mille: u16,
    told: Option<Tick>,
}

impl Headroom {
    /// Of a thousand parts; all of them where nothing is known.
    pub fn per_mille(&self, now: Tick) -> u16 {
        match self.told {
            Some(told) if now.ns_since(told) < BELIEVED_NS => self.per_mille,
            _ => 1_000,
        }
    }

    /// Reads an answer's head.
    pub fn read(&mut self, now: Tick, answer: ResponseView<'_>) {
        if let Some(per_mille) = least_left(answer) {
            *self = Self {
                per_mille,
                told: Some(now),
            };
        }
    }
}

/// The least of what is left of requests and of tokens. The headers: OpenAI's `x-ratelimit-{limit,remaining}-KIND` and
/// Anthropic's `anthropic-ratelimit-KIND-{limit,remaining}`.
fn least_left(answer: ResponseView<'_>) -> Option<u16> {
    const MAX_KINDS: usize = 6;
    // Kind, limit, what remains of it.
    let mut kinds: [(&[u8], Option<u64>, Option<u64>); MAX_KINDS] = [(b"", None, None); MAX_KINDS];
    for field in &answer.head.fields.lines {
        if !matches!(field.known, Known::XRatelimit | Known::Other) {
            continue;
        }
        let Some((kind, is_limit)) = parse_name(field.name.of(answer.buf)) else {
            continue;
        };
        let Some(number) = number(field.value.of(answer.buf)) else {
            continue;
        };
        let Some(entry) = kinds.iter_mut().find(|entry| entry.0 == kind || entry.0.is_empty()) else {
            continue;
        };
        entry.0 = kind;
        let place = if is_limit { &mut entry.1 } else { &mut entry.2 };
        *place = Some(number);
    }
    let share = |(_, limit, left): &(&[u8], Option<u64>, Option<u64>)| {
        let limit = limit.filter(|&limit| limit > 0)?;
        Some((u128::from((*left)?.min(limit)) * 1_000 / u128::from(limit)) as u16)
    };
    kinds.iter().filter_map(share).min()
}

/// The kind, and whether it is the limit rather than what remains.
fn parse_name(name: &[u8]) -> Option<(&[u8], bool)> {
    let name_is = |prefix: &[u8]| {
        name.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    for (prefix, is_limit) in [(&b"x-ratelimit-limit-"[..], true), (b"x-ratelimit-remaining-", false)] {
        if name_is(prefix) {
            return Some((&name[prefix.len()..], is_limit));
        }
    }
    let prefix = b"anthropic-ratelimit-";
    let rest = name_is(prefix).then(|| &name[prefix.len()..])?;
    let ends = |suffix: &[u8]| {
        let kind = rest.len().checked_sub(suffix.len())?;
        rest[kind..].eq_ignore_ascii_case(suffix).then(|| &rest[..kind])
    };
    ends(b"-limit")
        .map(|kind| (kind, true))
        .or_else(|| ends(b"-remaining").map(|kind| (kind, false)))
}

#[cfg(test)]
mod tests {
    use tollgate_wire::{
        head::{Method, ResponseHead},
        http1::read::{self, Limits},
    };

    use super::*;

    fn read_head(lines: &str) -> Headroom {
        let text = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{lines}\r\n");
        let mut head = ResponseHead::default();
        read::response(text.as_bytes(), Method::Post, &Limits::default(), &mut head).expect("a head");
        let mut headroom = Headroom::default();
        headroom.read(
            Tick(1),
            ResponseView {
                head: &head,
                buf: text.as_bytes(),
            },
        );
        headroom
    }

    #[test]
    fn the_scarcest_kind_counts() {
        for (lines, per_mille) in [
            ("", 1_000),
            (
                "x-ratelimit-limit-requests: 100\r\nx-ratelimit-remaining-requests: 25\r\n",
                250,
            ),
            (
                "X-RateLimit-Limit-Tokens: 1000\r\nX-RateLimit-Remaining-Tokens: 10\r\n\
                 x-ratelimit-limit-requests: 100\r\nx-ratelimit-remaining-requests: 90\r\n",
                10,
            ),
            (
                "anthropic-ratelimit-tokens-limit: 8000\r\nanthropic-ratelimit-tokens-remaining: 4000\r\n\
                 anthropic-ratelimit-requests-limit: 50\r\nanthropic-ratelimit-requests-remaining: 49\r\n",
                500,
            ),
            (
                "x-ratelimit-limit-requests: 0\r\nx-ratelimit-remaining-requests: 0\r\n",
                1_000,
            ),
            (
                "x-ratelimit-limit-requests: many\r\nx-ratelimit-remaining-requests: 1\r\n",
                1_000,
            ),
        ] {
            assert_eq!(read_head(lines).per_mille(Tick(2)), per_mille, "{lines}");
        }
    }

    #[test]
    fn what_was_told_is_forgotten() {
        let headroom = read_head("x-ratelimit-limit-requests: 100\r\nx-ratelimit-remaining-requests: 0\r\n");
        assert_eq!(headroom.per_mille(Tick(1)), 0);
        assert_eq!(headroom.per_mille(Tick(61_000_000_000)), 1_000);
    }
}

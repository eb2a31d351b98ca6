//! One request as one line of JSON.

use std::{io::Write, net::IpAddr};

use tollgate_config::money::NANO_TEXT_BYTES;
use tollgate_dialect::usage::Usage;
use tollgate_engine::{
    cost::Cost,
    record::{HedgeOutcome, Hedged, Outcome, Record},
};

/// The date and time to the second, kept while the second lasts.
#[derive(Debug, Default)]
pub struct Stamp {
    unix_s: u64,
    /// `2026-01-31T23:59:59.000Z`; the milliseconds are patched in.
    text: [u8; 24],
}

impl Stamp {
    /// RFC 3339 in UTC with milliseconds.
    pub fn at(&mut self, unix_ms: u64) -> &[u8; 24] {
        let unix_s = unix_ms / 1_000;
        if unix_s != self.unix_s || self.text[0] == 0 {
            self.unix_s = unix_s;
            self.text = *b"0000-00-00T00:00:00.000Z";
            let (year, month, day) = date(unix_s / 86_400);
            let of_day = unix_s % 86_400;
            put(&mut self.text[0..4], year);
            put(&mut self.text[5..7], month);
            put(&mut self.text[8..10], day);
            put(&mut self.text[11..13], of_day / 3_600);
            put(&mut self.text[14..16], of_day / 60 % 60);
            put(&mut self.text[17..19], of_day % 60);
        }
        put(&mut self.text[20..23], unix_ms % 1_000);
        &self.text
    }
}

/// Decimal digits, the last ones that fit.
fn put(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// The Gregorian date of a day since 1970-01-01; years are counted from March, so that a leap day ends one.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (year, month + 3)
    } else {
        (year + 1, month - 9)
    };
    (year + era * 400, month, day)
}

/// Appends the line. What does not apply is left out. Names come with the punctuation around them, so that each is one
/// copy of known length.
pub fn append(out: &mut Vec<u8>, stamp: &[u8; 24], client: IpAddr, record: &Record<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(stamp);
    out.extend_from_slice(b"\",\"client\":\"");
    address(out, client);
    out.push(b'"');
    text(out, b",\"request_id\":\"", Some(record.request_id));
    text(
        out,
        b",\"surface\":\"",
        Some(record.surface).filter(|surface| !surface.is_empty()),
    );
    text(
        out,
        b",\"dialect\":\"",
        Some(record.dialect).filter(|dialect| !dialect.is_empty()),
    );
    text(out, b",\"key\":\"", record.key);
    text(out, b",\"user\":\"", record.user);
    text(out, b",\"team\":\"", record.team);
    let model = record.model.map(|(_, name)| name);
    text(out, b",\"model\":\"", model);
    text(
        out,
        b",\"model_asked\":\"",
        record.model_asked.filter(|asked| Some(*asked) != model),
    );
    text(out, b",\"provider\":\"", record.provider.map(|(_, name)| name));
    text(out, b",\"upstream_model\":\"", record.upstream_model);
    number(out, b",\"status\":", record.status.into());
    out.extend_from_slice(match record.outcome {
        Outcome::Complete => b",\"outcome\":\"complete\"",
        Outcome::ClientGone => b",\"outcome\":\"client_gone\"",
        Outcome::Cut => b",\"outcome\":\"cut\"",
        Outcome::Crashed => b",\"outcome\":\"crashed\"",
    });
    text(out, b",\"rejected\":\"", record.rejected);
    text(out, b",\"refusal\":\"", record.refusal);
    if record.streamed {
        out.extend_from_slice(b",\"streamed\":true");
    }
    if record.replayed {
        out.extend_from_slice(b",\"replayed\":true");
    }
    text(out, b",\"cache\":\"", record.cache);
    number(out, b",\"attempts\":", record.attempts.into());
    if record.resumed > 0 {
        number(out, b",\"resumed\":", record.resumed.into());
    }
    number(out, b",\"request_bytes\":", record.request_body_bytes);
    number(out, b",\"response_bytes\":", record.response_body_bytes);
    if let Some(usage) = &record.usage {
        tokens(out, usage);
    }
    if record.estimated {
        out.extend_from_slice(b",\"estimated\":true");
    }
    if let Some(cost) = record.cost {
        dollars(out, cost);
    }
    number(out, b",\"gateway_us\":", record.gateway_ns / 1_000);
    number(out, b",\"total_us\":", record.total_ns / 1_000);
    if let Some(ns) = record.first_token_ns {
        number(out, b",\"first_token_us\":", ns / 1_000);
    }
    if let Some(hedged) = &record.hedge {
        hedge(out, hedged);
    }
    text(out, b",\"arm\":\"", record.arm);
    if record.shadow {
        out.extend_from_slice(b",\"shadow\":true");
    }
    text(
        out,
        b",\"agreement\":\"",
        record.agreed.map(|agreed| agreed.agreement.name()),
    );
    text(out, b",\"batch\":\"", record.late.and_then(|late| late.batch));
    text(out, b",\"tags\":\"", record.tags);
    out.extend_from_slice(b"}\n");
}

fn dollars(out: &mut Vec<u8>, cost: Cost) {
    out.extend_from_slice(b",\"cost_usd\":\"");
    out.extend_from_slice(cost.usd.to_nanos().text(&mut [0; NANO_TEXT_BYTES]));
    out.push(b'"');
}

/// What came of a second target, and what the attempt that was given up may cost.
fn hedge(out: &mut Vec<u8>, hedged: &Hedged<'_>) {
    out.extend_from_slice(match hedged.outcome {
        HedgeOutcome::Won => b",\"hedge\":\"won\"",
        HedgeOutcome::Lost => b",\"hedge\":\"lost\"",
        HedgeOutcome::Failed => b",\"hedge\":\"failed\"",
        HedgeOutcome::OverBudget => b",\"hedge\":\"over_budget\"",
    });
    let Some(lost) = &hedged.lost else { return };
    text(out, b",\"hedge_lost\":{\"provider\":\"", Some(lost.provider.1));
    if let Some(tokens) = lost.input_tokens {
        number(out, b",\"input\":", tokens);
    }
    if let Some(cost) = lost.cost {
        dollars(out, cost);
    }
    out.push(b'}');
}

/// The classes the provider reported.
fn tokens(out: &mut Vec<u8>, usage: &Usage) {
    let classes: [(&[u8], Option<u64>); 9] = [
        (b",\"input\":", usage.input),
        (b",\"cache_read\":", usage.cache_read),
        (b",\"cache_write_5m\":", usage.cache_write_5m),
        (b",\"cache_write_1h\":", usage.cache_write_1h),
        (b",\"output\":", usage.output),
        (b",\"reasoning\":", usage.reasoning),
        (b",\"input_audio\":", usage.input_audio),
        (b",\"output_audio\":", usage.output_audio),
        (b",\"input_image\":", usage.input_image),
    ];
    out.extend_from_slice(b",\"tokens\":{");
    let mut first = true;
    for (name, tokens) in classes {
        if let Some(tokens) = tokens {
            // The first is not preceded by a comma.
            number(out, &name[usize::from(first)..], tokens);
            first = false;
        }
    }
    out.push(b'}');
}

/// IPv4 by hand: formatting it the usual way costs more than half the rest of the line.
fn address(out: &mut Vec<u8>, client: IpAddr) {
    let IpAddr::V4(v4) = client else {
        // Writing to a vector does not fail.
        let _ = write!(out, "{client}");
        return;
    };
    for (at, octet) in v4.octets().into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
    }
}

#[inline]
fn number(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[inline]
fn text(out: &mut Vec<u8>, name: &[u8], value: Option<&str>) {
    let Some(value) = value else { return };
    out.extend_from_slice(name);
    if is_plain(value.as_bytes()) {
        out.extend_from_slice(value.as_bytes());
    } else {
        escaped(out, value.as_bytes());
    }
    out.push(b'"');
}

/// Whether JSON needs no escape in these bytes; eight at a time.
fn is_plain(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // High bits where a byte is zero (and maybe in bytes above one that is: enough to say whether there is any).
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (words, rest) = bytes.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| {
        let word = u64::from_ne_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        found | control | zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')))
    });
    found == 0 && !rest.iter().any(|&byte| must_escape(byte))
}

fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cold]
fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            plain => out.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use tollgate_config::{money::PicoUsd, prices::PriceVersion};
    use tollgate_engine::record::{Agreed, Agreement, HedgeLost};

    use super::*;

    #[test]
    fn stamps() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"),
            (1_709_251_199_500, "2024-02-29T23:59:59.500Z"),
            (1_798_761_600_007, "2027-01-01T00:00:00.007Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ];
        let mut stamp = Stamp::default();
        for (unix_ms, expected) in cases {
            assert_eq!(std::str::from_utf8(stamp.at(unix_ms)), Ok(expected));
        }
    }

    #[test]
    fn plain_is_what_needs_no_escape() {
        for byte in 0..=255u8 {
            for at in 0..17 {
                let mut bytes = [b'a'; 17];
                bytes[at] = byte;
                assert_eq!(is_plain(&bytes), !must_escape(byte), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn a_line_is_json_whatever_is_in_it() {
        let nasty = "q\"b\\c\u{1}\n\u{7f}é";
        let record = Record {
            request_id: nasty,
            status: 200,
            outcome: Outcome::Complete,
            surface: "chat",
            dialect: "openai",
            key: Some(nasty),
            user: None,
            team: Some("research"),
            model_asked: Some("openai/gpt"),
            model: Some((0, "openai/*")),
            provider: Some((0, "openai")),
            upstream_model: Some("gpt"),
            tags: Some("a=b"),
            arm: Some("b"),
            shadow: true,
            embeds: false,
            hedge: Some(Hedged {
                outcome: HedgeOutcome::Won,
                lost: Some(HedgeLost {
                    provider: (1, "azure"),
                    input_tokens: Some(9),
                    cost: Some(Cost {
                        usd: PicoUsd(2_000),
                        list: PicoUsd(2_000),
                        prices: PriceVersion(1),
                    }),
                }),
            }),
            attempts: 2,
            streamed: true,
            resumed: 1,
            rejected: None,
            refusal: Some(nasty),
            replayed: true,
            cache: Some("hit"),
            findings: &[],
            compressed: None,
            summary: None,
            agreed: Some(Agreed {
                agreement: Agreement::Alike,
                similarity: 0.9375,
            }),
            estimated: true,
            usage: Some(Usage {
                cache_read: Some(0),
                output: Some(7),
                ..Usage::default()
            }),
            cost: Some(Cost {
                usd: PicoUsd(1_234_001),
                list: PicoUsd(1_234_001),
                prices: PriceVersion(1),
            }),
            late: None,
            request_body_bytes: 100,
            response_body_bytes: u64::MAX,
            total_ns: 3_000_999,
            gateway_ns: 20_000,
            first_token_ns: Some(1_000_000),
            media: Default::default(),
        };
        let mut out = Vec::new();
        append(
            &mut out,
            Stamp::default().at(1_798_761_600_007),
            "2001:db8::1".parse().expect("an address"),
            &record,
        );
        assert_eq!(out.pop(), Some(b'\n'));
        assert!(!out.contains(&b'\n'));
        let line: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        let expected = serde_json::json!({
            "time": "2027-01-01T00:00:00.007Z", "client": "2001:db8::1", "request_id": nasty, "surface": "chat",
            "dialect": "openai", "key": nasty, "team": "research", "model": "openai/*", "model_asked": "openai/gpt",
            "provider": "openai", "upstream_model": "gpt", "status": 200, "outcome": "complete", "streamed": true,
            "refusal": nasty, "estimated": true, "replayed": true, "cache": "hit",
            "attempts": 2, "resumed": 1, "request_bytes": 100, "response_bytes": u64::MAX,
            "tokens": {"cache_read": 0, "output": 7}, "cost_usd": "0.000001235", "gateway_us": 20, "total_us": 3000, "first_token_us": 1000,
            "tags": "a=b", "arm": "b", "shadow": true, "agreement": "alike", "hedge": "won",
            "hedge_lost": {"provider": "azure", "input": 9, "cost_usd": "0.000000002"},
        });
        assert_eq!(line, expected);
        let docs = include_str!("../../../../docs/src/access-log.md");
        for field in line.as_object().expect("an object").keys() {
            assert!(
                docs.contains(&format!("`{field}`")),
                "docs/src/access-log.md has no line for {field}"
            );
        }
    }
}

//! Durations and sizes as people write them: `250ms`, `64KiB`. The same words as in the gateway's configuration.

/// `250ms`, `1.5s`, `2m`, `1h`, `30d`, also `us` and `ns`; in nanoseconds.
pub fn duration_ns(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 60e9),
        ("h", 3600e9),
        ("d", 86_400e9),
    ];
    measured(text, &UNITS)
        .ok_or_else(|| format!("'{text}' is no duration; write a number with its unit: 250ms, 2s, 5m, 1h"))
}

/// `1200` (bytes), `4KiB`, `1.5MiB`, `1GiB`; in bytes.
pub fn size_bytes(text: &str) -> Result<u64, String> {
    const KIB: f64 = 1024.0;
    const UNITS: [(&str, f64); 5] = [
        ("", 1.0),
        ("B", 1.0),
        ("KiB", KIB),
        ("MiB", KIB * KIB),
        ("GiB", KIB * KIB * KIB),
    ];
    measured(text, &UNITS)
        .ok_or_else(|| format!("'{text}' is no size; write bytes or a number with its unit: 1200, 4KiB, 1MiB"))
}

fn measured(text: &str, units: &[(&str, f64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim_start();
    let scale = units.iter().find(|(name, _)| *name == unit)?.1;
    let value = (number * scale).round();
    (value < u64::MAX as f64).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read() {
        let durations = [
            ("250ms", Some(250_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("0s", Some(0)),
            ("2m", Some(120_000_000_000)),
            ("10 us", Some(10_000)),
            ("5", None),
            ("s", None),
            ("", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("3 weeks", None),
            ("99999999999999999999d", None),
        ];
        for (text, right) in durations {
            assert_eq!(duration_ns(text).ok(), right, "{text}");
        }
        let sizes = [
            ("1200", Some(1200)),
            ("64KiB", Some(65_536)),
            ("0.5MiB", Some(524_288)),
            ("7B", Some(7)),
            ("64KB", None),
            ("KiB", None),
        ];
        for (text, right) in sizes {
            assert_eq!(size_bytes(text).ok(), right, "{text}");
        }
    }
}

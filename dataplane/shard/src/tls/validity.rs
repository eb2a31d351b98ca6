//! When a certificate expires: a walk over just enough DER (X.690) to reach `validity.notAfter` of RFC 5280 section 4.1.

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Unix seconds of `notAfter`; `None` when the bytes are no certificate we understand.
pub fn not_after_unix_s(certificate: &[u8]) -> Option<u64> {
    let (_, certificate, _) = element(certificate, Some(SEQUENCE))?;
    let (_, mut rest, _) = element(certificate, Some(SEQUENCE))?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest, Some(VERSION))?.2;
    }
    // serialNumber, signature, issuer
    for _ in 0..3 {
        rest = element(rest, None)?.2;
    }
    let (_, validity, _) = element(rest, Some(SEQUENCE))?;
    let (_, _, after) = element(validity, None)?;
    let (tag, text, _) = element(after, None)?;
    time(tag, text)
}

/// The first element of `bytes`: its tag, its content, and what follows it.
fn element(bytes: &[u8], expected: Option<u8>) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    if expected.is_some_and(|expected| expected != tag) {
        return None;
    }
    let (&first, mut rest) = rest.split_first()?;
    let mut len = usize::from(first);
    if first & 0x80 != 0 {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, after) = rest.split_at_checked(count)?;
        len = digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit));
        rest = after;
    }
    let (content, after) = rest.split_at_checked(len)?;
    Some((tag, content, after))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, the only forms RFC 5280 allows.
fn time(tag: u8, text: &[u8]) -> Option<u64> {
    let text = text.strip_suffix(b"Z")?;
    let (year, text) = match tag {
        UTC_TIME => {
            let (year, text) = (number(text.get(..2)?)?, text.get(2..)?);
            (if year < 50 { 2000 + year } else { 1900 + year }, text)
        }
        GENERALIZED_TIME => (number(text.get(..4)?)?, text.get(4..)?),
        _ => return None,
    };
    if text.len() != 10 {
        return None;
    }
    let mut parts = [0u64; 5];
    for (part, digits) in parts.iter_mut().zip(text.chunks(2)) {
        *part = number(digits)?;
    }
    let [month, day, hour, minute, second] = parts;
    let days = days_from_epoch(year, month, day)?;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Days since 1970-01-01 of a Gregorian date; years count from March, so that a leap day ends one.
fn days_from_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month < 3 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days_to_1970_03_01 = 719_468;
    (year * 365 + leap_days + (153 * month + 2) / 5 + day - 1).checked_sub(days_to_1970_03_01)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::Authority;

    #[test]
    fn times_of_both_forms() {
        let cases: [(u8, &[u8], Option<u64>); 8] = [
            (UTC_TIME, b"700101000000Z", Some(0)),
            (UTC_TIME, b"491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, b"20000229120000Z", Some(951_825_600)),
            (GENERALIZED_TIME, b"20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, b"99991231235959Z", Some(253_402_300_799)),
            (GENERALIZED_TIME, b"20001331000000Z", None),
            (UTC_TIME, b"7001010000Z", None),
            (0x04, b"700101000000Z", None),
        ];
        for (tag, text, expected) in cases {
            assert_eq!(time(tag, text), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn reads_a_real_certificate_and_survives_any_cut_of_it() {
        let issued = Authority::new().issue_until(&["a.test"], 2031);
        let der = issued.der();
        assert_eq!(not_after_unix_s(&der), Some(1_924_992_000));
        for cut in 0..der.len() {
            not_after_unix_s(&der[..cut]);
        }
    }
}

//! Moments as credentials and signatures write them.

/// `20150830T123600Z`: ISO 8601 without separators.
pub type Stamp = [u8; 16];

/// The date and time of a moment in UTC.
pub fn stamp(unix_s: u64) -> Stamp {
    let (year, month, day) = civil(unix_s / 86_400);
    let second = unix_s % 86_400;
    let mut stamp = *b"00000000T000000Z";
    digits(&mut stamp[0..4], year);
    digits(&mut stamp[4..6], month);
    digits(&mut stamp[6..8], day);
    digits(&mut stamp[9..11], second / 3_600);
    digits(&mut stamp[11..13], second / 60 % 60);
    digits(&mut stamp[13..15], second % 60);
    stamp
}

fn digits(out: &mut [u8], mut number: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Days since 1970-01-01 → year, month, day. Years are counted from March, so that a leap day comes last.
pub fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// RFC 3339 in UTC: `2026-11-26T02:00:00Z`, fractions of a second cut off. `None` for what is before 1970 or not that.
pub fn unix_s(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (date, time) = text.split_once(['T', ' '])?;
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let in_range = (1_970..=9_999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !in_range || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
    let mut parts = text.split(between);
    let mut number = || {
        let part = parts.next()?;
        let plain = (2..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| part.parse().ok()).flatten()
    };
    let numbers = [number()?, number()?, number()?];
    parts.next().is_none().then_some(numbers)
}

fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (unix, text, compact) in [
            (0, "1970-01-01T00:00:00Z", "19700101T000000Z"),
            (951_782_399, "2000-02-28T23:59:59Z", "20000228T235959Z"),
            (951_782_400, "2000-02-29T00:00:00Z", "20000229T000000Z"),
            (1_440_938_160, "2015-08-30T12:36:00Z", "20150830T123600Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z", "20261231T235959Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z", "21000301T000000Z"),
        ] {
            assert_eq!(stamp(unix), compact.as_bytes(), "{text}");
            assert_eq!(unix_s(text), Some(unix), "{text}");
        }
        assert_eq!(unix_s("2026-11-26 02:00:00.123+00:00"), unix_s("2026-11-26T02:00:00Z"));
        for wrong in [
            "",
            "2026-11-26",
            "2026-13-01T00:00:00Z",
            "2026-11-26T02:00:00",
            "1969-01-01T00:00:00Z",
            "x-y-zT1:2:3Z",
        ] {
            assert_eq!(unix_s(wrong), None, "{wrong}");
        }
    }
}

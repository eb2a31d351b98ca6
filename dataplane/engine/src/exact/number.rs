//! Numbers in the one form that each has in what is hashed, by what they are worth: `1`, `1.0` and `10e-1` are one.

/// Those that are whole and have no more digits stand in these alone.
pub(super) const MOST_DIGITS: usize = 18;
/// Begins all others, and no value of JSON.
const OTHER: u8 = b'#';
/// Between the digits of such a number and its place: no digit.
const PLACE: u8 = b'e';

/// Appends it. `None` where it is no number.
pub(super) fn write(raw: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (negative, unsigned) = match raw.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, raw),
    };
    let exponent_at = unsigned.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (mantissa, exponent) = match exponent_at {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let exponent = match exponent {
        Some(digits) => of_exponent(digits)?,
        None => Some(0),
    };
    let point = mantissa.iter().position(|&byte| byte == b'.').unwrap_or(mantissa.len());
    let (whole, fraction) = (&mantissa[..point], mantissa.get(point + 1..));
    let are_digits = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if !are_digits(whole) || fraction.is_some_and(|fraction| !are_digits(fraction)) {
        return None;
    }
    let Some(first) = mantissa.iter().position(|byte| (b'1'..=b'9').contains(byte)) else {
        out.push(b'0');
        return Some(());
    };
    let last = mantissa.iter().rposition(|byte| (b'1'..=b'9').contains(byte))?;
    // Of the first digit that counts.
    let place = match first < point {
        true => (point - first) as i64 - 1,
        false => point as i64 - first as i64,
    };
    let place = exponent.and_then(|exponent| exponent.checked_add(place));
    let digits = || mantissa[first..=last].iter().filter(|byte| **byte != b'.').copied();
    let count = last - first + 1 - usize::from((first..last).contains(&point));
    match place {
        Some(place @ 0..) if place < MOST_DIGITS as i64 && count as i64 <= place + 1 => {
            out.extend(negative.then_some(b'-'));
            out.extend(digits());
            out.extend(std::iter::repeat_n(b'0', place as usize + 1 - count));
        }
        Some(place) => {
            out.extend_from_slice(&[OTHER, if negative { b'-' } else { b'+' }]);
            out.extend(digits());
            out.push(PLACE);
            out.extend_from_slice(&place.to_le_bytes());
        }
        None => {
            // Of a size that nobody means: its length, for no byte ends it.
            out.extend_from_slice(&[OTHER, OTHER]);
            out.extend_from_slice(&raw.len().to_le_bytes());
            out.extend_from_slice(raw);
        }
    }
    Some(())
}

/// `None` within where it is of a size that nobody means, and around it where it is none.
fn of_exponent(digits: &[u8]) -> Option<Option<i64>> {
    let unsigned = digits.strip_prefix(b"+").or_else(|| digits.strip_prefix(b"-"));
    let unsigned = unsigned.unwrap_or(digits);
    if unsigned.is_empty() || !unsigned.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(str::from_utf8(digits).ok()?.parse().ok())
}

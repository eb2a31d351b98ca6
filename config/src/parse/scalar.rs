//! What a plain YAML scalar means: the core schema of YAML 1.2.2, section 10.3.2. Pure text → value.

use serde_json::{Number, Value};

/// A plain scalar's value; `Err` says why JSON cannot hold it.
pub fn plain(text: &str) -> Result<Value, &'static str> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN" => return Err("is not a finite number"),
        _ => {}
    }
    if let Some(value) = based(text) {
        return value;
    }
    if is_number(unsigned) {
        return number(text).map(Value::Number).ok_or("is a number out of range");
    }
    Ok(Value::String(text.to_string()))
}

/// Decimal text → number: an integer where it is written as one. `None` when it does not fit.
pub fn number(text: &str) -> Option<Number> {
    let plain = text.strip_prefix('+').unwrap_or(text);
    if plain.contains(['.', 'e', 'E']) {
        return Number::from_f64(plain.parse().ok()?);
    }
    match plain.parse::<u64>() {
        Ok(natural) => Some(natural.into()),
        Err(_) => plain.parse::<i64>().ok().map(Number::from),
    }
}

/// `0o17` and `0x1F`.
fn based(text: &str) -> Option<Result<Value, &'static str>> {
    let (digits, radix) = match (text.strip_prefix("0o"), text.strip_prefix("0x")) {
        (Some(digits), _) => (digits, 8),
        (_, Some(digits)) => (digits, 16),
        _ => return None,
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    Some(
        u64::from_str_radix(digits, radix)
            .map(Value::from)
            .map_err(|_| "is a number out of range"),
    )
}

/// `[0-9]+ | (\.[0-9]+ | [0-9]+(\.[0-9]*)?) ([eE][-+]?[0-9]+)?`
fn is_number(unsigned: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let some_digit = !whole.is_empty() || !fraction.is_empty();
    some_digit && digits(whole) && digits(fraction) && exponent.is_none_or(|part| !part.is_empty() && digits(part))
}

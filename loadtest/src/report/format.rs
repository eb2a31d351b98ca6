//! Numbers as people read them. Knows no report, only numbers; what is not a number is a dash.

/// 1234567 as `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits, and all that stand before the point: `0.0123`, `1.23`, `12.3`, `1,235`.
pub fn number(number: f64) -> String {
    let size = number.abs();
    if !number.is_finite() {
        return "–".to_owned();
    }
    if size >= 99.95 {
        let sign = if number < 0.0 { "-" } else { "" };
        return format!("{sign}{}", count(size.round() as u64));
    }
    let decimals = match size {
        _ if size < 0.000_000_5 => return "0".to_owned(),
        _ if size < 0.000_999_5 => 6,
        _ if size < 0.009_995 => 4,
        _ if size < 0.9995 => 3,
        _ if size < 9.995 => 2,
        _ => 1,
    };
    format!("{number:.decimals$}")
}

/// A number that somebody chose, as they would write it: `1`, `0.5`, `25`.
pub fn chosen(number: f64) -> String {
    match number.is_finite() {
        true => number.to_string(),
        false => "–".to_owned(),
    }
}

/// Milliseconds with the unit in which they are short: `85.0 µs`, `12.3 ms`, `4.50 s`.
pub fn duration(ms: f64) -> String {
    match ms.abs() {
        size if !size.is_finite() => "–".to_owned(),
        0.0 => "0 ms".to_owned(),
        size if size < 0.9995 => format!("{} µs", number(ms * 1e3)),
        size if size < 9_999.5 => format!("{} ms", number(ms)),
        _ => format!("{} s", number(ms / 1e3)),
    }
}

/// Seconds as a clock shows them to who waits: `42 s`, `3 min 05 s`, `2 h 10 min`.
pub fn clock(seconds: f64) -> String {
    let whole = if seconds.is_finite() {
        seconds.max(0.0).round() as u64
    } else {
        0
    };
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// How long a run was; short ones with a tenth.
pub fn span(seconds: f64) -> String {
    match seconds {
        _ if seconds < 60.0 && (seconds - seconds.round()).abs() > 0.05 => format!("{seconds:.1} s"),
        _ => clock(seconds),
    }
}

pub fn bytes(bytes: u64) -> String {
    let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let size = bytes as f64;
    match units.iter().find(|(_, unit)| size >= *unit) {
        Some((name, unit)) => format!("{} {name}", number(size / unit)),
        None => format!("{bytes} B"),
    }
}

/// A share from 0 to 1: `0 %`, `0.013 %`, `45.0 %`. One that is not zero never reads as zero.
pub fn share(share: f64) -> String {
    match share * 100.0 {
        percent if percent > 0.0 && percent < 0.0005 => "< 0.001 %".to_owned(),
        percent => format!("{} %", number(percent)),
    }
}

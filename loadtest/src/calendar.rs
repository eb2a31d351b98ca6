//! Points in time as people and providers write them. Pure: the time is given.

use tollgate_dialect::sign::time::civil;

/// `2026-01-01T00:00:00Z`, by the civil calendar's 400-year cycle.
pub fn rfc_3339(unix_s: u64) -> String {
    let (days, seconds) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = civil(days);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{:02}Z",
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(rfc_3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc_3339(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(rfc_3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc_3339(4_102_444_799), "2099-12-31T23:59:59Z");
        assert_eq!(rfc_3339(1_709_251_200), "2024-03-01T00:00:00Z");
    }
}

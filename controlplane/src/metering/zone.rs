//! Days and months as a time zone has them. Knows no ledger: moments in, texts out.

use jiff::{
    Timestamp, Zoned,
    civil::Date,
    tz::{TimeZone, TimeZoneDatabase},
};

use super::hours::HOUR_MS;

/// The zone of a name of the IANA database, whose rules are built in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "UTC" => Some(Self(TimeZone::UTC)),
            _ => TimeZoneDatabase::bundled().get(name).ok().map(Self),
        }
    }

    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    fn at(&self, unix_ms: u64) -> Zoned {
        // A clock that shows a year beyond 9999 is wrong anyway.
        let ms = i64::try_from(unix_ms).ok();
        let moment = ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        moment.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(self.0.clone())
    }

    /// Do days begin within an hour of the clock that sums are kept by?
    pub fn splits_hours(&self, from_ms: u64, to_ms: u64) -> bool {
        /// Changes of an offset in a span: those of five centuries.
        const MAX_CHANGES: usize = 1_000;
        let splits = |seconds: i32| i64::from(seconds) * 1000 % HOUR_MS as i64 != 0;
        let (from, to) = (self.at(from_ms), self.at(to_ms));
        // Lord Howe's summer time is half an hour: whole hours at both ends say nothing of what is between.
        let changes = self.0.following(from.timestamp()).take(MAX_CHANGES);
        let mut between = changes.take_while(|change| change.timestamp() < to.timestamp());
        splits(from.offset().seconds())
            || splits(to.offset().seconds())
            || between.any(|change| splits(change.offset().seconds()))
    }

    /// `2026-11-01`
    pub fn day(&self, unix_ms: u64) -> String {
        self.at(unix_ms).date().to_string()
    }

    /// `2026-11`
    pub fn month(&self, unix_ms: u64) -> String {
        let date = self.at(unix_ms).date();
        format!("{:04}-{:02}", date.year(), date.month())
    }

    /// `2026-11-01T10:00:00Z`, or with the zone's offset.
    pub fn hour(&self, unix_ms: u64) -> String {
        let at = self.at(unix_ms);
        let offset_minutes = at.offset().seconds() / 60;
        let text = at.datetime().to_string();
        let text = text.get(..13).unwrap_or(&text);
        match offset_minutes {
            0 => format!("{text}:00:00Z"),
            minutes => {
                let sign = if minutes < 0 { '-' } else { '+' };
                let minutes = minutes.abs();
                format!("{text}:00:00{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }

    /// When a day begins: `2026-11-01`.
    pub fn day_begins(&self, text: &str) -> Option<u64> {
        self.begins(text.parse().ok()?)
    }

    /// When a month begins: `2026-11`; and when the next does.
    pub fn month_span(&self, text: &str) -> Option<(u64, u64)> {
        let first: Date = format!("{text}-01").parse().ok()?;
        let next = first.checked_add(jiff::Span::new().months(1)).ok()?;
        Some((self.begins(first)?, self.begins(next)?))
    }

    /// Midnight, or where summer time leaves it out the first moment after it.
    fn begins(&self, date: Date) -> Option<u64> {
        let begins = date.to_zoned(self.0.clone()).ok()?;
        u64::try_from(begins.timestamp().as_millisecond()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_rfc3339;

    #[test]
    fn days_and_months_are_those_of_the_zone() {
        let table = [
            (
                "UTC",
                "2026-11-01T00:30:00Z",
                "2026-11-01",
                "2026-11",
                "2026-11-01T00:00:00Z",
            ),
            // Clocks went back that night: the second of two hours that are called two.
            (
                "Europe/Berlin",
                "2026-10-25T01:30:00Z",
                "2026-10-25",
                "2026-10",
                "2026-10-25T02:00:00+01:00",
            ),
            (
                "America/Los_Angeles",
                "2026-11-01T06:30:00Z",
                "2026-10-31",
                "2026-10",
                "2026-10-31T23:00:00-07:00",
            ),
            (
                "Asia/Kolkata",
                "2028-02-28T18:40:00Z",
                "2028-02-29",
                "2028-02",
                "2028-02-29T00:00:00+05:30",
            ),
        ];
        for (name, at, day, month, hour) in table {
            let zone = Zone::named(name).expect("a zone");
            let at = parse_rfc3339(at).expect("a moment") * 1000;
            assert_eq!((zone.day(at).as_str(), zone.month(at).as_str()), (day, month), "{name}");
            assert_eq!(zone.hour(at), hour, "{name}");
            assert_eq!(zone.splits_hours(at, at), name == "Asia/Kolkata");
        }
        let berlin = Zone::named("Europe/Berlin").expect("a zone");
        let day = berlin.day_begins("2026-03-30").expect("a day") - berlin.day_begins("2026-03-29").expect("a day");
        assert_eq!(day, 23 * HOUR_MS, "the day in spring that has 23 hours");
        let (from, to) = berlin.month_span("2026-10").expect("a month");
        assert_eq!((to - from) / HOUR_MS, 31 * 24 + 1);
        assert_eq!(
            Zone::utc()
                .month_span("2028-02")
                .map(|(from, to)| (to - from) / 86_400_000),
            Some(29)
        );
        assert!(Zone::named("Mars/Olympus").is_none());
        assert!(Zone::utc().day_begins("2026-02-30").is_none());
    }
}

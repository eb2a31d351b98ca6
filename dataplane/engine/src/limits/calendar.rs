//! Calendar periods: which day, week, month, quarter and year a moment is in, and when each ends, in a time zone with its
//! summer time. The rules are data of the IANA database, built in.

use jiff::{
    Timestamp, Zoned,
    civil::Date,
    tz::{TimeZone, TimeZoneDatabase},
};
use tollgate_config::document::Period;

/// The periods of one day, which is as long as their numbers hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Today {
    begins_unix_ms: u64,
    ends_unix_ms: u64,
    /// By `Period::ALL`.
    numbers: [u64; 5],
    ends: [u64; 5],
}

/// A period in force: its number, which grows by one with each, and when the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InForce {
    pub number: u64,
    pub ends_unix_ms: u64,
}

impl Today {
    pub fn is_now(&self, unix_ms: u64) -> bool {
        (self.begins_unix_ms..self.ends_unix_ms).contains(&unix_ms)
    }

    pub fn period(&self, period: Period) -> InForce {
        let at = period as usize;
        InForce {
            number: self.numbers[at],
            ends_unix_ms: self.ends[at],
        }
    }

    pub fn at(zone: &TimeZone, unix_ms: u64) -> Self {
        // A clock that shows a year beyond 9999 is wrong anyway.
        let moment = i64::try_from(unix_ms)
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let now = moment.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone());
        let date = now.date();
        let day = day_number(date);
        let (year, month) = (i64::from(date.year()), i64::from(date.month()));
        let months = year * 12 + month - 1;
        // The first of 1970 was a Thursday: three days before it a week began.
        let weekday = (day + 3).rem_euclid(7);
        let begins = |date: Option<Date>| date.and_then(|date| first_moment(date, zone)).unwrap_or(u64::MAX);
        let later = |days: i64| date.checked_add(jiff::Span::new().days(days)).ok();
        let month_begins = |months: i64| {
            let year = i16::try_from(months.div_euclid(12)).ok()?;
            let month = i8::try_from(months.rem_euclid(12) + 1).ok()?;
            Date::new(year, month, 1).ok()
        };
        let tomorrow = begins(later(1));
        let numbers = [day, (day + 3).div_euclid(7), months, months.div_euclid(3), year];
        Self {
            begins_unix_ms: begins(Some(date)).min(unix_ms),
            ends_unix_ms: tomorrow,
            // From one, so that none is zero, and before 1970 there were no calls.
            numbers: numbers.map(|number| u64::try_from(number).unwrap_or(0) + 1),
            ends: [
                tomorrow,
                begins(later(7 - weekday)),
                begins(month_begins(months + 1)),
                begins(month_begins((months.div_euclid(3) + 1) * 3)),
                begins(month_begins((year + 1) * 12)),
            ],
        }
    }
}

fn day_number(date: Date) -> i64 {
    const EPOCH: Date = jiff::civil::date(1970, 1, 1);
    // The difference of two dates is in days.
    (date - EPOCH).get_days().into()
}

/// Midnight, or where summer time leaves it out the first moment after it.
fn first_moment(date: Date, zone: &TimeZone) -> Option<u64> {
    let begins: Zoned = date.to_zoned(zone.clone()).ok()?;
    u64::try_from(begins.timestamp().as_millisecond()).ok()
}

/// The zone of a document, which `check` proved right.
pub(crate) fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(zone_name: &str, text: &str) -> (u64, Today) {
        let moment: Timestamp = text.parse().expect("a moment");
        let unix_ms = moment.as_millisecond() as u64;
        (unix_ms, Today::at(&zone(zone_name), unix_ms))
    }

    fn ends(today: &Today, period: Period) -> String {
        let ms = today.period(period).ends_unix_ms as i64;
        Timestamp::from_millisecond(ms).expect("a moment").to_string()
    }

    #[test]
    fn periods_end_where_the_calendar_says() {
        let table: &[(&str, &str, [&str; 5])] = &[
            (
                "UTC",
                "2026-11-26T09:00:00Z",
                [
                    "2026-11-27T00:00:00Z",
                    "2026-11-30T00:00:00Z",
                    "2026-12-01T00:00:00Z",
                    "2027-01-01T00:00:00Z",
                    "2027-01-01T00:00:00Z",
                ],
            ),
            // A leap day.
            (
                "UTC",
                "2028-02-28T23:59:59Z",
                [
                    "2028-02-29T00:00:00Z",
                    "2028-03-06T00:00:00Z",
                    "2028-03-01T00:00:00Z",
                    "2028-04-01T00:00:00Z",
                    "2029-01-01T00:00:00Z",
                ],
            ),
            // A Sunday: the week ends tonight.
            (
                "UTC",
                "2026-11-29T12:00:00Z",
                [
                    "2026-11-30T00:00:00Z",
                    "2026-11-30T00:00:00Z",
                    "2026-12-01T00:00:00Z",
                    "2027-01-01T00:00:00Z",
                    "2027-01-01T00:00:00Z",
                ],
            ),
            // Berlin is an hour ahead in winter; the year has begun there already.
            (
                "Europe/Berlin",
                "2026-12-31T23:30:00Z",
                [
                    "2027-01-01T23:00:00Z",
                    "2027-01-03T23:00:00Z",
                    "2027-01-31T23:00:00Z",
                    "2027-03-31T22:00:00Z",
                    "2027-12-31T23:00:00Z",
                ],
            ),
            // The day in spring that has 23 hours.
            (
                "Europe/Berlin",
                "2026-03-29T12:00:00Z",
                [
                    "2026-03-29T22:00:00Z",
                    "2026-03-29T22:00:00Z",
                    "2026-03-31T22:00:00Z",
                    "2026-03-31T22:00:00Z",
                    "2026-12-31T23:00:00Z",
                ],
            ),
            // A day in Cairo that begins at one o'clock, since summer time begins at midnight.
            (
                "Africa/Cairo",
                "2026-04-23T12:00:00Z",
                [
                    "2026-04-23T22:00:00Z",
                    "2026-04-26T21:00:00Z",
                    "2026-04-30T21:00:00Z",
                    "2026-06-30T21:00:00Z",
                    "2026-12-31T22:00:00Z",
                ],
            ),
        ];
        for (zone, moment, expected) in table {
            let (unix_ms, today) = at(zone, moment);
            assert!(today.is_now(unix_ms), "{zone} {moment}");
            for (period, expected) in Period::ALL.into_iter().zip(expected) {
                assert_eq!(ends(&today, period), *expected, "{zone} {moment} {}", period.name());
            }
        }
    }

    #[test]
    fn numbers_grow_by_one_at_each_end() {
        for name in ["UTC", "Europe/Berlin", "Pacific/Apia", "America/St_Johns"] {
            let zone = zone(name);
            let (first, mut today) = at(name, "2026-01-01T12:00:00Z");
            let mut now = first;
            for _ in 0..800 {
                now = today.ends_unix_ms;
                let next = Today::at(&zone, now);
                for period in Period::ALL {
                    let (old, new) = (today.period(period), next.period(period));
                    let over = old.ends_unix_ms <= now;
                    assert_eq!(
                        new.number - old.number,
                        u64::from(over),
                        "{name} {} at {now}",
                        period.name()
                    );
                    assert!(over || new == old);
                }
                today = next;
            }
            assert!(now > first + 799 * 86_400_000);
        }
    }
}

//! Days and months of bills where the calendar is strange: summer time that begins or ends, by an hour or by half of one,
//! leap days, ends of months and years. What each is told to have cost is what its calls did.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZoneDatabase};
use proptest::{collection::vec, prelude::*};
use tollgate_config::{money::PicoUsd, prices::PriceVersion, usage_event::UsageEvent};

use super::{
    super::{focus, money::Picos, question::cost},
    Dimension, Question, World, Zone, close, frame,
    on_postgres::cases,
    open, reader,
};

pub const ALL: [fn(); 2] = [
    each_day_and_month_is_charged_what_its_calls_cost,
    a_year_whose_winter_alone_has_half_hours_is_told_by_its_own_days,
];

const MOMENTS: [&str; 10] = [
    // Summer time begins and ends in Berlin, in New York, and on Lord Howe, where it is half an hour.
    "2026-03-29T01:00:00Z",
    "2026-10-25T01:00:00Z",
    "2026-03-08T07:00:00Z",
    "2026-11-01T06:00:00Z",
    "2026-04-04T15:00:00Z",
    "2026-10-03T15:30:00Z",
    // In Cairo it begins at midnight: that day begins at one.
    "2026-04-23T22:00:00Z",
    "2028-02-29T12:00:00Z",
    "2028-02-29T23:59:59Z",
    "2026-12-31T23:59:59Z",
];
const ZONES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Africa/Cairo",
    "America/St_Johns",
];
const HOUR_MS: u64 = 3_600_000;

fn unix_ms(text: &str) -> u64 {
    u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
}

/// When calls ended, and what they cost. Times are drawn near whole hours and quarters, where days begin.
fn any_calls() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let near = prop::sample::select(vec![0, 0, 1, HOUR_MS / 4, HOUR_MS / 2, HOUR_MS - 1]);
    let at = (prop::sample::select(MOMENTS.to_vec()), 0..96u64, near);
    let at = at
        .prop_map(|(moment, hours, near)| unix_ms(moment) / HOUR_MS * HOUR_MS - 48 * HOUR_MS + hours * HOUR_MS + near);
    vec((at, 0..u64::MAX), 1..24)
}

type Costs = BTreeMap<String, i128>;

fn answered(world: &World, by: &str, span: (u64, u64), zone: &str) -> Costs {
    let (metering, _) = world.open();
    let question = Question::new(Dimension::parse_list(by).unwrap(), span, Zone::named(zone).unwrap(), 0);
    let answer = question.ask(&mut reader(&metering)).unwrap();
    answer
        .sums
        .iter()
        .map(|(key, sums)| (key.join(" "), cost(sums).0))
        .collect()
}

/// What the export's rows charge, by the period that a member of theirs begins.
fn exported(world: &World, span: (u64, u64), zone: &str, member: &str) -> BTreeMap<u64, i128> {
    let (metering, _) = world.open();
    let zone = Zone::named(zone).unwrap();
    let question = focus::question(span, zone.clone(), 0);
    let answer = question.ask(&mut reader(&metering)).unwrap();
    let mut charged = BTreeMap::new();
    for row in focus::rows(&answer, &zone, 0) {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        *charged.entry(unix_ms(&text(member))).or_default() += Picos::parse(&text("BilledCost"), 0).unwrap().0;
    }
    charged
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(64)))]

    #[test]
    fn each_day_and_month_is_charged_what_its_calls_cost(
        calls in any_calls(),
        zone in prop::sample::select(ZONES.to_vec()),
        (early, late) in (0..3 * HOUR_MS, 0..3 * HOUR_MS),
    ) {
        let world = World::new();
        let mut frames = Vec::new();
        for (number, (at_ms, usd)) in calls.iter().enumerate() {
            let sequence = 2 * number as u64 + 1;
            let cost = Some((PicoUsd(u128::from(*usd)), PriceVersion(1)));
            let event = UsageEvent { ended_unix_ms: *at_ms, cost, ..close(sequence + 1, sequence) };
            frames.extend([frame(&open(sequence)), frame(&event)].concat());
        }
        world.write(0, 1, &frames);
        let (_, mut ingest) = world.open();
        ingest.pass().unwrap();
        // Neither end is a day's; both may cut calls off.
        let ends = calls.iter().map(|(at, _)| *at);
        let span = (ends.clone().min().unwrap_or(0) + early, ends.max().unwrap_or(0).saturating_sub(late) + 1);
        prop_assume!(span.0 < span.1);
        let tz = TimeZoneDatabase::bundled().get(zone).unwrap();
        let (mut days, mut months) = (Costs::new(), Costs::new());
        let (mut day_periods, mut month_periods) = (BTreeMap::<u64, i128>::new(), BTreeMap::<u64, i128>::new());
        for (at_ms, usd) in calls.iter().filter(|(at, _)| (span.0..span.1).contains(at)) {
            let usd = i128::from(*usd);
            let local = Timestamp::from_millisecond(*at_ms as i64).unwrap().to_zoned(tz.clone());
            *days.entry(local.date().to_string()).or_default() += usd;
            *months.entry(local.date().to_string()[..7].to_owned()).or_default() += usd;
            let begins = |date: jiff::civil::Date| date.to_zoned(tz.clone()).unwrap().timestamp().as_millisecond() as u64 / 1000 * 1000;
            *day_periods.entry(begins(local.date())).or_default() += usd;
            *month_periods.entry(begins(local.date().first_of_month())).or_default() += usd;
        }
        prop_assert_eq!(answered(&world, "day", span, zone), days, "{} {:?}", zone, span);
        prop_assert_eq!(answered(&world, "month", span, zone), months, "{} {:?}", zone, span);
        prop_assert_eq!(exported(&world, span, zone, "ChargePeriodStart"), day_periods);
        prop_assert_eq!(exported(&world, span, zone, "BillingPeriodStart"), month_periods);
    }
}

/// A year on Lord Howe begins and ends with offsets of whole hours, and in between it has one of half an hour.
#[test]
fn a_year_whose_winter_alone_has_half_hours_is_told_by_its_own_days() {
    let world = World::new();
    // In June: 2026-06-10 begins at 13:30 UTC there.
    let ends = ["2026-06-09T13:29:00Z", "2026-06-09T13:31:00Z"].map(unix_ms);
    let frames = ends.iter().enumerate().flat_map(|(number, at_ms)| {
        let sequence = 2 * number as u64 + 1;
        let event = UsageEvent {
            ended_unix_ms: *at_ms,
            ..close(sequence + 1, sequence)
        };
        [frame(&open(sequence)), frame(&event)]
    });
    world.write(0, 1, &frames.flatten().collect::<Vec<u8>>());
    let (_, mut ingest) = world.open();
    ingest.pass().unwrap();
    let year = ["2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z"].map(unix_ms);
    let days = answered(&world, "day", (year[0], year[1]), "Australia/Lord_Howe");
    assert_eq!(days.keys().collect::<Vec<_>>(), ["2026-06-09", "2026-06-10"]);
}

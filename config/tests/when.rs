//! Hours and days by the clock of a place: when they hold, summer time included; and how they are written wrong.

use tollgate_config::{
    check::check,
    document::{Feature, Hours},
    parse::parse,
};

/// The faults of a document with this target, or its `when`.
fn read(rest: &str) -> Result<tollgate_config::document::Conditions, String> {
    let text = format!(
        "version: 1\nproviders: {{ p: {{ kind: openai, credential: env:A }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: p, model: x, when: {{ {rest} }} }} ] }} }}\n"
    );
    let parsed = parse(&text).expect("YAML");
    match check(&parsed) {
        Ok(document) => Ok(document.models[0].1.targets[0].when.clone()),
        Err(problems) => {
            let said = problems.iter().map(|problem| {
                let line = problem.line("");
                line.split_once("/models/m/targets/0/when")
                    .map_or(line.clone(), |(_, said)| said.to_owned())
            });
            Err(said.collect::<Vec<_>>().join("\n"))
        }
    }
}

fn hours(rest: &str) -> Hours {
    read(rest).expect("it is right").hours.expect("hours")
}

#[test]
fn the_wall_clock_counts_through_both_changes_of_the_year() {
    let early = hours("hours: '03:00-04:00', zone: Europe/Berlin");
    // 2027-03-28: at 01:00 UTC two o'clock becomes three.
    assert!(!early.holds(1_806_195_540));
    assert!(early.holds(1_806_195_600) && early.holds(1_806_199_199) && !early.holds(1_806_199_200));
    let lost = hours("hours: '02:00-03:00', zone: Europe/Berlin");
    assert!(
        !lost.holds(1_806_195_540) && !lost.holds(1_806_195_600),
        "that night had no such hour"
    );
    // 2027-10-31: the hour from two comes twice.
    assert!(lost.holds(1_824_942_600) && lost.holds(1_824_946_200) && !lost.holds(1_824_948_000));
}

#[test]
fn zones_of_any_kind_are_known() {
    for (zone, from, unix_s, holds) in [
        // Half an hour beside the others.
        ("Asia/Kolkata", "00:00-01:00", 1_800_037_800, true),
        ("Asia/Kolkata", "00:00-01:00", 1_800_037_740, false),
        // Half an hour of summer time, until Sunday 2027-04-04 at 02:00.
        ("Australia/Lord_Howe", "02:00-02:30", 1_806_764_340, false),
        ("America/New_York", "02:00-03:00", 1_814_682_600, true),
        // By the rule that is in force, far ahead.
        ("Europe/Berlin", "08:00-09:00", 4_086_569_400, true),
    ] {
        let window = hours(&format!("hours: '{from}', zone: {zone}"));
        assert_eq!(window.holds(unix_s), holds, "{zone} {from} {unix_s}");
    }
}

#[test]
fn a_night_belongs_to_the_day_it_began_on() {
    // 1_800_000_000 is Friday, 2027-01-15, 08:00 UTC.
    let night = hours("days: fri, hours: '22:00-06:00'");
    let friday = 1_799_971_200;
    for (after_hours, holds) in [
        (3, false),
        (21, false),
        (22, true),
        (24, true),
        (29, true),
        (30, false),
        (46, false),
    ] {
        assert_eq!(
            night.holds(friday + after_hours * 3_600),
            holds,
            "{after_hours} hours into Friday"
        );
    }
    let over_the_week_end = hours("days: [ fri-mon, wed ]");
    let days = (0..7).map(|day| over_the_week_end.holds(friday + day * 86_400));
    assert_eq!(days.collect::<Vec<_>>(), [true, true, true, true, false, true, false]);
}

#[test]
fn what_is_said_is_read() {
    let when = read(
        "features: [ vision, tools ], without: [ thinking ], min_tokens: 10, max_tokens: 20, max_cost: '0.02 USD'",
    );
    let when = when.expect("it is right");
    assert!(when.features.contains(Feature::Vision) && when.features.contains(Feature::Tools));
    assert!(!when.features.contains(Feature::Thinking) && when.without.contains(Feature::Thinking));
    assert_eq!((when.min_tokens, when.max_tokens), (Some(10), Some(20)));
    assert_eq!(when.max_cost.map(|most| most.0), Some(20_000_000));
    assert_eq!(when.hours, None);
}

#[test]
fn every_way_to_write_it_wrong() {
    for (rest, expected) in [
        (
            "features: [ visoin ]",
            "/features/0: `visoin` is not a feature; did you mean `vision`?",
        ),
        (
            "features: tools",
            "/features: `tools` is not a list of features; [ vision, tools ]",
        ),
        (
            "features: [ tools ], without: [ tools ]",
            ": `features` and `without` have one in common: no call fits; each of them in one list",
        ),
        (
            "min_tokens: 5, max_tokens: 4",
            ": `min_tokens` is larger than `max_tokens`: no call fits; min_tokens up to max_tokens",
        ),
        (
            "max_tokens: 0",
            "/max_tokens: `0` is not a number that fits here; a whole number from 1 to 1000000000",
        ),
        (
            "max_cost: 0.02",
            "/max_cost: `0.02` is not an amount of money; more than nothing, such as \"0.02 USD\"",
        ),
        (
            "max_cost: '0 USD'",
            "/max_cost: `0 USD` is not an amount of money; more than nothing, such as \"0.02 USD\"",
        ),
        (
            "hours: '8-18'",
            "/hours: `8-18` is not hours of a day; two times of the day, such as \"08:00-18:00\" or \"22:00-06:00\"",
        ),
        (
            "hours: '08:00-24:01'",
            "/hours: `08:00-24:01` is not hours of a day; two times of the day, such as \"08:00-18:00\" or \"22:00-06:00\"",
        ),
        (
            "hours: '08:00-08:00'",
            "/hours: `08:00-08:00` is not hours of a day; two times of the day, such as \"08:00-18:00\" or \"22:00-06:00\"",
        ),
        (
            "days: weekend",
            "/days: `weekend` is not days; mon to sun, or a span such as mon-fri, or a list of such",
        ),
        (
            "days: []",
            "/days: a list is not days; at least one, such as [ sat, sun ]",
        ),
        (
            "zone: Europe/Berlin",
            "/zone: `zone` without `hours` or `days` says nothing; `hours` or `days` beside it",
        ),
        (
            "days: mon, zone: Europe/Berln",
            "/zone: `Europe/Berln` is not a time zone; did you mean `Europe/Berlin`?",
        ),
        ("margin: 10", "/margin: `10` is not a share; 0% to 100%"),
        (
            "spent_share: 80%",
            "/spent_share: `80%` is not a map; a map of above, below, of, unit, per",
        ),
        (
            "spent_share: { of: key }",
            "/spent_share: it names no share; above: 80%, or below: 80%",
        ),
        (
            "spent_share: { above: 0% }",
            "/spent_share/above: `0%` is not a share; 1% to 100%",
        ),
        (
            "spent_share: { above: 90%, below: 80% }",
            "/spent_share: `above` is not smaller than `below`: no call fits; above less than below",
        ),
        (
            "spent_share: { above: 80%, of: teem }",
            "/spent_share/of: `teem` is not anybody's limit; did you mean `team`?",
        ),
        (
            "spent_share: { above: 80%, unit: concurrent }",
            "/spent_share/unit: `concurrent` is not a unit; one of budget, tokens, input_tokens, output_tokens, requests",
        ),
        (
            "spent_share: { above: 80%, per: fortnight }",
            "/spent_share/per: `fortnight` is not a period; a period such as 1s, 1m or 1h, or day, week, month, quarter \
             or year of the calendar",
        ),
        (
            "spent_share: { above: 80%, of: team, per: month }",
            "/spent_share: no limit of a team counts `budget` in this period: its share is always 0%; a limit of `budget` \
             in the team's `limits`, or another `of`, `unit` or `per`",
        ),
    ] {
        assert_eq!(read(rest).expect_err(rest), expected, "{rest}");
    }
}

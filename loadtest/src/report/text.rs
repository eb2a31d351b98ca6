//! The result as plain text, for a terminal or a log: validity first. Knows no colours and no width but its own.

use std::io::{self, Write};

use super::{
    Measured, Outcome, Percentiles, Report,
    format::{bytes, chosen, clock, count, number, share, span},
    frontier::{Frontier, Held},
    without_secrets,
};

const RULE: &str = "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!";

pub fn write(measured: &Measured, to: &mut impl Write) -> io::Result<()> {
    let report = &measured.report;
    if let Some(warning) = report.warning() {
        writeln!(to, "{RULE}\n{warning}")?;
        writeln!(
            to,
            "What follows says more of the generator than of the target.\n{RULE}\n"
        )?;
    }
    write_run(report, to)?;
    write_totals(&report.total, report.seconds, to)?;
    write_times(&report.total, to)?;
    write_classes(measured, to)?;
    write_costs(report, to)
}

fn write_run(report: &Report, to: &mut impl Write) -> io::Result<()> {
    writeln!(to, "{}\n", report.loop_in_words())?;
    field("target", &shown(&without_secrets(&report.url)), to)?;
    field("mix", &shown(&report.mix), to)?;
    let wanted = report
        .wanted_rate
        .map(|rate| format!("{} requests/s wanted, ", number(rate)))
        .unwrap_or_default();
    let load = format!("{wanted}{} connections", count(report.connections));
    field("load", &load, to)?;
    let ended = if report.interrupted {
        ", interrupted: results so far"
    } else {
        ""
    };
    let ran = format!("{}{ended}, from {}", span(report.seconds), shown(&report.began));
    field("ran", &ran, to)
}

fn write_totals(total: &Outcome, seconds: f64, to: &mut impl Write) -> io::Result<()> {
    writeln!(to)?;
    field("sent", &count(total.sent), to)?;
    let answered = format!("{:<14} {}/s", count(total.answered), number(total.rate));
    field("answered", &answered, to)?;
    let failed = total.failed.all();
    match failed {
        0 => field("failed", "0", to)?,
        _ => {
            let reasons: Vec<String> = total
                .failed
                .by_reason()
                .into_iter()
                .filter(|(_, failures)| *failures > 0)
                .map(|(reason, failures)| format!("{reason} {}", count(failures)))
                .collect();
            let all = format!("{} ({})", count(failed), share(total.failed_share()));
            field("failed", &format!("{all:<14} {}", reasons.join(", ")), to)?;
        }
    }
    if total.left > 0 {
        field("left", &format!("{} clients, on purpose", count(total.left)), to)?;
    }
    field("verified", &format!("{} by checksum", count(total.verified)), to)?;
    if total.streams > 0 {
        let streams = format!("{:<14} {} events", count(total.streams), count(total.stream_events));
        field("streams", &streams, to)?;
    }
    let sent = format!("{} out ({})", bytes(total.bytes_sent), pace(total.bytes_sent, seconds));
    let received = format!(
        "{} in ({})",
        bytes(total.bytes_received),
        pace(total.bytes_received, seconds)
    );
    field("traffic", &format!("{sent}, {received}"), to)
}

fn pace(moved: u64, seconds: f64) -> String {
    match seconds > 0.0 {
        true => format!("{}/s", bytes((moved as f64 / seconds) as u64)),
        false => "–".to_owned(),
    }
}

fn write_times(total: &Outcome, to: &mut impl Write) -> io::Result<()> {
    let heads = ["ms", "p50", "p90", "p99", "p99.9", "p99.99", "max", "mean", "count"];
    let rows = total.times().into_iter().map(|(name, times)| {
        let mut row = vec![name.to_owned()];
        row.extend(six(times).map(number));
        row.extend([number(times.mean), count(times.count)]);
        row
    });
    write_table(&heads, rows.collect(), to)
}

fn six(times: &Percentiles) -> [f64; 6] {
    [times.p50, times.p90, times.p99, times.p999, times.p9999, times.max]
}

fn write_classes(measured: &Measured, to: &mut impl Write) -> io::Result<()> {
    if measured.report.classes.len() < 2 {
        return Ok(());
    }
    let heads = [
        "class",
        "sent",
        "answered",
        "failed",
        "per s",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
        "token p99",
        "gap p99",
    ];
    let rows = measured.outcomes().into_iter().map(|(name, class)| {
        let of_streams = |times: &Percentiles| match times.count {
            0 => String::new(),
            _ => number(times.p99),
        };
        let latency = &class.latency_ms;
        let mut row = vec![
            shown(name),
            count(class.sent),
            count(class.answered),
            count(class.failed.all()),
            number(class.rate),
        ];
        row.extend([latency.p50, latency.p90, latency.p99, latency.p999, latency.max].map(number));
        row.extend([of_streams(&class.first_token_ms), of_streams(&class.token_gap_ms)]);
        row
    });
    write_table(&heads, rows.collect(), to)
}

fn write_costs(report: &Report, to: &mut impl Write) -> io::Result<()> {
    writeln!(to)?;
    if let Some(watched) = &report.watched {
        let cores = match report.seconds > 0.0 {
            true => format!(" ({} cores)", number(watched.cpu_seconds / report.seconds)),
            false => String::new(),
        };
        let cpu = format!(
            "{} µs CPU a request, {} s CPU{cores}",
            number(watched.cpu_us_per_request),
            number(watched.cpu_seconds)
        );
        let rss = format!(
            "{} MiB before, {} at most, {} after",
            number(watched.rss_mib_before),
            number(watched.rss_mib_peak),
            number(watched.rss_mib_after)
        );
        field("watched", &format!("pid {} and its children: {cpu}", watched.pid), to)?;
        field("", &format!("resident memory {rss}"), to)?;
    }
    let generator = &report.generator;
    let cost = format!(
        "{} {}, {} µs CPU a request, busiest at {} of a core",
        count(generator.threads),
        if generator.threads == 1 { "thread" } else { "threads" },
        number(generator.cpu_us_per_request),
        share(generator.busiest_thread)
    );
    field("generator", &cost, to)?;
    let late = &report.late_ms;
    let late = format!(
        "late by {} ms at p50, {} at p99, {} at most",
        number(late.p50),
        number(late.p99),
        number(late.max)
    );
    field("", &late, to)
}

/// A sweep's frontier.
pub fn write_frontier(frontier: &Frontier, to: &mut impl Write) -> io::Result<()> {
    field("target", &shown(&without_secrets(&frontier.url)), to)?;
    field("mix", &shown(&frontier.mix), to)?;
    let windows = format!(
        "{} of {} each, from {}",
        count(frontier.tried.len() as u64),
        clock(frontier.window_seconds),
        shown(&frontier.began)
    );
    field("windows", &windows, to)?;
    if frontier.interrupted {
        writeln!(to, "\nInterrupted: what was found so far.")?;
    }
    let heads = ["p99 under", "requests/s", "lowest", "highest", "spread", "limited by"];
    write_held(&heads, &frontier.requests, to)?;
    let heads = ["p99 gap under", "streams", "lowest", "highest", "spread", "limited by"];
    write_held(&heads, &frontier.streams, to)?;
    let floors = frontier.requests.iter().chain(&frontier.streams);
    if floors.into_iter().any(|held| held.limited_by == "generator") {
        writeln!(
            to,
            "\nLimited by the generator: the target may hold more. Give the generator more threads or machines."
        )?;
    }
    Ok(())
}

fn write_held(heads: &[&str], bounds: &[Held], to: &mut impl Write) -> io::Result<()> {
    if bounds.is_empty() {
        return Ok(());
    }
    let rows = bounds.iter().map(|held| {
        let or_none = |value: Option<f64>| value.map_or("none".to_owned(), number);
        vec![
            format!("{} ms", chosen(held.bound_ms)),
            or_none(held.median()),
            or_none(held.lowest()),
            or_none(held.highest()),
            held.spread().map_or("–".to_owned(), share),
            shown(&held.limited_by),
        ]
    });
    write_table(heads, rows.collect(), to)
}

/// Names come from users: no control character reaches a terminal.
fn shown(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { '\u{fffd}' } else { letter })
        .collect()
}

fn field(name: &str, value: &str, to: &mut impl Write) -> io::Result<()> {
    writeln!(to, "  {}", format!("{name:<10} {value}").trim_end())
}

/// Columns as wide as their widest cell; the first to the left, numbers to the right.
fn write_table(heads: &[&str], rows: Vec<Vec<String>>, to: &mut impl Write) -> io::Result<()> {
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let mut widths = vec![0; heads.len()];
    for row in rows.iter().chain([&heads]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    writeln!(to)?;
    for row in [&heads].into_iter().chain(&rows) {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => line += &format!("  {cell:<width$}"),
                _ => line += &format!("  {cell:>width$}"),
            }
        }
        writeln!(to, "{}", line.trim_end())?;
    }
    Ok(())
}

//! The page of a run: validity, headline figures, plots, tables. Knows what is said in which order, not how it is drawn.

use super::{
    super::{
        Measured, Outcome, Percentiles, Report,
        format::{bytes, count, duration, number, share, span},
        without_secrets,
    },
    page::{Page, Table, Tile, Tone},
    run_plots,
};

pub fn page(measured: &Measured) -> Page {
    let report = &measured.report;
    let mut page = Page::new(&without_secrets(&report.url), "Load test", &facts(report));
    banners(report, &mut page);
    page.tiles(&tiles(report));
    if !measured.total.latency.is_empty() {
        page.heading("Latency");
        page.plot(&run_plots::latency(measured));
        page.plot(&run_plots::parts(measured));
        page.table(&times_table(&report.total));
    }
    let over_time = run_plots::over_time(report);
    if !over_time.is_empty() {
        page.heading("Over time");
    }
    over_time.iter().for_each(|plot| page.plot(plot));
    if let Some(plot) = run_plots::gaps(measured) {
        page.heading("Streams");
        page.plot(&plot);
    }
    page.heading("Classes");
    page.table(&counts_table(measured));
    page.table(&class_times_table(measured));
    if let Some(table) = stream_table(measured) {
        page.table(&table);
    }
    page.heading("Cost");
    page.table(&cost_table(report));
    page.heading("How to read this");
    page.paragraph(reading(report));
    page.paragraph(
        "A percentile of 99 % means that one request in a hundred took longer. The gateway's share is what it says of \
         itself in server-timing. Failed requests count once, by the first thing that went wrong: status (not 2xx), \
         connect, timeout, cut (ended before it was whole), content (not what its checksum says).",
    );
    page
}

fn facts(report: &Report) -> Vec<String> {
    let wanted = report
        .wanted_rate
        .map(|rate| format!("{} requests/s wanted", number(rate)));
    [
        Some(format!("{} loop", report.load_loop)),
        wanted,
        Some(format!("{} connections", count(report.connections))),
        Some(format!("{} long", span(report.seconds))),
        (!report.mix.is_empty()).then(|| format!("mix {}", report.mix)),
        (!report.began.is_empty()).then(|| format!("began {}", report.began)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn banners(report: &Report, page: &mut Page) {
    match report.warning() {
        Some(warning) => page.banner(
            Tone::Bad,
            &capital(&warning),
            "The figures below say more of the generator than of the target.",
        ),
        None => page.banner(
            Tone::Good,
            "Valid.",
            &format!(
                "The generator kept up: it was late by {} at p99 and by {} at most.",
                duration(report.late_ms.p99),
                duration(report.late_ms.max)
            ),
        ),
    }
    if report.total.answered == 0 {
        page.banner(Tone::Bad, "No request was answered.", "There are no times to show.");
    }
    if report.interrupted {
        page.banner(
            Tone::Warning,
            "Interrupted.",
            &format!(
                "The run was ended after {}: these are the results so far.",
                span(report.seconds)
            ),
        );
    }
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

fn tiles(report: &Report) -> Vec<Tile> {
    let total = &report.total;
    let mut tiles = vec![rate_tile(report), failures_tile(total)];
    let latency = &total.latency_ms;
    let mean = format!("mean {}", duration(latency.mean));
    tiles.push(time_tile("Latency, p50", latency.p50, mean));
    let nine_of_ten = format!("p90 {}", duration(latency.p90));
    tiles.push(time_tile("Latency, p99", latency.p99, nine_of_ten));
    let longest = format!("longest {}", duration(latency.max));
    tiles.push(time_tile("Latency, p99.9", latency.p999, longest));
    let streams = [
        ("First token, p99", &total.first_token_ms),
        ("Token gap, p99", &total.token_gap_ms),
        ("Gateway's share, p99", &total.gateway_ms),
    ];
    for (name, times) in streams.into_iter().filter(|(_, times)| times.count > 0) {
        tiles.push(time_tile(name, times.p99, format!("p50 {}", duration(times.p50))));
    }
    if let Some(watched) = &report.watched {
        tiles.push(Tile {
            label: "CPU a request".to_owned(),
            value: number(watched.cpu_us_per_request),
            unit: "µs".to_owned(),
            note: format!("memory {} MiB at most", number(watched.rss_mib_peak)),
            tone: Tone::Plain,
        });
    }
    tiles
}

fn rate_tile(report: &Report) -> Tile {
    let note = match report.wanted_rate {
        Some(wanted) => format!("of {} wanted", number(wanted)),
        None => format!("{} in all", count(report.total.answered)),
    };
    Tile {
        label: "Answered".to_owned(),
        value: number(report.total.rate),
        unit: "/s".to_owned(),
        note,
        tone: Tone::Plain,
    }
}

fn failures_tile(total: &Outcome) -> Tile {
    let failed = total.failed.all();
    let reasons: Vec<String> = total
        .failed
        .by_reason()
        .into_iter()
        .filter(|(_, failures)| *failures > 0)
        .map(|(reason, failures)| format!("{reason} {}", count(failures)))
        .collect();
    Tile {
        label: "Failed".to_owned(),
        value: count(failed),
        unit: if failed > 0 {
            share(total.failed_share())
        } else {
            String::new()
        },
        note: match failed {
            0 => format!("of {}", count(total.sent)),
            _ => reasons.join(", "),
        },
        tone: if failed > 0 { Tone::Bad } else { Tone::Plain },
    }
}

fn time_tile(label: &str, ms: f64, note: String) -> Tile {
    let text = duration(ms);
    let (value, unit) = text.split_once(' ').unwrap_or((&text, ""));
    Tile {
        label: label.to_owned(),
        value: value.to_owned(),
        unit: unit.to_owned(),
        note,
        tone: Tone::Plain,
    }
}

const PERCENTILES: [&str; 9] = ["", "p50", "p90", "p99", "p99.9", "p99.99", "max", "mean", "count"];

fn percentile_row(name: &str, times: &Percentiles) -> Vec<String> {
    let values = [
        times.p50,
        times.p90,
        times.p99,
        times.p999,
        times.p9999,
        times.max,
        times.mean,
    ];
    let mut row = vec![name.to_owned()];
    match times.count {
        0 => row.extend(values.map(|_| "–".to_owned())),
        _ => row.extend(values.map(number)),
    }
    row.push(count(times.count));
    row
}

fn times_table(total: &Outcome) -> Table {
    let mut table = Table::new("All requests, milliseconds", &PERCENTILES);
    for (name, times) in total.times() {
        table.row(percentile_row(name, times));
    }
    table
}

fn class_times_table(measured: &Measured) -> Table {
    let mut heads = PERCENTILES;
    heads[0] = "Class";
    let mut table = Table::new("Latency by class, milliseconds", &heads);
    for (name, class) in measured.outcomes() {
        table.row(percentile_row(name, &class.latency_ms));
    }
    table.row(percentile_row("in total", &measured.report.total.latency_ms));
    table
}

fn counts_table(measured: &Measured) -> Table {
    let heads = [
        "Class", "sent", "answered", "per s", "verified", "failed", "status", "connect", "timeout", "cut", "content",
    ];
    let mut table = Table::new("Requests by class, failures by reason", &heads);
    let total = [("in total", &measured.report.total)];
    for (name, class) in measured.outcomes().into_iter().chain(total) {
        let mut row = vec![
            name.to_owned(),
            count(class.sent),
            count(class.answered),
            number(class.rate),
            count(class.verified),
            count(class.failed.all()),
        ];
        row.extend(class.failed.by_reason().map(|(_, failures)| count(failures)));
        table.row(row);
    }
    table
}

fn stream_table(measured: &Measured) -> Option<Table> {
    let heads = [
        "Class",
        "streams",
        "events",
        "first token p50",
        "p99",
        "max",
        "gap p50",
        "p99",
        "max",
    ];
    let mut table = Table::new("Streams by class, milliseconds", &heads);
    let streaming = measured.outcomes().into_iter().filter(|(_, class)| class.streams > 0);
    for (name, class) in streaming {
        let mut row = vec![name.to_owned(), count(class.streams), count(class.stream_events)];
        for times in [&class.first_token_ms, &class.token_gap_ms] {
            row.extend([times.p50, times.p99, times.max].map(number));
        }
        table.row(row);
    }
    (!table.rows.is_empty()).then_some(table)
}

fn cost_table(report: &Report) -> Table {
    let mut table = Table::new("What was used", &["", "CPU a request", "CPU", "memory", "also"]).words(4);
    if let Some(watched) = &report.watched {
        let cores = match report.seconds > 0.0 {
            true => format!("{} cores", number(watched.cpu_seconds / report.seconds)),
            false => "–".to_owned(),
        };
        let memory = format!(
            "{} → {} MiB",
            number(watched.rss_mib_before),
            number(watched.rss_mib_after)
        );
        table.row(vec![
            format!("watched, pid {} and its children", watched.pid),
            format!("{} µs", number(watched.cpu_us_per_request)),
            cores,
            memory,
            format!("memory at most {} MiB", number(watched.rss_mib_peak)),
        ]);
    }
    let generator = &report.generator;
    let threads = match generator.threads {
        1 => "1 thread".to_owned(),
        threads => format!("{} threads", count(threads)),
    };
    let traffic = format!(
        "{threads}; {} out, {} in",
        bytes(report.total.bytes_sent),
        bytes(report.total.bytes_received)
    );
    table.row(vec![
        "the generator".to_owned(),
        format!("{} µs", number(generator.cpu_us_per_request)),
        format!("busiest at {} of a core", share(generator.busiest_thread)),
        "–".to_owned(),
        traffic,
    ]);
    table
}

fn reading(report: &Report) -> &'static str {
    match report.load_loop.as_str() {
        "closed" => {
            "Closed loop: each connection sent its next request when the last was answered, and latency counts from \
             when a request was sent. A target that stalls is then asked less, so its stalls weigh less than its users \
             would feel; use --rate to see those."
        }
        _ => {
            "Open loop: requests were due at times that do not depend on answers, and latency counts from when a \
             request was due. A stall of the target is felt by all that were due meanwhile, as its users would."
        }
    }
}

//! The page of a sweep: the highest load held under each bound, with its spread. Knows not how it was searched.

use super::{
    super::{
        format::{chosen, clock, count, duration, number, share},
        frontier::{Frontier, Held, Tried},
        without_secrets,
    },
    page::{Page, Table, Tile, Tone},
    plot::{Axis, Plot, Series, Shape},
};

/// What the loads and bounds of one kind of sweep are called.
struct Kind {
    streams: bool,
    heading: &'static str,
    load: &'static str,
    unit: &'static str,
    bound: &'static str,
    short: &'static str,
}

const REQUESTS: Kind = Kind {
    streams: false,
    heading: "Requests a second",
    load: "requests/s",
    unit: "/s",
    bound: "p99 latency",
    short: "p99",
};

const STREAMS: Kind = Kind {
    streams: true,
    heading: "Streams at once",
    load: "streams",
    unit: "streams",
    bound: "p99 gap between tokens",
    short: "p99 gap",
};

pub fn page(frontier: &Frontier) -> Page {
    let facts = [
        format!("mix {}", frontier.mix),
        format!("{} windows of {}", frontier.tried.len(), clock(frontier.window_seconds)),
        format!("began {}", frontier.began),
    ];
    let mut page = Page::new(&without_secrets(&frontier.url), "Sweep", &facts);
    banners(frontier, &mut page);
    let mut tiles: Vec<Tile> = frontier.requests.iter().map(|held| tile(held, &REQUESTS)).collect();
    tiles.extend(frontier.streams.iter().map(|held| tile(held, &STREAMS)));
    page.tiles(&tiles);
    for (kind, bounds) in [(&REQUESTS, &frontier.requests), (&STREAMS, &frontier.streams)] {
        if bounds.is_empty() {
            continue;
        }
        page.heading(kind.heading);
        page.plot(&frontier_plot(bounds, kind));
        page.table(&held_table(bounds, kind));
        let tried: Vec<&Tried> = frontier
            .tried
            .iter()
            .filter(|tried| tried.streams == kind.streams)
            .collect();
        if !tried.is_empty() {
            page.plot(&tried_plot(&tried, bounds, kind));
        }
    }
    page.heading("How to read this");
    page.paragraph(
        "Each figure is the highest load that kept its bound with no failure for a whole window, found anew in each \
         window by raising and then halving the step. The figure quoted is the median of the windows; the spread is \
         the distance between the lowest and the highest of them. Limited by the generator means that the target may \
         hold more than was sent.",
    );
    page
}

fn banners(frontier: &Frontier, page: &mut Page) {
    let all = || frontier.requests.iter().chain(&frontier.streams);
    let floors = all().filter(|held| held.limited_by == "generator").count();
    if floors > 0 {
        page.banner(
            Tone::Warning,
            "Floors, not limits.",
            &format!(
                "For {floors} of {} bounds the generator was the bottleneck: the target may hold more.",
                all().count()
            ),
        );
    }
    if frontier.interrupted {
        page.banner(Tone::Warning, "Interrupted.", "This is what was found so far.");
    }
}

fn tile(held: &Held, kind: &Kind) -> Tile {
    let floor = held.limited_by == "generator";
    let spread = match (held.lowest(), held.highest()) {
        (Some(low), Some(high)) => format!("{} to {}", number(low), number(high)),
        _ => "not even the lowest load".to_owned(),
    };
    Tile {
        label: format!("{} under {} ms", kind.short, chosen(held.bound_ms)),
        value: match held.median() {
            Some(median) if floor => format!("≥ {}", number(median)),
            Some(median) => number(median),
            None => "none".to_owned(),
        },
        unit: kind.unit.to_owned(),
        note: spread,
        tone: if floor { Tone::Warning } else { Tone::Plain },
    }
}

/// The load held against the bound: dots at the medians, with their spread.
fn frontier_plot(bounds: &[Held], kind: &Kind) -> Plot {
    let mut reached: Vec<(f64, f64, f64, f64)> = bounds
        .iter()
        .filter_map(|held| Some((held.bound_ms, held.lowest()?, held.median()?, held.highest()?)))
        .collect();
    reached.sort_by(|a, b| a.0.total_cmp(&b.0));
    let x = Axis::log(
        &format!("bound of the {}, ms", kind.bound),
        bounds
            .iter()
            .flat_map(|held| [held.bound_ms / 1.3, held.bound_ms * 1.3]),
    );
    let y = Axis::linear(kind.load, reached.iter().map(|(.., high)| *high));
    let band = reached.iter().map(|(x, low, _, high)| (*x, *low, *high)).collect();
    let line = reached.iter().map(|(x, _, median, _)| (*x, *median)).collect();
    let plot = Plot::new(&format!("Highest load by bound: {}", kind.load), x, y)
        .about(
            "Median of the windows, and the span between the lowest and the highest; the bound's scale is logarithmic.",
        )
        .height(340.0)
        .add(Series::new("lowest to highest", Shape::Band(band)).colour(1))
        .add(Series::new("between the bounds", Shape::Line(line)).colour(1).dashed())
        .add(Series::new("median", Shape::Spreads(reached)).colour(1));
    bounds.iter().fold(plot, |plot, held| {
        let bound = format!("{} under {} ms", kind.bound, chosen(held.bound_ms));
        let text = match (held.median(), held.spread()) {
            (Some(median), Some(spread)) => {
                format!("{bound}\n{} {}, spread {}", number(median), kind.load, share(spread))
            }
            _ => format!("{bound}: never"),
        };
        plot.column(held.bound_ms, text)
    })
}

/// Every window that was run: what load gave what p99.
fn tried_plot(tried: &[&Tried], bounds: &[Held], kind: &Kind) -> Plot {
    let point = |tried: &&&Tried| (tried.load, tried.p99_ms, tried.p99_ms, tried.p99_ms);
    let sets = [
        (
            "no failure",
            1,
            tried
                .iter()
                .filter(|tried| tried.valid && tried.failed == 0)
                .map(|one| point(&one))
                .collect::<Vec<_>>(),
        ),
        (
            "with failures",
            2,
            tried
                .iter()
                .filter(|tried| tried.valid && tried.failed > 0)
                .map(|one| point(&one))
                .collect(),
        ),
        (
            "generator late",
            5,
            tried
                .iter()
                .filter(|tried| !tried.valid)
                .map(|one| point(&one))
                .collect(),
        ),
    ];
    let x = Axis::linear(kind.load, tried.iter().map(|tried| tried.load));
    // Room above the highest for its name.
    let bound_values = bounds.iter().map(|held| held.bound_ms * 1.6);
    let y = Axis::log("p99, ms", tried.iter().map(|tried| tried.p99_ms).chain(bound_values));
    let plot = Plot::new(&format!("Every window: {}", kind.load), x, y)
        .about("The p99 that each load gave; the lines are the bounds. Logarithmic scale.")
        .height(340.0);
    let plot = bounds.iter().fold(plot, |plot, held| {
        plot.level(held.bound_ms, &format!("{} ms", chosen(held.bound_ms)))
    });
    let plot = sets
        .into_iter()
        .filter(|(_, _, points)| !points.is_empty())
        .fold(plot, |plot, (name, colour, points)| {
            plot.add(Series::new(name, Shape::Spreads(points)).colour(colour))
        });
    tried.iter().fold(plot, |plot, one| {
        let text = format!(
            "{} {}\np99 {}, failed {}",
            number(one.load),
            kind.load,
            duration(one.p99_ms),
            count(one.failed)
        );
        plot.column(one.load, text)
    })
}

fn held_table(bounds: &[Held], kind: &Kind) -> Table {
    let heads = [
        "Bound",
        kind.load,
        "lowest",
        "highest",
        "spread",
        "windows",
        "limited by",
    ];
    let mut table = Table::new(&format!("Highest load with the {} under its bound", kind.bound), &heads).words(6);
    for held in bounds {
        let or_none = |value: Option<f64>| value.map_or("none".to_owned(), number);
        table.row(vec![
            format!("{} ms", chosen(held.bound_ms)),
            or_none(held.median()),
            or_none(held.lowest()),
            or_none(held.highest()),
            held.spread().map_or("–".to_owned(), share),
            held.windows.len().to_string(),
            held.limited_by.clone(),
        ]);
    }
    table
}

//! A plan as a page that opens offline: what it takes, and each resource's utilisation as the demand grows. Knows a
//! plan's shape and how pages are put together.

use super::{
    figure::Figure,
    resources::Utilisation,
    sizing::Plan,
    text::{self, Legend},
};
use crate::report::html::{
    page::{Page, Table, Tile, Tone},
    plot::{Axis, Plot, Series, Shape},
};

pub fn page(plan: &Plan) -> Page {
    let mut legend = Legend::default();
    let facts = [
        format!("demand {}", plan.demand),
        match plan.measurements.is_empty() {
            true => "nothing measured: defaults".to_owned(),
            false => format!("measured {}", plan.measurements.join(", ")),
        },
        plan.machines.join("; "),
    ];
    let facts: Vec<String> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
    let mut page = Page::new(
        &format!("{} calls a day", text::number(plan.calls_per_day)),
        "Plan",
        &facts,
    );
    banners(plan, &mut page);
    page.tiles(&tiles(plan));
    page.heading("As the demand grows");
    page.plot(&growth_plot(plan));
    for section in text::sections(plan, &mut legend) {
        page.heading(section.title);
        page.table(&table(&section.table));
    }
    page.heading("Scale over shards");
    page.paragraph(&format!("{}.", plan.scale.told()));
    for (title, lines) in [("Sources", &legend.lines()), ("Notes", &plan.notes)] {
        if !lines.is_empty() {
            page.heading(title);
            for line in lines {
                page.paragraph(&format!("{line}."));
            }
        }
    }
    page
}

fn banners(plan: &Plan, page: &mut Page) {
    if plan.measurements.is_empty() {
        page.banner(
            Tone::Warning,
            "Nothing was measured.",
            "Every cost is a default; measure on your own machine.",
        );
    }
    for beyond in &plan.beyond {
        page.banner(Tone::Warning, "Extrapolated.", &beyond.told());
    }
}

fn tiles(plan: &Plan) -> Vec<Tile> {
    let first = &plan.breaks_first;
    let tile = |label: &str, value: String, unit: &str, note: String| Tile {
        label: label.to_owned(),
        value,
        unit: unit.to_owned(),
        note,
        tone: Tone::Plain,
    };
    let of = |name: &str| {
        plan.figures
            .iter()
            .find(|figure| figure.name == name)
            .map_or(0.0, |figure: &Figure| figure.value)
    };
    vec![
        tile(
            "Nodes",
            text::number(plan.nodes as f64),
            "",
            format!("{} of them redundant", plan.redundant_nodes),
        ),
        tile(
            "Shards",
            text::number(plan.shards as f64),
            "",
            format!("{} a node", of("shards a node")),
        ),
        tile(
            "At peak",
            text::number(of("calls at peak")),
            "calls/s",
            format!("{:.1} µs of CPU each", of("CPU of a call, mean")),
        ),
        tile(
            "Breaks first",
            first.resource.to_owned(),
            "",
            format!(
                "at {:.2} × peak, {} calls a day",
                first.times_peak,
                text::number(first.calls_per_day)
            ),
        ),
        tile(
            "Provider connections",
            text::number(of("provider connections")),
            "",
            "at peak, all nodes".to_owned(),
        ),
    ]
}

/// Utilisation of each resource, with the redundant nodes lost, against the demand.
fn growth_plot(plan: &Plan) -> Plot {
    const STEPS: u32 = 24;
    const HIGHEST: f64 = 120.0;
    let until = (plan.breaks_first.times_peak * 1.5).clamp(1.5, 100.0);
    let at = |step: u32| until * f64::from(step) / f64::from(STEPS);
    let x = Axis::between("times the planned peak", 0.0, until);
    let y = Axis::between("% used, redundant nodes lost", 0.0, HIGHEST);
    let mut plot = Plot::new("What is used of a node", x, y)
        .about("Each line is a resource; where the first of them crosses 100 %, the fleet has reached its end.")
        .level(100.0, "exhausted")
        .moment(1.0, "planned peak")
        .moment(plan.breaks_first.times_peak, plan.breaks_first.resource);
    let percent = |one: &Utilisation, times: f64| one.at(times) * 100.0;
    for one in &plan.resources {
        let line = (0..=STEPS)
            .map(|step| (at(step), percent(one, at(step)).min(120.0)))
            .collect();
        plot = plot.add(Series::new(one.name, Shape::Line(line)));
    }
    for step in 0..=STEPS {
        let mut lines = vec![format!("{:.2} × peak", at(step))];
        lines.extend(
            plan.resources
                .iter()
                .map(|one| format!("{}: {:.1} %", one.name, percent(one, at(step)))),
        );
        plot = plot.column(at(step), lines.join("\n"));
    }
    plot
}

fn table(rows: &[Vec<String>]) -> Table {
    let heads: Vec<&str> = rows
        .first()
        .map_or_else(Vec::new, |heads| heads.iter().map(String::as_str).collect());
    let mut table = Table::new("", &heads);
    for column in (0..heads.len()).filter(|column| !text::is_of_numbers(rows, *column)) {
        table = table.words(column);
    }
    for row in rows.iter().skip(1) {
        table.row(row.clone());
    }
    table
}

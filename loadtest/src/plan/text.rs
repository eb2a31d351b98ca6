//! A plan as Markdown, which reads as well on a terminal: tables with their columns aligned. Knows a plan's shape only.

use super::{
    defaults::{GIB, KIB, MIB},
    figure::{Source, Sources},
    resources::Utilisation,
    sizing::Plan,
};
use crate::report::format;

pub fn render(plan: &Plan) -> String {
    let mut legend = Legend::default();
    let mut parts = vec![summary(plan)];
    for section in sections(plan, &mut legend) {
        parts.push(format!("**{}**\n\n{}", section.title, markdown(&section.table)));
    }
    for (title, lines) in [("Sources", &legend.lines()), ("Notes", &plan.notes)] {
        if !lines.is_empty() {
            let lines: Vec<String> = lines.iter().map(|line| format!("- {line}.")).collect();
            parts.push(format!("**{title}**\n\n{}", lines.join("\n")));
        }
    }
    parts.join("\n\n") + "\n"
}

/// A heading and the rows under it, the first of which names the columns.
pub struct Section {
    pub title: &'static str,
    pub table: Vec<Vec<String>>,
}

pub fn summary(plan: &Plan) -> String {
    let first = &plan.breaks_first;
    let redundant = match plan.redundant_nodes {
        0 => "none of them redundant".to_owned(),
        number => format!("{number} of them redundant"),
    };
    let measured = if plan.measurements.is_empty() {
        "defaults".to_owned()
    } else {
        plan.measurements.join(", ")
    };
    let machines = if plan.machines.is_empty() {
        String::new()
    } else {
        format!(" ({})", plan.machines.join("; "))
    };
    let mut told = format!(
        "{} calls a day need **{} nodes** ({redundant}) with **{} shards**. First to break is **{}**, at {:.2} times the \
         peak ({} calls a day) with the redundant nodes lost, at {:.2} times with all up.\n\nDemand: {}. Measured: \
         {measured}{machines}. Scale over shards: {}.",
        number(plan.calls_per_day),
        number(plan.nodes as f64),
        number(plan.shards as f64),
        first.resource,
        first.times_peak,
        number(first.calls_per_day),
        first.times_peak_all_up,
        plan.demand,
        plan.scale.told(),
    );
    if !plan.beyond.is_empty() {
        let beyond: Vec<String> = plan.beyond.iter().map(|one| format!("- {}", one.told())).collect();
        told += &format!(
            "\n\n**Extrapolated** beyond what was measured:\n\n{}",
            beyond.join("\n")
        );
    }
    told
}

pub fn sections(plan: &Plan, legend: &mut Legend) -> Vec<Section> {
    let mut sections = vec![
        Section {
            title: "What it takes",
            table: figures(plan, legend),
        },
        Section {
            title: "Utilisation of a node at peak",
            table: utilisation(plan, legend),
        },
        Section {
            title: "Memory of a node",
            table: memory(plan, legend),
        },
        Section {
            title: "Calls",
            table: classes(plan, legend),
        },
        Section {
            title: "CPU by kind of work",
            table: terms(plan, legend),
        },
    ];
    if !plan.cost.residuals.is_empty() {
        let title = "How well that fits the runs";
        sections.push(Section {
            title,
            table: residuals(plan, legend),
        });
    }
    sections
}

/// Short names for runs and defaults, numbered as they are met.
#[derive(Default)]
pub struct Legend {
    runs: Vec<String>,
    defaults: Vec<String>,
}

impl Legend {
    pub fn name(&mut self, sources: &Sources) -> String {
        let (mut demand, mut runs, mut defaults) = (Vec::new(), Vec::new(), Vec::new());
        for source in sources.iter() {
            match source {
                Source::Demand(key) => demand.push(key.split('.').next().unwrap_or(key)),
                Source::Measured(run) => runs.push(number_of(run, &mut self.runs)),
                Source::Default(what) => defaults.push(number_of(what, &mut self.defaults)),
            }
        }
        let demand = if demand.is_empty() {
            String::new()
        } else {
            format!("demand: {}", demand.join(", "))
        };
        let parts = [ranges('R', runs), ranges('D', defaults), demand];
        parts
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// What the short names stand for, a line each.
    pub fn lines(&self) -> Vec<String> {
        let runs = self
            .runs
            .iter()
            .enumerate()
            .map(|(at, run)| format!("R{}: measured in {run}", at + 1));
        let defaults = self
            .defaults
            .iter()
            .enumerate()
            .map(|(at, what)| format!("D{}: default, {what}", at + 1));
        runs.chain(defaults).collect()
    }
}

fn number_of(text: &str, known: &mut Vec<String>) -> usize {
    let at = known.iter().position(|one| one == text).unwrap_or_else(|| {
        known.push(text.to_owned());
        known.len() - 1
    });
    at + 1
}

/// `R1–R3, R5`.
fn ranges(letter: char, mut numbers: Vec<usize>) -> String {
    numbers.sort_unstable();
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let told = |(first, last): &(usize, usize)| match last - first {
        0 => format!("{letter}{first}"),
        1 => format!("{letter}{first}, {letter}{last}"),
        _ => format!("{letter}{first}–{letter}{last}"),
    };
    runs.iter().map(told).collect::<Vec<_>>().join(", ")
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn figures(plan: &Plan, legend: &mut Legend) -> Vec<Vec<String>> {
    let mut table = vec![row(["figure", "value", "source"])];
    for figure in &plan.figures {
        table.push(vec![
            figure.name.to_owned(),
            with_unit(figure.value, figure.unit),
            legend.name(&figure.sources),
        ]);
    }
    table
}

fn utilisation(plan: &Plan, legend: &mut Legend) -> Vec<Vec<String>> {
    let head = [
        "resource",
        "used",
        "of",
        "all up",
        "redundant lost",
        "exhausted at",
        "source",
    ];
    let mut table = vec![row(head)];
    let mut resources: Vec<&Utilisation> = plan.resources.iter().collect();
    resources.sort_by(|left, right| left.exhausted_at.total_cmp(&right.exhausted_at));
    for one in resources {
        // Of what is counted, the row's name says what.
        let counted = ["descriptors", "ports", "shards"].contains(&one.unit);
        let told = |value: f64| match counted {
            true if value < 100.0 => format!("{value:.2}"),
            true => number(value),
            false => with_unit(value, one.unit),
        };
        table.push(vec![
            one.name.to_owned(),
            told(one.used),
            told(one.capacity),
            percent(one.utilisation),
            percent(one.utilisation_degraded),
            times(one.exhausted_at),
            legend.name(&one.sources),
        ]);
    }
    table
}

fn memory(plan: &Plan, legend: &mut Legend) -> Vec<Vec<String>> {
    let mut table = vec![row(["memory", "value", "source"])];
    for figure in plan.memory.iter().filter(|figure| figure.value > 0.0) {
        table.push(vec![
            figure.name.to_owned(),
            bytes(figure.value),
            legend.name(&figure.sources),
        ]);
    }
    table
}

fn classes(plan: &Plan, legend: &mut Legend) -> Vec<Vec<String>> {
    let head = [
        "class",
        "kind",
        "calls/s",
        "events",
        "KB in",
        "KB out",
        "CPU µs",
        "in flight",
        "source",
    ];
    let mut table = vec![row(head)];
    for class in &plan.classes {
        table.push(vec![
            class.name.clone(),
            class.kind.to_owned(),
            number(class.rate),
            number(class.work.events()),
            format!("{:.1}", class.work.kb_in()),
            format!("{:.1}", class.work.kb_out()),
            format!("{:.1}", class.cpu_us),
            number(class.in_flight),
            legend.name(&class.sources),
        ]);
    }
    table
}

fn terms(plan: &Plan, legend: &mut Legend) -> Vec<Vec<String>> {
    let mut table = vec![row(["work", "CPU µs", "source"])];
    for term in &plan.cost.terms {
        table.push(vec![
            term.name.to_owned(),
            format!("{:.2}", term.us),
            legend.name(&term.sources),
        ]);
    }
    for (name, factor) in [
        ("features that are on, times", &plan.cost.features),
        ("translated calls, times", &plan.cost.translated),
        ("cache hits, times", &plan.cost.hit),
    ] {
        table.push(vec![
            name.to_owned(),
            format!("{:.2}", factor.value),
            legend.name(&factor.sources),
        ]);
    }
    table
}

fn residuals(plan: &Plan, legend: &mut Legend) -> Vec<Vec<String>> {
    let mut table = vec![row(["run", "measured µs", "fitted µs", "error", "error when left out"])];
    for one in &plan.cost.residuals {
        table.push(vec![
            legend.name(&Sources::measured([&one.run])),
            format!("{:.1}", one.measured_us),
            format!("{:.1}", one.fitted_us),
            signed_percent(one.error),
            one.error_left_out.map_or_else(|| "–".to_owned(), signed_percent),
        ]);
    }
    let errors = format!("{:.1}%", plan.cost_error_mean * 100.0);
    table.push(row(["mean, without sign", "", "", &errors, ""]));
    table.push(row([
        "largest, without sign",
        "",
        "",
        &format!("{:.1}%", plan.cost_error_max * 100.0),
        "",
    ]));
    table
}

fn markdown(table: &[Vec<String>]) -> String {
    let columns = table.first().map_or(0, Vec::len);
    let width = |column: usize| {
        table
            .iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
            .max(3)
    };
    let numbers = |column: usize| is_of_numbers(table, column);
    let mut lines = Vec::new();
    for (at, row) in table.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                let pad = " ".repeat(width(column) - cell.chars().count());
                match (numbers(column), column + 1 == row.len()) {
                    (true, _) => format!("{pad}{cell}"),
                    (false, true) => cell.clone(),
                    (false, false) => format!("{cell}{pad}"),
                }
            })
            .collect();
        lines.push(format!("| {} |", cells.join(" | ")));
        if at == 0 {
            let rule = |column: usize| match (numbers(column), column + 1 == row.len()) {
                (true, _) => format!("{}:", "-".repeat(width(column) + 1)),
                (false, true) => "---".to_owned(),
                (false, false) => "-".repeat(width(column) + 2),
            };
            lines.push(format!("|{}|", (0..columns).map(rule).collect::<Vec<_>>().join("|")));
        }
    }
    lines.join("\n")
}

/// Numbers stand to the right, words and sources to the left.
pub fn is_of_numbers(table: &[Vec<String>], column: usize) -> bool {
    let is_number = |text: &str| {
        text.trim_start_matches(['+', '-'])
            .starts_with(|first: char| first.is_ascii_digit())
    };
    table.iter().skip(1).any(|row| is_number(&row[column]))
}

pub fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "bytes" => bytes(value),
        "Gbit/s" => format!("{value:.2} Gbit/s"),
        "µs" => format!("{value:.1} µs"),
        "shards" => format!(
            "{} shards",
            if value < 100.0 && value.fract() != 0.0 {
                format!("{value:.2}")
            } else {
                number(value)
            }
        ),
        unit => format!("{} {unit}", number(value)),
    }
}

fn bytes(value: f64) -> String {
    match value {
        tiny if tiny < MIB => format!("{:.1} KiB", tiny / KIB),
        small if small < GIB => format!("{:.1} MiB", small / MIB),
        large => format!("{:.2} GiB", large / GIB),
    }
}

/// Whole, with commas.
pub fn number(value: f64) -> String {
    format::count(value.round() as u64)
}

fn percent(value: f64) -> String {
    format!("{:.1}%", value * 100.0)
}

fn signed_percent(value: f64) -> String {
    format!("{:+.1}%", value * 100.0)
}

fn times(value: f64) -> String {
    if value.is_finite() {
        format!("{value:.2} × peak")
    } else {
        "never".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::defaults::Assumed, *};

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!(number(1e9), "1,000,000,000");
        assert_eq!(number(999.4), "999");
        assert_eq!(number(0.0), "0");
        assert_eq!(with_unit(1536.0 * MIB, "bytes"), "1.50 GiB");
        assert_eq!(with_unit(6.3, "shards"), "6.30 shards");
    }

    #[test]
    fn sources_have_short_names() {
        let mut legend = Legend::default();
        let assumed = |what| Assumed { value: 1.0, what };
        let (first, second) = (
            Sources::measured(["a", "b", "c", "d"]),
            Sources::assumed(assumed("1 s")),
        );
        assert_eq!(
            legend.name(&first.clone().and(&Sources::demand("keys"))),
            "R1–R4; demand: keys"
        );
        assert_eq!(
            legend.name(&Sources::measured(["d", "a", "b"]).and(&second)),
            "R1, R2, R4; D1"
        );
        assert_eq!(legend.lines()[4], "D1: default, 1 s");
    }

    #[test]
    fn columns_are_aligned_and_numbers_stand_right() {
        let table = [row(["name", "µs"]), row(["one", "1.0"]), row(["twenty", "20.0"])];
        assert_eq!(
            markdown(&table),
            "| name   |   µs |\n|--------|-----:|\n| one    |  1.0 |\n| twenty | 20.0 |"
        );
    }
}

//! `tollgate route judge`: the complexity router over graded prompts, as the data plane would run it.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{
    With,
    curve::{Answered, Curve},
    graded::{self, Graded},
    page, percent,
    plot::{Line, Plot},
    write_page,
};
use crate::cli::{CliError, Output, print, table};

const HALF: f64 = 0.5;
/// What `hard_share` may say, as far as it is told.
const HARD_SHARES: [u32; 5] = [10, 25, 50, 75, 90];

#[derive(Args)]
pub struct RouteArguments {
    /// One {prompt, strong_ok, weak_ok} per line: did the strong and the weak model answer right? `-` for standard input
    #[arg(long, value_name = "FILE")]
    graded: PathBuf,
    #[command(flatten)]
    with: With,
    /// Write the curve as a page that opens anywhere
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub fn run(arguments: &RouteArguments, output: Output) -> Result<(), CliError> {
    let gauge = arguments.with.gauge(true)?;
    let graded = graded::read(&arguments.graded, &gauge)?;
    let curve = Curve::new(answered(&graded, |one| one.gauged.gain.unwrap_or_default()));
    let thresholds = HARD_SHARES.map(|percent| {
        (
            percent,
            gauge.complexity().map_or(0.0, |weights| weights.threshold(percent)),
        )
    });
    let said = || text(&curve, &thresholds, graded.len());
    write_page(arguments.html.as_ref(), || {
        page::page(
            "Complexity router, judged",
            &plot(&[("by complexity", &curve)]),
            &said(),
        )
    })?;
    match output {
        Output::Json => print(&told(&curve, &thresholds).to_string()),
        Output::Text => print(&said()),
    }
    Ok(())
}

/// Prompts with a score for each.
pub fn answered<'a>(graded: impl IntoIterator<Item = &'a Graded>, score: impl Fn(&Graded) -> f32) -> Vec<Answered> {
    let one = |graded: &Graded| Answered {
        score: score(graded),
        strong_ok: graded.strong_ok,
        weak_ok: graded.weak_ok,
    };
    graded.into_iter().map(one).collect()
}

fn told(curve: &Curve, thresholds: &[(u32, f32)]) -> Value {
    let points = |quality: &dyn Fn(f64) -> f64| -> Vec<Value> {
        Curve::shares()
            .map(|share| json!({ "strong_share": share, "quality": quality(share) }))
            .collect()
    };
    let (low, high) = curve.interval(HALF);
    let shares = thresholds.iter().map(|&(percent, threshold)| {
        let share = curve.share_above(threshold);
        json!({ "hard_share": f64::from(percent) / 100.0, "strong_share": share, "quality": curve.quality(share) })
    });
    json!({
        "strong_only": { "quality": curve.strong }, "weak_only": { "quality": curve.weak },
        "curve": points(&|share| curve.quality(share)), "random": points(&|share| curve.by_chance(share)),
        "recovered_at_half": { "share": curve.recovered(HALF), "low": low, "high": high },
        "mean_recovered": curve.mean_recovered(), "hard_shares": shares.collect::<Vec<_>>(),
    })
}

fn text(curve: &Curve, thresholds: &[(u32, f32)], count: usize) -> String {
    let mut rows = vec![
        ["STRONG SHARE", "QUALITY", "BY CHANCE", "GAP RECOVERED"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(Curve::shares().map(|share| {
        let quality = [curve.quality(share), curve.by_chance(share), curve.recovered(share)];
        [vec![percent(share)], quality.map(percent).to_vec()].concat()
    }));
    let mut shares = vec![
        ["hard_share", "OF THESE", "QUALITY", "GAP RECOVERED"]
            .map(str::to_owned)
            .to_vec(),
    ];
    shares.extend(thresholds.iter().map(|&(hard, threshold)| {
        let share = curve.share_above(threshold);
        let quality = [share, curve.quality(share), curve.recovered(share)];
        [vec![format!("{hard} %")], quality.map(percent).to_vec()].concat()
    }));
    format!(
        "{count} prompts: the strong model answers {} right, the weak one {}\n{}\n\n{}\n\n{}",
        percent(curve.strong),
        percent(curve.weak),
        at_half(curve),
        table(&rows),
        table(&shares)
    )
}

/// In a line.
pub fn at_half(curve: &Curve) -> String {
    let (low, high) = curve.interval(HALF);
    format!(
        "with half of the calls to the strong model: {} right, {} of the gap recovered (95 of 100: {} to {}); on average {}",
        percent(curve.quality(HALF)),
        percent(curve.recovered(HALF)),
        percent(low),
        percent(high),
        percent(curve.mean_recovered())
    )
}

pub fn plot(curves: &[(&str, &Curve)]) -> Plot {
    let points = |quality: &dyn Fn(f64) -> f64| Curve::shares().map(|share| (share, quality(share))).collect();
    let mut lines: Vec<Line> = curves
        .iter()
        .map(|(name, curve)| Line::new(name, points(&|share| curve.quality(share))))
        .collect();
    if let Some((_, curve)) = curves.first() {
        lines.push(Line::new("by chance", points(&|share| curve.by_chance(share))).dashed());
    }
    Plot {
        title: "Quality by the share of calls to the strong model",
        x: "share of calls to the strong model",
        y: "answered right",
        moment: None,
        lines,
    }
}

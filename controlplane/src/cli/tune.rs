//! `tollgate tune`: weights of the complexity router out of the operator's own graded prompts. What they are worth is told from
//! prompts that took no part; nothing is applied, and nothing written unless a file is named.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use tollgate_vector::complexity::train::{Asked, Example, PENALTIES, Prepared};

use super::{
    CliError, Output,
    judge::{
        With,
        curve::{Answered, Curve},
        graded::{self, Graded},
        page, percent,
        route::{at_half, plot},
        write_page,
    },
    print, table,
};

const FOLDS: u64 = 5;
/// Fewer say nothing.
const LEAST_PROMPTS: usize = 100;
const HALF: f64 = 0.5;

#[derive(Args)]
pub struct TuneArguments {
    /// One {prompt, strong_ok, weak_ok} per line: did the strong and the weak model answer right? `-` for standard input
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Write the weights, for `embedding.complexity`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    with: With,
    /// Write the curves as a page that opens anywhere
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// A kind of router, and what it is worth by cross-validation with each penalty.
struct Tried {
    name: &'static str,
    /// The best first.
    by_penalty: Vec<(f64, Curve)>,
}

pub fn run(arguments: &TuneArguments, output: Output) -> Result<(), CliError> {
    let gauge = arguments.with.gauge(arguments.with.judges())?;
    let graded = graded::read(&arguments.from, &gauge)?;
    let (held_out, own): (Vec<Graded>, Vec<Graded>) = graded.into_iter().partition(Graded::is_held_out);
    let gap: i64 = own.iter().map(|one| i64::from(one.difference())).sum();
    if own.len() < LEAST_PROMPTS || held_out.is_empty() || gap <= 0 {
        let found = own.len() + held_out.len();
        return Err(CliError::bad_input(format!(
            "{}: of {found} prompts the strong model answers {gap} more right than the weak one; at least {LEAST_PROMPTS} prompts, \
             and some that only the strong one answers right, are needed",
            arguments.from.display()
        )));
    }
    let examples: Vec<Example> = own.iter().map(example).collect();
    let tried = [
        cross_validated("two regressions", (&own, &examples), two_regressions)?,
        cross_validated("one regression, the plain baseline", (&own, &examples), one_regression)?,
    ];
    let penalty = tried
        .first()
        .and_then(|best| best.by_penalty.first())
        .map_or(1.0, |(penalty, _)| *penalty);
    let made = format!("{} prompts, penalty {penalty}", own.len());
    let router = Prepared::new(examples.iter().collect())
        .train(gauge.embedder(), penalty, made)
        .ok_or_else(|| CliError::failed("the prompts are too much alike to tell them apart"))?;
    let gain = |one: &Graded| router.gain(&one.gauged.vector, &one.gauged.text, one.gauged.traits);
    let new = curve(&held_out, gain);
    let old = gauge
        .complexity()
        .map(|_| curve(&held_out, |one| one.gauged.gain.unwrap_or_default()));
    let plain = baseline(&tried, &examples, &held_out)?;
    let report = Report {
        own: own.len(),
        held_out: held_out.len(),
        tried: &tried,
        plain: &plain,
        new: &new,
        old: old.as_ref(),
    };
    write_page(arguments.html.as_ref(), || {
        let curves = [("the new weights", &new)]
            .into_iter()
            .chain(old.as_ref().map(|old| ("the weights in use", old)));
        page::page(
            "Complexity router, tuned",
            &plot(&curves.collect::<Vec<_>>()),
            &report.text(),
        )
    })?;
    write_page(arguments.out.as_ref(), || router.to_json())?;
    match output {
        Output::Json => print(&report.json().to_string()),
        Output::Text => {
            print(&report.text());
            print(&match &arguments.out {
                None => "nothing was written; --out FILE writes these weights".to_owned(),
                Some(file) => format!(
                    "written to {0}; in force once the document has embedding: {{ complexity: file:{0} }}",
                    file.display()
                ),
            });
        }
    }
    Ok(())
}

fn example(graded: &Graded) -> Example {
    let gauged = &graded.gauged;
    let answered = (graded.strong_ok, graded.weak_ok);
    Example::new(gauged.vector.clone(), &gauged.text, gauged.traits, answered)
}

fn curve(graded: &[Graded], score: impl Fn(&Graded) -> f32) -> Curve {
    Curve::new(super::judge::route::answered(graded, score))
}

/// The plain one, with the penalty that suits it best, on the prompts that took no part.
fn baseline(tried: &[Tried], examples: &[Example], held_out: &[Graded]) -> Result<Curve, CliError> {
    let best = tried.last().and_then(|plain| plain.by_penalty.first());
    let penalty = best.map_or(1.0, |(penalty, _)| *penalty);
    let others: Vec<Example> = held_out.iter().map(example).collect();
    let asked: Vec<&Example> = others.iter().collect();
    let scores = one_regression(&Prepared::new(examples.iter().collect()), penalty, &asked);
    let scores = scores.ok_or_else(|| CliError::failed("the prompts are too much alike to tell them apart"))?;
    Ok(Curve::new(scored(&asked, scores)))
}

fn scored(asked: &[&Example], scores: Vec<f64>) -> Vec<Answered> {
    let one = |(example, score): (&&Example, f64)| Answered {
        score: score as f32,
        strong_ok: example.strong_ok,
        weak_ok: example.weak_ok,
    };
    asked.iter().zip(scores).map(one).collect()
}

/// What examples are scored with, made from others.
type Scores = fn(&Prepared<'_>, f64, &[&Example]) -> Option<Vec<f64>>;

fn two_regressions(prepared: &Prepared<'_>, penalty: f64, others: &[&Example]) -> Option<Vec<f64>> {
    let strong = prepared.fit(Asked::Strong, penalty)?;
    let weak = prepared.fit(Asked::Weak, penalty)?;
    let gain = |example: &&Example| prepared.judge(&strong, example) - prepared.judge(&weak, example);
    Some(others.iter().map(gain).collect())
}

fn one_regression(prepared: &Prepared<'_>, penalty: f64, others: &[&Example]) -> Option<Vec<f64>> {
    let only = prepared.fit(Asked::OnlyStrong, penalty)?;
    Some(others.iter().map(|example| prepared.judge(&only, example)).collect())
}

/// Each fifth is scored by what the other four say, for each penalty.
fn cross_validated(
    name: &'static str,
    (own, examples): (&[Graded], &[Example]),
    scores: Scores,
) -> Result<Tried, CliError> {
    let mut by_penalty = Vec::new();
    // The lowest digit in fives says who is held out of all of this.
    let fold = |graded: &Graded| graded.hash / FOLDS % FOLDS;
    for penalty in PENALTIES {
        let mut answered = Vec::new();
        for left_out in 0..FOLDS {
            let all = || own.iter().zip(examples);
            let others: Vec<&Example> = all()
                .filter(|(one, _)| fold(one) != left_out)
                .map(|(_, example)| example)
                .collect();
            let asked: Vec<&Example> = all()
                .filter(|(one, _)| fold(one) == left_out)
                .map(|(_, example)| example)
                .collect();
            let made = scores(&Prepared::new(others), penalty, &asked)
                .ok_or_else(|| CliError::failed("the prompts are too few or too much alike to tell them apart"))?;
            answered.extend(scored(&asked, made));
        }
        by_penalty.push((penalty, Curve::new(answered)));
    }
    by_penalty.sort_by(|(_, a), (_, b)| b.mean_recovered().total_cmp(&a.mean_recovered()));
    Ok(Tried { name, by_penalty })
}

struct Report<'r> {
    own: usize,
    held_out: usize,
    tried: &'r [Tried],
    plain: &'r Curve,
    new: &'r Curve,
    old: Option<&'r Curve>,
}

impl Report<'_> {
    fn text(&self) -> String {
        let mut rows = vec![
            ["ROUTER", "PENALTY", "RECOVERED AT HALF", "ON AVERAGE"]
                .map(str::to_owned)
                .to_vec(),
        ];
        for tried in self.tried {
            for (penalty, curve) in &tried.by_penalty {
                let recovered = [curve.recovered(HALF), curve.mean_recovered()].map(percent);
                rows.push([vec![tried.name.to_owned(), penalty.to_string()], recovered.to_vec()].concat());
            }
        }
        let mut lines = vec![
            format!(
                "{} prompts, and {} held out: one in five, by hash",
                self.own, self.held_out
            ),
            format!("\nby cross-validation among the {}:\n{}\n", self.own, table(&rows)),
            format!("held out, the plain baseline: {}", at_half(self.plain)),
            format!("held out, the new weights: {}", at_half(self.new)),
        ];
        if let Some(old) = self.old {
            lines.push(format!("held out, those in use:    {}", at_half(old)));
        }
        let heads = ["STRONG SHARE", "BY CHANCE", "IN USE", "NEW", "GAP RECOVERED"];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        rows.extend(Curve::shares().map(|share| {
            let old = self.old.map_or("-".to_owned(), |old| percent(old.quality(share)));
            let new = [self.new.quality(share), self.new.recovered(share)].map(percent);
            [
                vec![percent(share), percent(self.new.by_chance(share)), old],
                new.to_vec(),
            ]
            .concat()
        }));
        lines.push(format!("\n{}", table(&rows)));
        lines.join("\n")
    }

    fn json(&self) -> Value {
        let told = |curve: &Curve| {
            let points: Vec<Value> = Curve::shares()
                .map(|share| json!({ "strong_share": share, "quality": curve.quality(share) }))
                .collect();
            let (low, high) = curve.interval(HALF);
            json!({
                "curve": points, "recovered_at_half": { "share": curve.recovered(HALF), "low": low, "high": high },
                "mean_recovered": curve.mean_recovered(),
            })
        };
        let tried = self.tried.iter().flat_map(|tried| {
            tried.by_penalty.iter().map(|(penalty, curve)| {
                json!({
                    "router": tried.name, "penalty": penalty, "recovered_at_half": curve.recovered(HALF),
                    "mean_recovered": curve.mean_recovered(),
                })
            })
        });
        json!({
            "prompts": self.own, "held_out": self.held_out, "cross_validated": tried.collect::<Vec<_>>(),
            "strong_only": { "quality": self.new.strong }, "weak_only": { "quality": self.new.weak },
            "baseline": told(self.plain), "new": told(self.new), "in_use": self.old.map(told),
        })
    }
}

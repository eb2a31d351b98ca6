//! `tollgate cache judge`: the embedder, the threshold and the verifier of the semantic cache over pairs of prompts.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Value, json};
use tollgate_engine::semantic::{Rejected, may_serve};
use tollgate_vector::{DEFAULT_THRESHOLD, Scratch};

use super::{
    With, lines, page, percent,
    plot::{Line, Plot},
    write_page,
};
use crate::cli::{CliError, Output, print, table};

const THRESHOLDS: [f32; 9] = [0.30, 0.40, 0.50, 0.60, 0.70, 0.80, 0.85, 0.90, 0.95];
const LINE: &str =
    "a line is {\"a\": PROMPT, \"b\": PROMPT, \"same\": true or false}, and may have a \"similarity\" from -1 to 1";

#[derive(Args)]
pub struct CacheArguments {
    /// One {a, b, same} per line: may the answer to `a` be served for `b`? `-` for standard input; `kind` groups them,
    /// `similarity` is how near the two are by another embedder, such as a provider's
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// The similarity below which nothing is looked at [default: the cache's own]
    #[arg(long, value_parser = similarity)]
    threshold: Option<f32>,
    #[command(flatten)]
    with: With,
    /// Write the curve as a page that opens anywhere
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

fn similarity(text: &str) -> Result<f32, String> {
    let value = text.parse::<f32>().ok().filter(|value| (0.0..=1.0).contains(value));
    value.ok_or_else(|| "a similarity from 0 to 1, such as 0.5".to_owned())
}

#[derive(Deserialize)]
struct Pair {
    a: String,
    b: String,
    same: bool,
    #[serde(default)]
    kind: String,
    /// How near the two are by an embedder that is not here.
    #[serde(default, deserialize_with = "cosine")]
    similarity: Option<f32>,
}

fn cosine<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f32>, D::Error> {
    let said = f32::deserialize(deserializer)?;
    match (-1.0..=1.0).contains(&said) {
        true => Ok(Some(said)),
        false => Err(D::Error::custom(format!("`{said}` is no similarity"))),
    }
}

/// A pair with what the cache would think of it.
struct Judged {
    same: bool,
    kind: String,
    similarity: f32,
    verdict: Result<(), &'static str>,
}

/// Of some pairs: how many there are, and how many would be served.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    pairs: usize,
    same: usize,
    served_same: usize,
    served_different: usize,
}

impl Count {
    fn add(&mut self, pair: &Judged, is_served: bool) {
        self.pairs += 1;
        self.same += usize::from(pair.same);
        self.served_same += usize::from(pair.same && is_served);
        self.served_different += usize::from(!pair.same && is_served);
    }

    fn of<'a>(pairs: impl IntoIterator<Item = &'a Judged>, is_served: impl Fn(&Judged) -> bool) -> Self {
        let mut count = Self::default();
        pairs.into_iter().for_each(|pair| count.add(pair, is_served(pair)));
        count
    }

    /// Of those that may be served, how many are.
    fn hits(self) -> f64 {
        self.served_same as f64 / self.same.max(1) as f64
    }

    /// Of those that are served, how many may not.
    fn false_hits(self) -> f64 {
        self.served_different as f64 / (self.served_same + self.served_different).max(1) as f64
    }
}

pub fn run(arguments: &CacheArguments, output: Output) -> Result<(), CliError> {
    let pairs = lines::<Pair>(&arguments.pairs, LINE)?;
    let gauge = arguments.with.gauge(false)?;
    let embedder = gauge.embedder();
    let mut scratch = Scratch::default();
    let (mut a, mut b) = (vec![0.0; embedder.dims()], vec![0.0; embedder.dims()]);
    let judge = |pair: Pair| {
        let similarity = pair.similarity.unwrap_or_else(|| {
            embedder.embed(&pair.a, &mut scratch, &mut a);
            embedder.embed(&pair.b, &mut scratch, &mut b);
            a.iter().zip(&b).map(|(a, b)| a * b).sum()
        });
        // Whether it is near enough is asked of each threshold below.
        let verdict = may_serve(embedder, (similarity, f32::MIN), &pair.a, &pair.b);
        Judged {
            similarity,
            verdict: verdict.map_err(Rejected::name),
            same: pair.same,
            kind: pair.kind,
        }
    };
    let judged: Vec<Judged> = pairs.into_iter().map(judge).collect();
    let threshold = arguments.threshold.unwrap_or(DEFAULT_THRESHOLD);
    write_page(arguments.html.as_ref(), || drawn(&judged, threshold))?;
    match output {
        Output::Json => print(&told(&judged, threshold).to_string()),
        Output::Text => print(&text(&judged, threshold)),
    }
    Ok(())
}

fn is_served(pair: &Judged, threshold: f32) -> bool {
    pair.similarity >= threshold && pair.verdict.is_ok()
}

fn by_kind(judged: &[Judged], threshold: f32) -> BTreeMap<&str, Count> {
    let mut kinds = BTreeMap::<&str, Count>::new();
    for pair in judged {
        let kind = if pair.kind.is_empty() { "-" } else { &pair.kind };
        kinds.entry(kind).or_default().add(pair, is_served(pair, threshold));
    }
    kinds
}

/// As JSON has it; at the millionth, for a threshold is no more exact.
fn told(judged: &[Judged], threshold: f32) -> Value {
    let all = Count::of(judged, |pair| is_served(pair, threshold));
    let kinds = by_kind(judged, threshold).into_iter().map(|(kind, count)| {
        let count = json!({
            "pairs": count.pairs, "same": count.same, "served_same": count.served_same, "served_different": count.served_different,
        });
        (kind.to_owned(), count)
    });
    let curve = THRESHOLDS.iter().map(|&at| {
        let verified = Count::of(judged, |pair| is_served(pair, at));
        let alone = Count::of(judged, |pair| pair.similarity >= at);
        json!({
            "threshold": exactly(at), "served_same": verified.served_same, "served_different": verified.served_different,
            "similarity_alone": { "served_same": alone.served_same, "served_different": alone.served_different },
        })
    });
    json!({
        "threshold": exactly(threshold), "pairs": all.pairs, "same": all.same, "served_same": all.served_same,
        "served_different": all.served_different, "by_kind": kinds.collect::<serde_json::Map<_, _>>(), "curve": curve.collect::<Vec<_>>(),
        "rejected_for": rejected(judged).into_iter().map(|(reason, count)| (reason.to_owned(), json!(count))).collect::<serde_json::Map<_, _>>(),
    })
}

fn exactly(similarity: f32) -> f64 {
    (f64::from(similarity) * 1e6).round() / 1e6
}

/// Why pairs are not served that may be, by how often.
fn rejected(judged: &[Judged]) -> Vec<(&'static str, usize)> {
    let mut counted = BTreeMap::<&'static str, usize>::new();
    for reason in judged
        .iter()
        .filter(|pair| pair.same)
        .filter_map(|pair| pair.verdict.err())
    {
        *counted.entry(reason).or_default() += 1;
    }
    let mut counted: Vec<_> = counted.into_iter().collect();
    counted.sort_by_key(|&(reason, count)| (std::cmp::Reverse(count), reason));
    counted
}

fn text(judged: &[Judged], threshold: f32) -> String {
    let all = Count::of(judged, |pair| is_served(pair, threshold));
    let mut rows = vec![
        ["THRESHOLD", "SERVED", "FALSE HITS", "SIMILARITY ALONE", "FALSE HITS"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for at in THRESHOLDS {
        let verified = Count::of(judged, |pair| is_served(pair, at));
        let alone = Count::of(judged, |pair| pair.similarity >= at);
        rows.push(vec![
            format!("{at:.2}"),
            percent(verified.hits()),
            percent(verified.false_hits()),
            percent(alone.hits()),
            percent(alone.false_hits()),
        ]);
    }
    let mut kinds = vec![
        ["KIND", "PAIRS", "SAME", "SERVED", "WRONGLY"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (kind, count) in by_kind(judged, threshold) {
        let counts =
            [count.pairs, count.same, count.served_same, count.served_different].map(|count| count.to_string());
        kinds.push([vec![kind.to_owned()], counts.to_vec()].concat());
    }
    let reasons: Vec<String> = rejected(judged)
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    format!(
        "{} pairs, of which the answer to one may be served for the other in {}\nat {threshold:.2}: {} of those served ({}), and {} \
         of others\n\n{}\n\n{}\n\nnot served though they may be, for: {}",
        all.pairs,
        all.same,
        all.served_same,
        percent(all.hits()),
        all.served_different,
        table(&rows),
        table(&kinds),
        if reasons.is_empty() {
            "-".to_owned()
        } else {
            reasons.join(", ")
        },
    )
}

fn drawn(judged: &[Judged], threshold: f32) -> String {
    let line = |name: &str, is_served: &dyn Fn(&Judged, f32) -> bool, look: fn(Count) -> f64| {
        let at = |step: u8| f32::from(step) / 100.0;
        let points = (0..=100).map(|step| {
            let count = Count::of(judged, |pair| is_served(pair, at(step)));
            (f64::from(at(step)), look(count))
        });
        Line::new(name, points.collect())
    };
    let alone = |pair: &Judged, at: f32| pair.similarity >= at;
    let plot = Plot {
        title: "Served and false hits by threshold",
        x: "similarity that a candidate needs",
        y: "share",
        moment: Some((f64::from(threshold), "judged here".to_owned())),
        lines: vec![
            line("served of those that may be, verified", &is_served, Count::hits),
            line("false hits among those served, verified", &is_served, Count::false_hits),
            line("served, similarity alone", &alone, Count::hits).dashed(),
            line("false hits, similarity alone", &alone, Count::false_hits).dashed(),
        ],
    };
    page::page("Semantic cache, judged", &plot, &text(judged, threshold))
}

//! What `compress` saves of the requests of bench/data/prompts.jsonl (docs/src/less-to-send.md): by kind of request, each step
//! by itself and all of them; tokens as OpenAI's o200k_base counts them. And how near what is left is to what there was, as the
//! embedder has it and as the verifier of the semantic cache does.

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_config::document::Steps;
use tollgate_dialect::tokens::{Counter, Memo, Tokenizer};
use tollgate_engine::{compress::shorten_body, semantic::may_serve};
use tollgate_vector::{Embedder, Scratch, Window};

const PROMPTS: &str = include_str!("../data/prompts.jsonl");
const MODEL: &str = "gpt-5.4";

#[derive(Deserialize)]
struct Line<'l> {
    kind: String,
    #[serde(borrow)]
    body: &'l RawValue,
}

fn main() {
    let lines: Vec<Line<'_>> = PROMPTS
        .lines()
        .map(|line| serde_json::from_str(line).expect("a request a line"))
        .collect();
    let mut kinds: Vec<&str> = Vec::new();
    for line in &lines {
        if !kinds.contains(&&*line.kind) {
            kinds.push(&line.kind);
        }
    }
    let columns = columns();
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    println!("| requests | tokens | {} |", names.join(" | "));
    println!("|---|--:|{}", "--:|".repeat(columns.len()));
    for kind in kinds.iter().copied().map(Some).chain([None]) {
        let of: Vec<&Line<'_>> = lines
            .iter()
            .filter(|line| kind.is_none_or(|kind| line.kind == kind))
            .collect();
        let shares: Vec<String> = columns
            .iter()
            .map(|(_, steps)| {
                let (before, after) = tokens(&of, *steps);
                format!("{:.0} %", (before - after) as f64 * 100.0 / before.max(1) as f64)
            })
            .collect();
        let (before, _) = tokens(&of, Steps::default());
        println!(
            "| {} ({}) | {before} | {} |",
            kind.unwrap_or("all"),
            of.len(),
            shares.join(" | ")
        );
    }
    println!(
        "\n| step | texts changed | similarity, mean | least | told apart by the verifier |\n|---|--:|--:|--:|--:|"
    );
    for (name, steps) in &columns {
        judge(name, &lines, *steps);
    }
}

/// A row: the texts that the step changes, beside what they were.
fn judge(name: &str, lines: &[Line<'_>], steps: Steps) {
    let embedder = Embedder::shipped().expect("the shipped model loads");
    let mut scratch = Scratch::default();
    let mut vector = |text: &str| {
        let mut vector = vec![0.0; embedder.dims()];
        embedder.embed_window(text, Window::default(), &mut scratch, &mut vector);
        vector
    };
    let (mut similarities, mut told_apart) = (Vec::new(), 0);
    for line in lines {
        let shortened = shorten_body(line.body.get().as_bytes(), steps, Some(&embedder)).expect("a request");
        for (was, is) in &shortened.texts {
            let Some(is) = is else { continue };
            let similarity: f32 = vector(was).iter().zip(vector(is)).map(|(one, other)| one * other).sum();
            similarities.push(similarity);
            // Whatever the similarity: only what the verifier finds counts here.
            told_apart += usize::from(may_serve(&embedder, (1.0, 0.0), was, is).is_err());
        }
    }
    let count = similarities.len();
    let mean = similarities.iter().sum::<f32>() / count.max(1) as f32;
    let least = similarities.iter().copied().fold(1.0, f32::min);
    println!("| {name} | {count} | {mean:.3} | {least:.3} | {told_apart} |");
}

fn columns() -> Vec<(&'static str, Steps)> {
    let by = |step: fn(&mut Steps)| {
        let mut steps = Steps::default();
        step(&mut steps);
        steps
    };
    let all = Steps {
        whitespace: true,
        duplicates: true,
        json: true,
        tables: true,
        comments: true,
        extract_percent: None,
    };
    vec![
        ("whitespace", by(|steps| steps.whitespace = true)),
        ("duplicates", by(|steps| steps.duplicates = true)),
        ("json", by(|steps| steps.json = true)),
        ("tables", by(|steps| steps.tables = true)),
        ("comments", by(|steps| steps.comments = true)),
        ("these five", all),
        ("extract 0.6", by(|steps| steps.extract_percent = Some(60))),
        (
            "all",
            Steps {
                extract_percent: Some(60),
                ..all
            },
        ),
    ]
}

/// Before and after.
fn tokens(lines: &[&Line<'_>], steps: Steps) -> (i64, i64) {
    let embedder = Embedder::shipped().expect("the shipped model loads");
    let (mut before, mut after) = (0, 0);
    for line in lines {
        let shortened = shorten_body(line.body.get().as_bytes(), steps, Some(&embedder)).expect("a request");
        for (was, is) in &shortened.texts {
            before += count(was);
            after += count(is.as_ref().unwrap_or(was));
        }
    }
    (before, after)
}

fn count(text: &str) -> i64 {
    let mut counter = Counter::new(Tokenizer::of_model(MODEL), usize::MAX);
    counter.text(&mut Memo::default(), text.as_bytes());
    counter.estimate().tokens as i64
}

//! How often `kind: topics` finds what a prompt is about (docs/src/less-to-send.md): the topics of bench/data/topics.jsonl by
//! their examples, and prompts that are about one of them, that have words of one and are about something else, and that
//! have nothing to do with any. With `-- wrong` it prints what is found wrongly, or not found, at the default threshold.

use std::env;

use serde::Deserialize;
use tollgate_config::document::Guard;
use tollgate_vector::{
    Embedder, Topics,
    topics::{Seen, TopicScratch, Verdict, look},
};

const TOPICS: &str = include_str!("../data/topics.jsonl");
/// Before it and behind it stands text that is about nothing.
const AROUND: &str = "Thank you for the notes of yesterday. The weather was fine, and the bread was good. ";

#[derive(Deserialize)]
struct Line {
    text: String,
    #[serde(default)]
    example_of: Option<String>,
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    kind: String,
}

struct Told {
    found: bool,
    right: bool,
    kind: String,
    text: String,
}

fn main() {
    let lines: Vec<Line> = TOPICS
        .lines()
        .map(|line| serde_json::from_str(line).expect("a text a line"))
        .collect();
    let mut topics: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in &lines {
        let Some(topic) = line.example_of.as_deref() else {
            continue;
        };
        match topics.iter_mut().find(|(known, _)| *known == topic) {
            Some((_, texts)) => texts.push(&line.text),
            None => topics.push((topic, vec![&line.text])),
        }
    }
    let asked: Vec<&Line> = lines.iter().filter(|line| line.example_of.is_none()).collect();
    println!(
        "| threshold | found of those about a topic | in a long text | of what is near found | of the rest | precision |"
    );
    println!("|--:|--:|--:|--:|--:|--:|");
    for thousandths in (300..=700).step_by(50) {
        row(&topics, &asked, thousandths);
    }
    if env::args().any(|word| word == "wrong") {
        let told = judge(&topics, &asked, Guard::THRESHOLD_THOUSANDTHS, "");
        for told in told
            .iter()
            .filter(|told| told.found != (told.kind == "in") || told.found && !told.right)
        {
            println!("{}: {}", told.kind, told.text);
        }
    }
}

fn row(topics: &[(&str, Vec<&str>)], asked: &[&Line], thousandths: u16) {
    let share = |told: &[Told], kind: &str| {
        let of: Vec<&Told> = told.iter().filter(|told| told.kind == kind).collect();
        let found = of
            .iter()
            .filter(|told| told.found && (kind != "in" || told.right))
            .count();
        format!("{:.1} % of {}", found as f64 * 100.0 / of.len().max(1) as f64, of.len())
    };
    let (told, long) = (
        judge(topics, asked, thousandths, ""),
        judge(topics, asked, thousandths, &AROUND.repeat(10)),
    );
    let found = told.iter().filter(|told| told.found).count();
    let right = told
        .iter()
        .filter(|told| told.found && told.kind == "in" && told.right)
        .count();
    println!(
        "| {:.2} | {} | {} | {} | {} | {:.1} % |",
        f64::from(thousandths) / 1_000.0,
        share(&told, "in"),
        share(&long, "in"),
        share(&told, "near"),
        share(&told, "off"),
        right as f64 * 100.0 / found.max(1) as f64
    );
}

fn judge(topics: &[(&str, Vec<&str>)], asked: &[&Line], thousandths: u16, around: &str) -> Vec<Told> {
    let embedder = Embedder::shipped().expect("the shipped model loads");
    let mut scratch = TopicScratch::default();
    let texts = topics.iter().map(|(_, texts)| texts.iter().copied());
    let compiled = Topics::new(&embedder, texts, std::iter::empty(), f32::from(thousandths) / 1_000.0);
    let one = |line: &&Line| {
        let text = format!("{around}{} {around}", line.text);
        let mut seen = [(&compiled, Seen::default())];
        look(&embedder, &text, &mut scratch, &mut seen);
        let found = match compiled.verdict(&seen[0].1) {
            Verdict::Denied(near) => topics.get(near.topic).map(|(name, _)| *name),
            Verdict::Passes(_) | Verdict::NotAllowed(_) => None,
        };
        Told {
            found: found.is_some(),
            right: found == line.topic.as_deref(),
            kind: line.kind.clone(),
            text: line.text.clone(),
        }
    };
    asked.iter().map(one).collect()
}

//! How often `strategy: semantic` finds the target that a prompt is for (docs/src/meaning.md): the twenty subjects with most
//! prompts of bench/data/graded.jsonl are targets, the first twenty prompts of each its examples, the others are asked. Prompts
//! of further subjects are for nobody.

use std::collections::BTreeMap;

use serde::Deserialize;
use tollgate_vector::{Embedder, ExemplarScratch, Exemplars, Nearness, Scratch};

const GRADED: &str = include_str!("../data/graded.jsonl");
const TARGETS: usize = 20;
const EXAMPLES: usize = 20;

#[derive(Deserialize)]
struct Graded {
    subject: String,
    prompt: String,
}

/// What of a nearness is gone by.
type Look = fn(&Nearness) -> f32;

fn main() {
    let mut subjects = BTreeMap::<String, Vec<String>>::new();
    for line in GRADED.lines() {
        let Graded { subject, prompt } = serde_json::from_str(line).expect("a prompt a line");
        subjects.entry(subject).or_default().push(prompt);
    }
    let mut subjects: Vec<_> = subjects.into_iter().collect();
    subjects.sort_by_key(|(name, prompts)| (std::cmp::Reverse(prompts.len()), name.clone()));
    let (targets, others) = subjects.split_at(TARGETS);
    let embedder = Embedder::builtin().expect("the shipped model loads");
    let examples = targets
        .iter()
        .map(|(_, prompts)| prompts.iter().take(EXAMPLES).map(String::as_str));
    let exemplars = Exemplars::new(&embedder, examples);
    let (mut scratch, mut room, mut near) = (Scratch::default(), ExemplarScratch::default(), Vec::new());
    let mut vector = vec![0.0; embedder.dims()];
    let mut compare = |prompt: &str| {
        embedder.embed(prompt, &mut scratch, &mut vector);
        exemplars.compare(&vector, &mut room, &mut near);
        near.clone()
    };
    let mut asked: Vec<(Option<usize>, Vec<Nearness>)> = Vec::new();
    for (target, (_, prompts)) in targets.iter().enumerate() {
        asked.extend(
            prompts
                .iter()
                .skip(EXAMPLES)
                .map(|prompt| (Some(target), compare(prompt))),
        );
    }
    asked.extend(
        others
            .iter()
            .flat_map(|(_, prompts)| prompts)
            .map(|prompt| (None, compare(prompt))),
    );
    tell(&asked);
}

fn tell(asked: &[(Option<usize>, Vec<Nearness>)]) {
    let best = |near: &[Nearness], look: Look| {
        near.iter()
            .map(look)
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap_or_default()
    };
    let own: Vec<_> = asked
        .iter()
        .filter_map(|(target, near)| Some(((*target)?, near)))
        .collect();
    let share = |count: usize, of: usize| count as f64 * 100.0 / of.max(1) as f64;
    println!("| nearest by | found |\n|---|--:|");
    let looks: [(&str, Look); 3] = [
        ("example and centroid, half and half", |near| near.score),
        ("example alone", |near| near.example),
        ("centroid alone", |near| near.centroid),
    ];
    for (name, look) in looks {
        let found = own
            .iter()
            .filter(|(target, near)| best(near, look).0 == *target)
            .count();
        println!("| {name} | {:.1} % of {} |", share(found, own.len()), own.len());
    }
    println!("\n| threshold | found | to the default | of others to the default |\n|--:|--:|--:|--:|");
    for threshold in [0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60] {
        let score = |near: &[Nearness]| best(near, |near| near.score);
        let found = own
            .iter()
            .filter(|(target, near)| score(near).1 >= threshold && score(near).0 == *target)
            .count();
        let unsure = own.iter().filter(|(_, near)| score(near).1 < threshold).count();
        let others: Vec<_> = asked.iter().filter(|(target, _)| target.is_none()).collect();
        let left = others.iter().filter(|(_, near)| score(near).1 < threshold).count();
        println!(
            "| {threshold:.2} | {:.1} % | {:.1} % | {:.1} % of {} |",
            share(found, own.len()),
            share(unsure, own.len()),
            share(left, others.len()),
            others.len()
        );
    }
}

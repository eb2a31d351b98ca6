//! Every prompt scored once, by what the prompts of other folds say: five times as many as are held out, and none of them
//! learned from by what scores it. The curve of a router beside both baselines, with what chance may do to each.

use super::{Graded, HALF, Measured, PERCENT, curve::Curve, dense::Dice};

const DRAWS: usize = 1_000;
/// Of a thousand draws so many lie below and above an interval.
const BEYOND: usize = 25;
/// Of a normal distribution, 95 of 100 lie within so many deviations.
const DEVIATIONS: f64 = 1.96;

/// A router beside the plain one, over all the prompts.
pub fn tell(best: &Measured, plain: &Measured, all: &[&Graded]) {
    println!(
        "\nall {} prompts, each scored by the four fifths without it:\n",
        all.len()
    );
    println!("| router | at half | 95 of 100 | on average |\n|---|--:|--:|--:|");
    let (chance, off) = (HALF, by_chance(all, HALF));
    println!(
        "| by chance | {:.1} % | {:.1} to {:.1} % | {:.1} % |",
        chance * PERCENT,
        (chance - off) * PERCENT,
        (chance + off) * PERCENT,
        HALF * PERCENT
    );
    for one in [plain, best] {
        let (low, high) = one.whole.interval(HALF);
        println!(
            "| {} | {:.1} % | {:.1} to {:.1} % | {:.1} % |",
            one.name,
            one.whole.recovered(HALF) * PERCENT,
            low * PERCENT,
            high * PERCENT,
            one.whole.mean_recovered() * PERCENT
        );
    }
    let (low, high) = ahead(best.of_whole(), plain.of_whole(), all);
    println!(
        "\nahead of the plain one at half: {:.1} points (95 of 100: {:.1} to {:.1})\n",
        (best.whole.recovered(HALF) - plain.whole.recovered(HALF)) * PERCENT,
        low * PERCENT,
        high * PERCENT
    );
    curve(&best.whole, &plain.whole);
}

fn curve(best: &Curve, plain: &Curve) {
    println!(
        "| share of calls to the strong model | answered right | by chance | recovered | 95 of 100 | by the plain one |"
    );
    println!("|--:|--:|--:|--:|--:|--:|");
    for share in Curve::shares().step_by(2) {
        let (low, high) = best.interval(share);
        println!(
            "| {:.0} % | {:.1} % | {:.1} % | {:.1} % | {:.1} to {:.1} % | {:.1} % |",
            share * PERCENT,
            best.quality(share) * PERCENT,
            best.by_chance(share) * PERCENT,
            best.recovered(share) * PERCENT,
            low * PERCENT,
            high * PERCENT,
            plain.recovered(share) * PERCENT
        );
    }
}

/// How far from the share itself a router by lot may be: each prompt on which the models differ falls on either side.
fn by_chance(all: &[&Graded], share: f64) -> f64 {
    let gap: f64 = all.iter().map(|one| one.difference()).sum();
    let differ = all.iter().filter(|one| one.difference() != 0.0).count() as f64;
    DEVIATIONS * (differ * share * (1.0 - share)).sqrt() / gap
}

/// By how much one is ahead of the other at half in 95 of 100 draws of the prompts, both over the same draw.
fn ahead(one: &[f64], other: &[f64], all: &[&Graded]) -> (f64, f64) {
    let orders = [one, other].map(|scores| {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        order
    });
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut drawn = vec![0.0; all.len()];
    let draw = |_| {
        drawn.fill(0.0);
        (0..all.len()).for_each(|_| drawn[dice.below(all.len())] += 1.0);
        let [one, other] = orders.each_ref().map(|order| gained(order, &drawn, all));
        let gap: f64 = all
            .iter()
            .zip(&drawn)
            .map(|(one, times)| one.difference() * times)
            .sum();
        (one - other) / gap
    };
    let mut draws: Vec<f64> = (0..DRAWS).map(draw).collect();
    draws.sort_by(f64::total_cmp);
    (draws[DRAWS * BEYOND / 1_000], draws[DRAWS * (1_000 - BEYOND) / 1_000])
}

/// By the half that comes first, each prompt as often as it was drawn.
fn gained(order: &[usize], drawn: &[f64], all: &[&Graded]) -> f64 {
    let (mut left, mut gained) = (HALF * drawn.len() as f64, 0.0);
    for index in order {
        let times = drawn[*index];
        gained += all[*index].difference() * times.min(left.max(0.0));
        left -= times;
    }
    gained
}

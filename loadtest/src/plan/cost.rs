//! What a call costs in CPU: a sum over the kinds of work in it, fitted to runs. Knows no demand and no machine.

use serde::Serialize;

use super::{
    defaults::{self, Assumed},
    figure::Sources,
    least_squares,
    measured::{Profile, Run},
};

/// The kinds of work, in the order in which runs that cannot tell two of them apart give them their cost.
pub const TERMS: [&str; 7] = [
    "call",
    "stream event",
    "KB in",
    "KB out",
    "new connection",
    "TLS handshake",
    "TLS record",
];

/// How much of each kind of work there is in a call, on average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Work(pub [f64; 7]);

impl Work {
    /// `tls_sides`: shares of calls over TLS, of clients and of providers.
    pub fn of_call(events: f64, kb_in: f64, kb_out: f64, new_connections: f64, tls_in: f64, tls_out: f64) -> Self {
        const KB_PER_RECORD: f64 = 16.0;
        let sides = tls_in + tls_out;
        let records = sides * (2.0 + events + (kb_in + kb_out) / KB_PER_RECORD);
        Self([
            1.0,
            events,
            kb_in,
            kb_out,
            new_connections,
            new_connections * sides,
            records,
        ])
    }

    pub fn events(&self) -> f64 {
        self.0[1]
    }

    pub fn kb_in(&self) -> f64 {
        self.0[2]
    }

    pub fn kb_out(&self) -> f64 {
        self.0[3]
    }

    pub fn new_connections(&self) -> f64 {
        self.0[4]
    }
}

/// The cost of one kind of work.
#[derive(Clone, Debug, Serialize)]
pub struct Term {
    pub name: &'static str,
    pub us: f64,
    pub sources: Sources,
}

/// How a run compares with the fit.
#[derive(Clone, Debug, Serialize)]
pub struct Residual {
    pub run: String,
    pub measured_us: f64,
    pub fitted_us: f64,
    /// Fitted / measured - 1.
    pub error: f64,
    /// The same by a fit to the other runs only: what the fit is worth for what was not measured.
    pub error_left_out: Option<f64>,
}

/// A factor on the fitted cost.
#[derive(Clone, Debug, Serialize)]
pub struct Factor {
    pub value: f64,
    pub sources: Sources,
}

#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    pub terms: Vec<Term>,
    pub residuals: Vec<Residual>,
    /// Of features that are on and not in the fit.
    pub features: Factor,
    pub translated: Factor,
    pub hit: Factor,
    /// Terms that were fitted; with as many runs, residuals say nothing.
    pub fitted_terms: usize,
    /// By class of the demand that has a run's name: what that run cost above (below) the fit.
    #[serde(skip)]
    offsets: Vec<(String, f64, String)>,
    pub notes: Vec<String>,
}

/// The shards' time of which less makes calls dearer than they are at peak: a shard that sleeps between calls wakes for
/// each of them.
const BUSY_ENOUGH: f64 = 0.3;

impl Cost {
    /// `everything`: whether features shall be on. `slowdown`: how much dearer a call is on so many shards than on one.
    pub fn fit(runs: &[Run], everything: bool, slowdown: &dyn Fn(f64) -> f64) -> Self {
        let of = |profile: Profile| -> Vec<&Run> { runs.iter().filter(|run| run.profile == profile).collect() };
        let (bare, full, hit) = (of(Profile::Bare), of(Profile::Everything), of(Profile::Hit));
        let full_tells_as_much = independent(&full).len() >= independent(&bare).len() && !full.is_empty();
        let direct = if everything {
            full_tells_as_much
        } else {
            bare.is_empty() && !full.is_empty()
        };
        let base = if direct { &full } else { &bare };
        let terms = terms_of(base, slowdown);
        let mut notes = slow_notes(base);
        let none = || Factor {
            value: 1.0,
            sources: Sources::default(),
        };
        let features = match (everything, direct) {
            (true, false) => ratio_of(&full, &terms, slowdown, defaults::EVERYTHING_FACTOR),
            (false, true) => {
                notes.push("only runs with every feature on were measured: the plan is for these".to_owned());
                none()
            }
            _ => none(),
        };
        let translated = Factor {
            value: defaults::TRANSLATED_FACTOR.value,
            sources: Sources::assumed(defaults::TRANSLATED_FACTOR),
        };
        let hit = ratio_of(&hit, &terms, slowdown, defaults::HIT_FACTOR);
        let residuals = residuals(base, &terms, slowdown);
        let offsets = base
            .iter()
            .map(|run| {
                (
                    run.name.clone(),
                    run.cpu_us / slowdown(run.shards.into()) - sum(&terms, run.work),
                    run.label.clone(),
                )
            })
            .collect();
        let fitted_terms = independent(base).len();
        if fitted_terms == base.len() && fitted_terms > 0 {
            notes.push(format!(
                "{fitted_terms} runs were fitted with {fitted_terms} terms: the residuals are 0 whatever is true; \
                 measure more"
            ));
        }
        Self {
            terms,
            residuals,
            features,
            translated,
            hit,
            fitted_terms,
            offsets,
            notes,
        }
    }

    /// CPU of a call by the fitted terms alone.
    pub fn fitted_us(&self, work: Work) -> f64 {
        sum(&self.terms, work)
    }

    /// CPU of a call of a class. Where a run has the class's name, the fit is moved so that it meets that run.
    pub fn of_class(&self, name: &str, work: Work) -> Factor {
        let mut sources = Sources::default();
        for (term, amount) in self.terms.iter().zip(work.0) {
            if amount > 0.0 && term.us > 0.0 {
                sources.add(&term.sources);
            }
        }
        let fitted = self.fitted_us(work);
        let same: Vec<_> = self.offsets.iter().filter(|(run, ..)| run == name).collect();
        if same.is_empty() {
            return Factor { value: fitted, sources };
        }
        let offset = same.iter().map(|(_, offset, _)| offset).sum::<f64>() / same.len() as f64;
        let moved = fitted + offset;
        if moved <= 0.0 {
            return Factor { value: fitted, sources };
        }
        for (.., label) in same {
            sources.add(&Sources::measured([label]));
        }
        Factor { value: moved, sources }
    }

    /// The largest and the mean error of the fit, without sign.
    pub fn errors(&self) -> (f64, f64) {
        let errors: Vec<f64> = self.residuals.iter().map(|one| one.error.abs()).collect();
        let mean = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
        (errors.iter().copied().fold(0.0, f64::max), mean)
    }
}

fn sum(terms: &[Term], work: Work) -> f64 {
    terms.iter().zip(work.0).map(|(term, amount)| term.us * amount).sum()
}

/// Work of each run divided by its cost: relative errors are what is made small.
fn rows(runs: &[&Run]) -> Vec<Vec<f64>> {
    runs.iter()
        .map(|run| run.work.0.iter().map(|amount| amount / run.cpu_us).collect())
        .collect()
}

fn independent(runs: &[&Run]) -> Vec<usize> {
    least_squares::independent(&rows(runs))
}

/// Terms that the runs can tell apart are fitted; the others have their defaults, which are taken off first.
fn terms_of(runs: &[&Run], slowdown: &dyn Fn(f64) -> f64) -> Vec<Term> {
    let all = rows(runs);
    let fitted = least_squares::independent(&all);
    let held = |term: usize| {
        if fitted.contains(&term) {
            0.0
        } else {
            defaults::TERM_US[term].value
        }
    };
    let wanted: Vec<f64> = runs
        .iter()
        .zip(&all)
        .map(|(run, row)| {
            1.0 / slowdown(run.shards.into())
                - row
                    .iter()
                    .enumerate()
                    .map(|(term, amount)| held(term) * amount)
                    .sum::<f64>()
        })
        .collect();
    let columns: Vec<Vec<f64>> = all
        .iter()
        .map(|row| fitted.iter().map(|term| row[*term]).collect())
        .collect();
    let found = least_squares::non_negative(&columns, &wanted);
    let labels: Vec<&str> = runs.iter().map(|run| run.label.as_str()).collect();
    let term = |at: usize| {
        let (us, sources) = match fitted.iter().position(|term| *term == at) {
            Some(column) => (found[column], Sources::measured(labels.iter().copied())),
            None => (defaults::TERM_US[at].value, Sources::assumed(defaults::TERM_US[at])),
        };
        Term {
            name: TERMS[at],
            us,
            sources,
        }
    };
    (0..TERMS.len()).map(term).collect()
}

fn residuals(runs: &[&Run], terms: &[Term], slowdown: &dyn Fn(f64) -> f64) -> Vec<Residual> {
    let error = |terms: &[Term], run: &Run| {
        let fitted = sum(terms, run.work) * slowdown(run.shards.into());
        (fitted, fitted / run.cpu_us - 1.0)
    };
    let enough = runs.len() > independent(runs).len();
    let residual = |(at, run): (usize, &&Run)| {
        let (fitted_us, error_of_fit) = error(terms, run);
        let others: Vec<&Run> = runs
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at)
            .map(|(_, run)| *run)
            .collect();
        let error_left_out = enough.then(|| error(&terms_of(&others, slowdown), run).1);
        Residual {
            run: run.label.clone(),
            measured_us: run.cpu_us,
            fitted_us,
            error: error_of_fit,
            error_left_out,
        }
    };
    runs.iter().enumerate().map(residual).collect()
}

/// How much dearer than the fit some runs are, on average; the default when there are none.
fn ratio_of(runs: &[&Run], terms: &[Term], slowdown: &dyn Fn(f64) -> f64, otherwise: Assumed) -> Factor {
    let ratio = |run: &&Run| {
        let fitted = sum(terms, run.work) * slowdown(run.shards.into());
        (fitted > 0.0).then(|| run.cpu_us / fitted)
    };
    let ratios: Vec<f64> = runs.iter().filter_map(ratio).collect();
    if ratios.is_empty() {
        return Factor {
            value: otherwise.value,
            sources: Sources::assumed(otherwise),
        };
    }
    let labels: Vec<&str> = runs.iter().map(|run| run.label.as_str()).collect();
    Factor {
        value: ratios.iter().sum::<f64>() / ratios.len() as f64,
        sources: Sources::measured(labels),
    }
}

fn slow_notes(runs: &[&Run]) -> Vec<String> {
    let slow: Vec<String> = runs
        .iter()
        .filter(|run| run.busy < BUSY_ENOUGH)
        .map(|run| format!("{} ({:.0}%)", run.label, run.busy * 100.0))
        .collect();
    if slow.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "shards were busy for less than {:.0}% of the time in {}: calls cost more then than at peak, so the plan is on the \
         safe side",
        BUSY_ENOUGH * 100.0,
        slow.join(", ")
    )]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NO_SLOWDOWN: fn(f64) -> f64 = |_| 1.0;

    fn run(name: &str, profile: Profile, work: Work, cpu_us: f64) -> Run {
        Run {
            label: format!("m.json run of {name}"),
            name: name.to_owned(),
            shards: 1,
            profile,
            work,
            cpu_us,
            rate: 1000.0,
            connections: 64.0,
            busy: 0.6,
            rss_before_mib: 0.0,
            rss_peak_mib: 0.0,
        }
    }

    fn call(events: f64, kb_in: f64, kb_out: f64) -> Work {
        Work::of_call(events, kb_in, kb_out, 0.0, 0.0, 0.0)
    }

    fn truth(work: Work) -> f64 {
        20.0 + 10.0 * work.events() + 0.5 * work.kb_in() + 0.25 * work.kb_out()
    }

    fn separate_runs() -> Vec<Run> {
        [
            (0.0, 1.0, 1.0),
            (0.0, 128.0, 1.0),
            (0.0, 1.0, 200.0),
            (20.0, 1.0, 4.0),
            (200.0, 1.0, 50.0),
            (0.0, 16.0, 16.0),
        ]
        .into_iter()
        .enumerate()
        .map(|(at, (events, kb_in, kb_out))| {
            let work = call(events, kb_in, kb_out);
            run(&format!("r{at}"), Profile::Bare, work, truth(work))
        })
        .collect()
    }

    #[test]
    fn a_mix_that_was_not_measured_is_predicted_from_runs_of_one_class_each() {
        let cost = Cost::fit(&separate_runs(), false, &NO_SLOWDOWN);
        let mix = call(37.0, 5.5, 9.25);
        assert!((cost.fitted_us(mix) / truth(mix) - 1.0).abs() < 1e-6);
        assert_eq!(cost.fitted_terms, 4);
        assert!(cost.errors().0 < 1e-9 && cost.residuals.iter().all(|one| one.error_left_out.is_some()));
        // What nobody exercised is assumed, and says so.
        assert_eq!(cost.terms[5].us, defaults::TERM_US[5].value);
        assert_eq!(cost.terms[5].sources, Sources::assumed(defaults::TERM_US[5]));
    }

    #[test]
    fn one_run_scales_what_a_call_costs_and_assumes_the_rest() {
        let work = call(0.0, 2.0, 1.0);
        let cost = Cost::fit(&[run("chat", Profile::Bare, work, 50.0)], false, &NO_SLOWDOWN);
        assert!((cost.fitted_us(work) - 50.0).abs() < 1e-9);
        assert!(
            (cost.terms[0].us - (50.0 - 3.0 * 0.6)).abs() < 1e-9,
            "{:?}",
            cost.terms[0]
        );
        assert!(cost.residuals[0].error_left_out.is_none());
        assert!(cost.notes.iter().any(|note| note.contains("measure more")));
    }

    #[test]
    fn no_run_gives_the_defaults() {
        let cost = Cost::fit(&[], true, &NO_SLOWDOWN);
        let all: Vec<f64> = cost.terms.iter().map(|term| term.us).collect();
        assert_eq!(all, defaults::TERM_US.map(|assumed| assumed.value));
        assert_eq!(cost.features.value, defaults::EVERYTHING_FACTOR.value);
        assert!(cost.errors() == (0.0, 0.0) && cost.notes.is_empty());
    }

    #[test]
    fn features_are_a_ratio_of_few_runs_and_a_fit_of_as_many() {
        let mut runs = separate_runs();
        let chat = call(0.0, 1.0, 1.0);
        runs.push(run("full", Profile::Everything, chat, 1.25 * truth(chat)));
        let cost = Cost::fit(&runs, true, &NO_SLOWDOWN);
        assert!((cost.features.value - 1.25).abs() < 1e-6);
        assert_eq!(Cost::fit(&runs, false, &NO_SLOWDOWN).features.value, 1.0);
        let full: Vec<Run> = separate_runs()
            .into_iter()
            .map(|run| Run {
                profile: Profile::Everything,
                cpu_us: run.cpu_us + 12.0,
                ..run
            })
            .collect();
        let cost = Cost::fit(&[separate_runs(), full].concat(), true, &NO_SLOWDOWN);
        assert_eq!(cost.features.value, 1.0);
        assert!((cost.terms[0].us - 32.0).abs() < 1e-6);
    }

    #[test]
    fn a_class_with_a_runs_name_costs_what_that_run_cost() {
        let mut runs = separate_runs();
        let work = call(0.0, 4.0, 4.0);
        runs.push(run("odd", Profile::Bare, work, 1.5 * truth(work)));
        let cost = Cost::fit(&runs, false, &NO_SLOWDOWN);
        assert!((cost.of_class("odd", work).value - 1.5 * truth(work)).abs() < 1e-9);
        assert!(cost.of_class("other", work).value < 1.3 * truth(work));
    }

    #[test]
    fn what_many_shards_add_is_taken_off_before_the_fit() {
        let runs: Vec<Run> = separate_runs()
            .into_iter()
            .map(|run| Run {
                shards: 4,
                cpu_us: 1.5 * run.cpu_us,
                ..run
            })
            .collect();
        let cost = Cost::fit(&runs, false, &|shards| if shards > 1.0 { 1.5 } else { 1.0 });
        assert!((cost.terms[0].us - 20.0).abs() < 1e-6);
        assert!(cost.errors().0 < 1e-9);
    }

    #[test]
    fn runs_of_shards_that_mostly_slept_are_named() {
        let mut runs = separate_runs();
        runs[2].busy = 0.1;
        let cost = Cost::fit(&runs, false, &NO_SLOWDOWN);
        assert!(
            cost.notes.iter().any(|note| note.contains("r2 (10%)")),
            "{:?}",
            cost.notes
        );
    }

    #[test]
    fn tls_is_a_cost_of_records_and_handshakes() {
        let plain = Work::of_call(100.0, 8.0, 8.0, 0.01, 0.0, 0.0);
        let both = Work::of_call(100.0, 8.0, 8.0, 0.01, 1.0, 1.0);
        assert_eq!((plain.0[5], plain.0[6]), (0.0, 0.0));
        assert_eq!((both.0[5], both.0[6]), (0.02, 2.0 * 103.0));
    }

    proptest! {
        /// Five percent of noise in each run moves the prediction of a mix within their range by less than ten.
        #[test]
        fn noise_moves_a_prediction_a_little(noise in prop::collection::vec(-0.05..0.05_f64, 6)) {
            let runs: Vec<Run> = separate_runs()
                .into_iter()
                .zip(&noise)
                .map(|(run, noise)| Run { cpu_us: run.cpu_us * (1.0 + noise), ..run })
                .collect();
            let cost = Cost::fit(&runs, false, &NO_SLOWDOWN);
            for mix in [call(30.0, 6.0, 8.0), call(0.0, 4.0, 4.0), call(100.0, 20.0, 30.0)] {
                prop_assert!((cost.fitted_us(mix) / truth(mix) - 1.0).abs() < 0.10);
            }
            prop_assert!(cost.errors().0 < 0.10);
        }
    }
}

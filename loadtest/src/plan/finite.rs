//! Whether each figure of a plan is a number; one that is not is never printed. Knows the plan, not what went wrong.

use super::sizing::Plan;

/// Up to here each whole number is a floating one too.
const MOST_WHOLE: u64 = 1 << 53;

/// Names the first figure that is no finite number, or too large to be counted.
pub fn fault(plan: &Plan) -> Option<String> {
    let figures = plan.figures.iter().chain(&plan.memory);
    let figures = figures.map(|figure| (figure.name, figure.value));
    let resources = plan.resources.iter().flat_map(|one| {
        // What nothing uses is never exhausted.
        let exhausted = if one.is_used() {
            [one.exhausted_at, one.exhausted_at_all_up]
        } else {
            [0.0; 2]
        };
        [one.used, one.capacity, one.utilisation, one.utilisation_degraded]
            .into_iter()
            .chain(exhausted)
            .map(|value| (one.name, value))
    });
    let classes = plan.classes.iter().flat_map(|class| {
        [class.rate, class.cpu_us, class.in_flight, class.prompt_bytes]
            .into_iter()
            .chain(class.work.0)
            .map(|value| ("a class", value))
    });
    let breaks = &plan.breaks_first;
    let others = [
        ("calls a day", plan.calls_per_day),
        ("the error of the costs", plan.cost_error_max),
        ("the error of the costs", plan.cost_error_mean),
        ("what breaks first", breaks.times_peak),
        ("what breaks first", breaks.times_peak_all_up),
        ("what breaks first", breaks.calls_per_day),
    ];
    let told = |name: &str, value: &dyn std::fmt::Display| {
        format!(
            "no plan comes of this: '{name}' would be {value}; look for a demand or a measurement far out of the ordinary"
        )
    };
    let mut all = figures.chain(resources).chain(classes).chain(others);
    all.find(|(_, value)| !value.is_finite())
        .map(|(name, value)| told(name, &value))
        .or_else(|| {
            [("nodes", plan.nodes), ("shards", plan.shards)]
                .into_iter()
                .find(|(_, count)| *count > MOST_WHOLE)
                .map(|(name, _)| told(name, &"more than can be counted"))
        })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            demand::Demand,
            measured::Measurements,
            sizing::{self, Given},
        },
        *,
    };

    fn planned(calls_per_day: &str) -> Plan {
        let yaml = format!(
            "{{calls_per_day: {calls_per_day}, peak_factor: 2, redundancy: N, target_utilisation: 60%, node: {{cores: 8, \
             memory: 8GiB, network_gbit: 10, descriptors: 1e6, disk: 0}}, cache: {{hits: 100%, size: 1GiB}}, classes: \
             {{a: {{share: 1, kind: buffered, prompt: 1KB, answer: 1KB, duration: 1s}}}}}}"
        );
        // As text: a file's bounds would have caught it before.
        let demand: Demand = serde_saphyr::from_str(&yaml).expect("a demand");
        let given = Given {
            demand: &demand,
            demand_file: String::new(),
            measured: &Measurements::default(),
            measured_files: Vec::new(),
        };
        sizing::plan(given).expect("a plan")
    }

    #[test]
    fn what_is_never_exhausted_is_no_fault() {
        let plan = planned("1e9");
        assert!(plan.resources.iter().any(|one| one.exhausted_at.is_infinite()));
        assert_eq!(fault(&plan), None);
    }

    #[test]
    fn a_figure_that_is_no_number_is_named() {
        let mut plan = planned("1e9");
        plan.memory[1].value = f64::NAN;
        let told = fault(&plan).expect("a fault");
        assert!(told.contains("'both planes, unloaded' would be NaN"), "{told}");
        let told = fault(&planned("1.7e308")).expect("a fault");
        assert!(told.contains("would be inf"), "{told}");
    }

    #[test]
    fn nodes_that_cannot_be_counted_are_a_fault() {
        let told = fault(&planned("1e40")).expect("a fault");
        assert!(told.contains("'nodes' would be more than can be counted"), "{told}");
    }
}

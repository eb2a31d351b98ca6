//! A node's resources: how much of each a demand takes, when each is exhausted, and how many nodes that makes. Pure
//! arithmetic.

use serde::Serialize;

use super::figure::Sources;

/// One resource of all nodes.
#[derive(Clone, Debug)]
pub struct Resource {
    pub name: &'static str,
    pub unit: &'static str,
    /// Of one node.
    pub capacity: f64,
    /// On each node whatever is asked.
    pub fixed: f64,
    /// Of the whole fleet at peak; grows with the demand.
    pub used: f64,
    pub sources: Sources,
}

/// A resource at peak.
#[derive(Clone, Debug, Serialize)]
pub struct Utilisation {
    pub name: &'static str,
    pub unit: &'static str,
    /// Of one node, at peak, when all are up.
    pub used: f64,
    pub capacity: f64,
    pub utilisation: f64,
    /// When the redundant nodes are lost.
    pub utilisation_degraded: f64,
    /// Times the peak at which it is exhausted with the redundant nodes lost, and with all up.
    pub exhausted_at: f64,
    pub exhausted_at_all_up: f64,
    pub sources: Sources,
    fixed: f64,
    fleet: f64,
}

impl Resource {
    /// Nodes so that each uses at most `target` of it; `None` when what is fixed already takes that.
    pub fn nodes(&self, target: f64) -> Option<f64> {
        let left = self.capacity * target - self.fixed;
        // The demand's own rounding errors must not cost a node.
        (left > 0.0).then(|| (self.used / left - 1e-9).ceil().max(1.0))
    }

    fn on(&self, nodes: f64) -> f64 {
        (self.fixed + self.used / nodes) / self.capacity
    }

    /// Times the demand at which so many nodes have none of it left.
    fn exhausted_at(&self, nodes: f64) -> f64 {
        if self.used > 0.0 {
            (self.capacity - self.fixed).max(0.0) * nodes / self.used
        } else {
            f64::INFINITY
        }
    }

    pub fn at_peak(&self, nodes: f64, redundant: f64) -> Utilisation {
        let all = nodes + redundant;
        Utilisation {
            name: self.name,
            unit: self.unit,
            used: self.fixed + self.used / all,
            capacity: self.capacity,
            utilisation: self.on(all),
            utilisation_degraded: self.on(nodes),
            exhausted_at: self.exhausted_at(nodes),
            exhausted_at_all_up: self.exhausted_at(all),
            sources: self.sources.clone(),
            fixed: self.fixed / self.capacity,
            fleet: self.used / nodes / self.capacity,
        }
    }
}

impl Utilisation {
    /// Whether the demand takes any of it, beside what is always taken.
    pub fn is_used(&self) -> bool {
        self.fleet > 0.0
    }

    /// With the redundant nodes lost, at so many times the peak.
    pub fn at(&self, times: f64) -> f64 {
        self.fixed + times * self.fleet
    }

    /// Times the peak at which so much of it is used.
    #[cfg(test)]
    pub fn reaches(&self, utilisation: f64) -> f64 {
        if self.fleet > 0.0 {
            (utilisation - self.fixed) / self.fleet
        } else {
            f64::INFINITY
        }
    }
}

/// What breaks first as the demand grows.
pub fn first_to_break(resources: &[Utilisation]) -> Option<&Utilisation> {
    resources
        .iter()
        .min_by(|left, right| left.exhausted_at.total_cmp(&right.exhausted_at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resource(capacity: f64, fixed: f64, used: f64) -> Resource {
        Resource {
            name: "memory",
            unit: "bytes",
            capacity,
            fixed,
            used,
            sources: Sources::default(),
        }
    }

    #[test]
    fn nodes_bear_the_target_and_no_fewer_do() {
        assert_eq!(resource(10.0, 0.0, 60.0).nodes(0.6), Some(10.0));
        assert_eq!(resource(10.0, 0.0, 60.1).nodes(0.6), Some(11.0));
        assert_eq!(resource(10.0, 2.0, 60.0).nodes(0.6), Some(15.0));
        assert_eq!(resource(10.0, 0.0, 0.0).nodes(0.6), Some(1.0));
        assert_eq!(resource(10.0, 6.0, 1.0).nodes(0.6), None);
    }

    #[test]
    fn the_first_to_break_is_the_one_with_least_room() {
        let tight = resource(10.0, 5.0, 40.0).at_peak(10.0, 1.0);
        let loose = Resource {
            name: "CPU",
            ..resource(10.0, 0.0, 60.0)
        }
        .at_peak(10.0, 1.0);
        let unused = Resource {
            name: "disk",
            ..resource(10.0, 0.0, 0.0)
        }
        .at_peak(10.0, 1.0);
        let all = [loose, tight, unused];
        let first = first_to_break(&all).expect("three resources");
        assert_eq!((first.name, first.exhausted_at), ("memory", 1.25));
        assert!(all[2].exhausted_at.is_infinite());
    }

    proptest! {
        #[test]
        fn at_what_exhausts_it_it_is_exhausted(
            capacity in 1.0..1e12_f64, fixed in 0.0..0.5_f64, used in 0.01..1e3_f64, target in 0.55..1.0_f64,
            redundant in 0_u8..3,
        ) {
            let one = resource(capacity, fixed * capacity, used * capacity);
            let nodes = one.nodes(target).expect("more than is fixed");
            let peak = one.at_peak(nodes, redundant.into());
            prop_assert!(peak.utilisation_degraded <= target + 1e-6);
            prop_assert!(peak.utilisation <= peak.utilisation_degraded + 1e-12);
            prop_assert!((peak.at(peak.exhausted_at) - 1.0).abs() < 1e-9);
            prop_assert!((peak.reaches(1.0) / peak.exhausted_at - 1.0).abs() < 1e-9);
            prop_assert!((peak.at(1.0) - peak.utilisation_degraded).abs() < 1e-9);
            if nodes > 1.0 {
                prop_assert!(one.at_peak(nodes - 1.0, 0.0).utilisation > target - 1e-6);
            }
        }
    }
}

//! What a `when` says of money: how much of a limit is spent, and what is left of a price that callers are charged. Given
//! counts it compares; it knows no balance.

use std::sync::Arc;

use super::limits::{Limit, Period, Unit, Window};
use crate::{money::PicoUsd, prices::Prices};

/// Holds while the share that is spent of a limit is in these bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpentShare {
    /// Whose limit; none: any that the call comes under.
    pub of: Option<LimitOwner>,
    pub unit: Unit,
    pub per: Option<Per>,
    /// From so many percent on.
    pub above_percent: Option<u32>,
    /// Below so many percent.
    pub below_percent: Option<u32>,
}

impl SpentShare {
    /// Does it speak of this limit, wherever it stands?
    pub fn is_of(&self, limit: &Limit) -> bool {
        let same_period = match (self.per, limit.window) {
            (None, _) => true,
            (Some(Per::Calendar(own)), Window::Calendar(period)) => own == period,
            (Some(Per::Refilled { ms }), Window::Refill { per_ms, .. }) => ms == per_ms,
            (Some(_), _) => false,
        };
        self.unit == limit.unit && same_period
    }

    /// `used` of `most`: exact, whatever their size.
    pub fn holds(&self, (used, most): (u64, u64)) -> bool {
        let reaches = |percent: u32| u128::from(used) * 100 >= u128::from(most) * u128::from(percent);
        self.above_percent.is_none_or(reaches) && !self.below_percent.is_some_and(reaches)
    }
}

/// Whose limits there are, by the names that a document has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitOwner {
    Organization,
    Team,
    User,
    Key,
    Model,
}

impl LimitOwner {
    pub const ALL: [Self; 5] = [Self::Organization, Self::Team, Self::User, Self::Key, Self::Model];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Team => "team",
            Self::User => "user",
            Self::Key => "key",
            Self::Model => "model",
        }
    }
}

/// A limit's period, without what may change in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    Calendar(Period),
    Refilled { ms: u64 },
}

impl Window {
    /// The period as it is told: `60s`, `month`; calls under way have none.
    pub fn told(&self) -> Option<String> {
        match *self {
            Window::None => None,
            Window::Refill { per_ms, .. } if per_ms % 1_000 == 0 => Some(format!("{}s", per_ms / 1_000)),
            Window::Refill { per_ms, .. } => Some(format!("{per_ms}ms")),
            Window::Calendar(period) => Some(period.name().to_owned()),
        }
    }
}

/// What callers are charged for a model's calls, whoever answers them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge(pub Arc<Prices>);

/// Is so much left of what is charged when this is what it costs? Of nothing that is charged nothing is left.
pub fn leaves_margin(charged: PicoUsd, cost: PicoUsd, margin_percent: u32) -> bool {
    let left_for_cost = u128::from(100u32.saturating_sub(margin_percent));
    charged.0 > 0 && cost.0.saturating_mul(100) <= charged.0.saturating_mul(left_for_cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(above_percent: Option<u32>, below_percent: Option<u32>) -> SpentShare {
        SpentShare {
            of: None,
            unit: Unit::Budget,
            per: None,
            above_percent,
            below_percent,
        }
    }

    #[test]
    fn one_of_two_that_meet_at_a_share_always_holds() {
        let (above, below) = (share(Some(80), None), share(None, Some(80)));
        for used in [0, 79, 80, 81, 100, 250] {
            assert_eq!(above.holds((used, 100)), used >= 80, "{used}");
            assert_eq!(below.holds((used, 100)), used < 80, "{used}");
        }
        assert!(above.holds((u64::MAX, u64::MAX)) && share(Some(50), Some(100)).holds((5, 10)));
    }

    #[test]
    fn a_margin_is_a_share_of_what_is_charged() {
        let (charged, cost) = (PicoUsd(1_000), PicoUsd(800));
        assert!(leaves_margin(charged, cost, 20) && !leaves_margin(charged, cost, 21));
        assert!(leaves_margin(charged, charged, 0) && !leaves_margin(charged, PicoUsd(1_001), 0));
        assert!(!leaves_margin(PicoUsd(0), PicoUsd(0), 0));
    }
}

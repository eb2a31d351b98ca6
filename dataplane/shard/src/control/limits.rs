//! How limits stand, for whoever asks: read from the balances that the shards write.

use serde_json::json;
use tollgate_config::{
    document::{LimitMode, Unit},
    link::LimitStatus,
    money::NanoUsd,
};
use tollgate_engine::limits::{Crossed, Notice, Report, Scope, report, report_tag};

use super::{Control, unix_ms};
use crate::messages::ToShard;

/// Between two looks at balances that are worth nothing.
pub(super) const SWEEP_INTERVAL: std::time::Duration = std::time::Duration::from_secs(600);

/// Of the keys and models of a document only so many are told as metrics.
const MAX_TOLD: usize = 2_000;

impl Control {
    /// Those of a name in a scope; an empty name is every name's.
    pub(super) fn limits(&self, scope: &str, name: &str) -> Vec<LimitStatus> {
        if scope == Scope::Tag.name() {
            return self.of_tag(name);
        }
        self.reports(|of, named| of.name() == scope && (name.is_empty() || named == name))
    }

    /// Of one value of a tag: nobody knows them all.
    fn of_tag(&self, tag: &str) -> Vec<LimitStatus> {
        let snapshot = self.running.as_ref().map(|running| &running.prepared.snapshot);
        let told = snapshot.map(|snapshot| report_tag(snapshot, &self.balances, unix_ms(), tag));
        told.into_iter().flatten().map(status).collect()
    }

    /// Gives balances back that are worth nothing any more. No other process shares them: the state directory is locked.
    pub(super) fn sweep_balances(&mut self) {
        let marked = self.balances.mark_worthless(unix_ms());
        if !marked.is_empty() && self.shards.ask(ToShard::Turned).is_ok() && self.cluster.turned() {
            // Who does not answer may be about anything: then they stay, and are found again.
            self.balances.free_marked(&marked, unix_ms());
        }
        let fill = self.balances.fill();
        let was_told = std::mem::replace(&mut self.told_half_full, fill.is_half());
        if fill.is_half() && !was_told {
            let text = format!(
                "{} limits have a balance, of the {} that there is room for: new values of tags are refused, and calls under \
                 other limits are once there is no room at all",
                fill.taken, fill.cells
            );
            self.tell("limits_table_half_full", text);
        }
    }

    /// So much of a limit is used that somebody should know.
    pub(super) fn tell_crossed(&mut self, crossed: Crossed) {
        let (kind, what) = match crossed.notice {
            Notice::Threshold(percent) => ("limit_threshold", format!("{percent}% are used")),
            Notice::Debt => ("limit_debt", "more was used than it allows".to_owned()),
        };
        let status = status(Report {
            scope: crossed.scope,
            name: crossed.name.to_string(),
            limit: crossed.limit,
            level: crossed.level,
        });
        let percent = match crossed.notice {
            Notice::Threshold(percent) => Some(percent),
            Notice::Debt => None,
        };
        let amount = |count: u64| match status.unit == Unit::Budget.name() {
            true => format!("{} USD", NanoUsd(count)),
            false => count.to_string(),
        };
        let whose = match crossed.scope {
            Scope::Organization => "organization".to_owned(),
            scope => format!("{} '{}'", scope.name(), status.name),
        };
        let per = status.per.as_deref().unwrap_or_default();
        let text = format!(
            "{whose}: {what} of {} {} per {per}: {}",
            amount(status.limit),
            status.unit,
            amount(status.used)
        );
        let facts = json!({
            "scope": status.scope, "name": status.name, "unit": status.unit, "per": status.per,
            "mode": if status.enforced { "enforce" } else { "shadow" }, "threshold_percent": percent,
            "limit": amount(status.limit), "used": amount(status.used), "remaining": amount(status.remaining),
            "debt": amount(status.debt), "reset_s": status.reset_ms.div_ceil(1_000),
        });
        self.tell_with(kind, text, Some(facts));
    }

    pub(super) fn all_limits(&self) -> Vec<LimitStatus> {
        let mut all = self.reports(|_, _| true);
        all.truncate(MAX_TOLD);
        all
    }

    fn reports(&self, wanted: impl Fn(Scope, &str) -> bool) -> Vec<LimitStatus> {
        let Some(running) = &self.running else {
            return Vec::new();
        };
        let prepared = &running.prepared;
        let told = report((&prepared.snapshot, &prepared.keys), &self.balances, unix_ms(), wanted);
        told.into_iter().map(status).collect()
    }
}

fn status(told: Report) -> LimitStatus {
    LimitStatus {
        scope: told.scope.name().to_owned(),
        name: told.name,
        unit: told.limit.unit.name().to_owned(),
        per: told.limit.window.told(),
        enforced: told.limit.mode == LimitMode::Enforce,
        limit: told.level.limit,
        used: told.level.used,
        remaining: told.level.remaining(),
        debt: told.level.debt(),
        hard: told.limit.hard,
        cut: told.limit.cut,
        reset_ms: told.level.reset_ms,
    }
}

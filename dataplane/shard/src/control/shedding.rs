//! Models that refuse calls for want of room: each shard tells for itself, operators are told once.

use std::collections::BTreeMap;

use super::Control;

/// Models, how many shards refuse calls of each, and how many calls the others refused that have ceased to.
#[derive(Default)]
pub(super) struct Shedding(BTreeMap<String, (usize, u64)>);

impl Shedding {
    /// A shard begins; true where it is the first.
    fn begins(&mut self, model: &str) -> bool {
        let (shards, _) = self.0.entry(model.to_owned()).or_default();
        *shards += 1;
        *shards == 1
    }

    /// A shard has ceased, having refused so many. How many all did, where it was the last.
    fn ends(&mut self, model: &str, refused: u64) -> Option<u64> {
        let (shards, all) = self.0.get_mut(model)?;
        *all += refused;
        *shards = shards.saturating_sub(1);
        if *shards > 0 {
            return None;
        }
        self.0.remove(model).map(|(_, all)| all)
    }
}

/// Under which shards that are saturated are counted: no model has that name.
const SHARDS: &str = "";

impl Control {
    pub(super) fn tell_saturated(&mut self, ended: Option<u64>) {
        let Some(refused) = ended else {
            if self.shedding.begins(SHARDS) {
                let text = "shards have more to do than they bear: calls are refused, those of low priority first";
                self.tell("shed", text.to_owned());
            }
            return;
        };
        if let Some(refused) = self.shedding.ends(SHARDS, refused) {
            self.tell(
                "shed_ended",
                format!("the shards keep up again; {refused} calls were refused"),
            );
        }
    }

    pub(super) fn tell_shed(&mut self, model: String, ended: Option<u64>) {
        let Some(refused) = ended else {
            if self.shedding.begins(&model) {
                let text = format!(
                    "model '{model}': calls are refused, those of low priority first; its targets have no room"
                );
                self.tell("shed", text);
            }
            return;
        };
        if let Some(refused) = self.shedding.ends(&model, refused) {
            let text = format!("model '{model}': there is room again; {refused} calls were refused");
            self.tell("shed_ended", text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_shard_begins_it_and_the_last_ends_it() {
        let mut shedding = Shedding::default();
        assert!(shedding.begins("m"));
        assert!(!shedding.begins("m"));
        assert!(shedding.begins("n"));
        assert_eq!(shedding.ends("m", 3), None);
        assert_eq!(shedding.ends("m", 4), Some(7));
        assert_eq!(shedding.ends("m", 4), None, "a message may have been lost");
        assert!(shedding.begins("m"));
    }
}

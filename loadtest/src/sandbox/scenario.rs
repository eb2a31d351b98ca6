//! Rules, incidents and limits in force, by the model's name: a YAML or JSON document, replaceable while running.
//!
//! ```yaml
//! seed: 7                                  # of every draw of latencies and gaps
//! rules:                                   # the first that matches, and whose share falls due, applies
//!   - { model: "gpt-*", latency: "lognormal(300ms, 2s)", gap: "histogram:gaps.txt" }
//! incidents:                               # counted from the start, or from when the document was put; over the rules
//!   - { at: 30s, for: 20s, share: 0.3, status: 529 }
//! limits:                                  # the first that matches holds, for each credential by itself
//!   - { model: "claude-*", requests-per-minute: 50, input-tokens-per-minute: 30000 }
//! ```
//!
//! `model` ends in at most one `*`, and absent matches any; `share` is of the matching requests, spread evenly. The other
//! words of rules and incidents are those of [`Wishes`].

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    document::{Document, Entry, Member, Wrong},
    fault::Wishes,
    limits::{Limit, Meter},
    spread::{self, Folder},
};

#[derive(Debug, Default)]
pub struct Scenario {
    pub seed: u64,
    rules: Vec<Rule>,
    incidents: Vec<Incident>,
    limits: Vec<(Pattern, Limit)>,
}

#[derive(Debug)]
struct Rule {
    model: Pattern,
    /// Parts per million of the matching requests.
    share_ppm: u64,
    seen: AtomicU64,
    wishes: Wishes,
}

/// A rule that holds for a time, in nanoseconds from when the scenario began.
#[derive(Debug)]
struct Incident {
    from_ns: u64,
    until_ns: u64,
    rule: Rule,
}

/// A model's name, or the beginning of one; nothing matches all.
#[derive(Debug, Default)]
struct Pattern(Option<String>);

impl Scenario {
    /// Reads a file; the error is `FILE:LINE:COLUMN: /pointer: what is wrong`.
    pub fn read(path: &Path) -> Result<Self, String> {
        let name = path.display();
        let text = std::fs::read(path).map_err(|bad| format!("{name}: {bad}"))?;
        Self::parse(&text, path.parent()).map_err(|reason| format!("{name}:{reason}"))
    }

    /// Reads a document; the error begins with line and column. Files it names are relative to `folder`; without
    /// one it may name none.
    pub fn parse(text: &[u8], folder: Folder) -> Result<Self, String> {
        let document = Document::parse(text)?;
        Ok(Self {
            seed: document.seed,
            rules: document.each("rules", &document.rules, |entry| {
                let mut rule = Rule::default();
                entry.each(|member| rule.set(member, folder))?;
                Ok(rule)
            })?,
            incidents: document.each("incidents", &document.incidents, |entry| Incident::parse(entry, folder))?,
            limits: document.each("limits", &document.limits, parse_limit)?,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.incidents.is_empty() && self.limits.is_empty()
    }

    /// What is wished for a request of this model, so long after the scenario began.
    pub fn wishes(&self, model: &str, age_ns: u64) -> Wishes {
        let due = self.rules.iter().find(|rule| rule.is_due(model));
        let mut wishes = due.map(|rule| rule.wishes.clone()).unwrap_or_default();
        let mut incidents = self.incidents.iter();
        let happens = incidents
            .find(|incident| (incident.from_ns..incident.until_ns).contains(&age_ns) && incident.rule.is_due(model));
        if let Some(incident) = happens {
            wishes.overlay(&incident.rule.wishes);
        }
        wishes
    }

    /// The limit that holds for a model.
    pub fn limit(&self, model: &str) -> Option<&Limit> {
        let found = self.limits.iter().find(|(pattern, _)| pattern.matches(model));
        found.map(|(_, limit)| limit)
    }
}

impl Pattern {
    fn matches(&self, model: &str) -> bool {
        match &self.0 {
            None => true,
            Some(pattern) => match pattern.strip_suffix('*') {
                Some(prefix) => model.starts_with(prefix),
                None => pattern == model,
            },
        }
    }
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            model: Pattern::default(),
            share_ppm: 1_000_000,
            seen: AtomicU64::new(0),
            wishes: Wishes::default(),
        }
    }
}

impl Rule {
    fn set(&mut self, member: &Member, folder: Folder) -> Result<(), String> {
        let value = member.value.as_str();
        match member.word.as_str() {
            "model" => self.model = Pattern(Some(value.to_owned())),
            "share" => {
                let share = value.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
                self.share_ppm = (share.ok_or("share: a number from 0 to 1 is required")? * 1e6) as u64;
            }
            word => self.wishes.set_in(folder, word, value)?,
        }
        Ok(())
    }

    /// Spreads the share evenly: of every 1/share matching requests the last is due.
    fn is_due(&self, model: &str) -> bool {
        if !self.model.matches(model) {
            return false;
        }
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        (seen + 1) * self.share_ppm / 1_000_000 > seen * self.share_ppm / 1_000_000
    }
}

impl Incident {
    fn parse(entry: &Entry, folder: Folder) -> Result<Self, Wrong> {
        let (mut at_ns, mut for_ns) = (None, None);
        let mut rule = Rule::default();
        entry.each(|member| {
            let duration = || spread::duration_ns(&member.value);
            match member.word.as_str() {
                "at" => at_ns = Some(duration()?),
                "for" => match duration()? {
                    0 => return Err("for: an incident lasts longer than nothing, as in 'for: 20s'".to_owned()),
                    ns => for_ns = Some(ns),
                },
                _ => rule.set(member, folder)?,
            }
            Ok(())
        })?;
        let (Some(from_ns), Some(for_ns)) = (at_ns, for_ns) else {
            return Err(entry.wrong("'at' and 'for' are required, as in 'at: 30s, for: 20s'"));
        };
        Ok(Self {
            from_ns,
            until_ns: from_ns + for_ns,
            rule,
        })
    }
}

fn parse_limit(entry: &Entry) -> Result<(Pattern, Limit), Wrong> {
    let mut pattern = Pattern::default();
    let mut meters = Vec::new();
    entry.each(|member| {
        if member.word == "model" {
            pattern = Pattern(Some(member.value.clone()));
            return Ok(());
        }
        let meter = Meter::ALL.into_iter().find(|meter| meter.word() == member.word);
        let words = Meter::ALL.map(Meter::word).join(", ");
        let meter = meter.ok_or(format!("'{}' is none of model, {words}", member.word))?;
        match member.value.parse::<u64>() {
            Ok(limit) if limit > 0 => meters.push((meter, limit)),
            _ => return Err(format!("{}: a positive integer is required", member.word)),
        }
        Ok(())
    })?;
    if meters.is_empty() {
        return Err(entry.wrong("nothing is limited; 'requests-per-minute: 60' would be right"));
    }
    Ok((pattern, Limit::new(meters)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Scenario, String> {
        Scenario::parse(text.as_bytes(), None)
    }

    #[test]
    fn a_share_is_spread_evenly_over_the_models_it_names() {
        let scenario = parse(r#"{"rules":[{"model":"gpt-*","share":0.25,"status":529}]}"#).unwrap();
        let failed = (0..100)
            .filter(|_| scenario.wishes("gpt-5", 0).status == Some(529))
            .count();
        assert_eq!(failed, 25);
        assert_eq!(scenario.wishes("claude", 0).status, None);
    }

    #[test]
    fn an_incident_lasts_as_long_as_it_says_and_lies_over_the_rules() {
        let scenario = parse(
            "rules: [{ latency: 5ms, tokens: 9 }]\nincidents:\n  - at: 30s\n    for: 20s\n    share: 0.3\n    model: gpt-*\n    status: 529\n    latency: 1s\n",
        )
        .unwrap();
        let failed_at = |seconds: u64| {
            (0..100)
                .filter(|_| scenario.wishes("gpt-5", seconds * 1_000_000_000).status == Some(529))
                .count()
        };
        assert_eq!([0, 29, 30, 49, 50].map(failed_at), [0, 0, 30, 30, 0]);
        let during = (0..4)
            .map(|_| scenario.wishes("gpt-5", 40_000_000_000))
            .find(|wishes| wishes.status.is_some())
            .unwrap();
        assert_eq!(
            (during.tokens, during.latency),
            (Some(9), Some(spread::Spread::Constant(1_000_000_000)))
        );
        assert_eq!(scenario.wishes("claude", 40_000_000_000).status, None);
    }

    #[test]
    fn limits_are_found_by_model() {
        let scenario =
            parse("limits:\n  - { model: 'gpt-*', requests-per-minute: 3 }\n  - { tokens-per-minute: 5 }\n").unwrap();
        assert!(format!("{:?}", scenario.limit("gpt-5")).contains("Requests, 3"));
        assert!(format!("{:?}", scenario.limit("claude")).contains("Tokens, 5"));
        assert!(parse("{}").unwrap().limit("gpt-5").is_none() && parse("{}").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_pointer() {
        for (text, line, named) in [
            ("rules:\n  - {}\n  - sttaus: 500\n", 3, "/rules/1/sttaus"),
            (
                "rules:\n  - status: 500\n    share: 2\n",
                3,
                "/rules/0/share: a number from 0 to 1",
            ),
            ("{\"rules\":[{},\n{\"latency\":\"soon\"}]}", 2, "/rules/1/latency"),
            (
                "incidents:\n  - at: 3s\n    status: 500\n",
                2,
                "/incidents/0: 'at' and 'for'",
            ),
            (
                "limits:\n  - model: a\n    requests-per-minute: 0\n",
                3,
                "/limits/0/requests-per-minute: a positive",
            ),
            ("limits:\n  - model: a\n", 2, "/limits/0: nothing is limited"),
            ("limits:\n  - rpm: 5\n", 2, "/limits/0/rpm: 'rpm' is none of"),
            ("seed: 1\nrule: []\n", 2, "rule"),
            ("rules: [\n", 1, "bracket"),
        ] {
            let reason = parse(text).unwrap_err();
            assert!(
                reason.starts_with(&format!("{line}:")) && reason.contains(named),
                "{text}: {reason}"
            );
        }
    }
}

//! Prompts that are sent shorter than they came: what is left out of their texts, and where in a request those stand. The body
//! is changed once, in the client's own words, behind the cache and before a target is chosen: whoever is asked gets the
//! same. Pure but for the stage; knows no provider.

mod body;
mod comments;
pub(crate) mod compare;
mod duplicates;
mod extract;
mod fences;
pub(crate) mod heard;
mod json;
mod stage;
pub mod summary;
mod tables;
mod whitespace;

pub use body::{Shortened, shorten_body};
pub(crate) use stage::{enter, told};
use tollgate_config::document::{Compress, CompressMode, Steps};

use fences::Part;

use crate::snapshot::ModelNames;

/// What a model's `compress` says, compiled.
#[derive(Debug)]
pub(crate) struct Plan {
    mode: CompressMode,
    steps: Steps,
    summarize: Option<summary::Rules>,
    compare_percent: Option<u32>,
}

impl Plan {
    pub fn new(configured: &Compress, models: &ModelNames) -> Self {
        let summarize = configured.summarize.as_ref();
        Self {
            mode: configured.mode,
            steps: configured.steps,
            summarize: summarize.and_then(|summarize| summary::Rules::new(summarize, models)),
            compare_percent: configured.compare_percent,
        }
    }
}

/// By how much a prompt was made shorter, or would have been. Tokens are counted here, of the texts that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shorter {
    pub bytes_before: u64,
    pub bytes_after: u64,
    pub tokens_before: u64,
    pub tokens_after: u64,
    /// It was sent like that.
    pub is_sent: bool,
}

impl Shorter {
    pub fn tokens_saved(&self) -> u64 {
        self.tokens_before.saturating_sub(self.tokens_after)
    }

    /// For metrics.
    pub fn mode(&self) -> &'static str {
        match self.is_sent {
            true => "on",
            false => "shadow",
        }
    }
}

/// One text, by those of the steps that need no other: none where it stays as it is. Never longer than before, and the same
/// when it is made shorter again.
pub fn shorten_text(text: &str, steps: Steps) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    for part in fences::parts(text) {
        match part {
            Part::Prose(at) => prose(text.get(at).unwrap_or_default(), steps, &mut out),
            Part::Code { whole, inside, info } => {
                let (code, info) = (text.get(inside.clone()), text.get(info));
                let shorter = self::code(code.unwrap_or_default(), info.unwrap_or_default(), steps);
                match shorter {
                    Some(shorter) => {
                        out.push_str(text.get(whole.start..inside.start).unwrap_or_default());
                        out.push_str(&shorter);
                        out.push_str(text.get(inside.end..whole.end).unwrap_or_default());
                    }
                    None => out.push_str(text.get(whole).unwrap_or_default()),
                }
            }
        }
    }
    (out.len() < text.len()).then_some(out)
}

fn prose(prose: &str, steps: Steps, out: &mut String) {
    let mut text = prose.to_owned();
    let mut step = |is_taken: bool, shorten: fn(&str, &mut String)| {
        if is_taken {
            let mut shorter = String::with_capacity(text.len());
            shorten(&text, &mut shorter);
            text = shorter;
        }
    };
    step(steps.json, json::shorten);
    step(steps.tables, tables::pack);
    step(steps.whitespace, whitespace::squeeze);
    out.push_str(&text);
}

fn code(code: &str, info: &str, steps: Steps) -> Option<String> {
    let is_json = info
        .split([' ', '\t'])
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case("json"));
    if steps.json && is_json {
        let mut shorter = json::whole(code)?;
        shorter.push_str(if code.ends_with('\n') { "\n" } else { "" });
        return (shorter.len() < code.len()).then_some(shorter);
    }
    steps.comments.then(|| comments::strip(info, code))?
}

#[cfg(test)]
mod tests;

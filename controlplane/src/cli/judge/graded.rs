//! Prompts whose answers by a strong and a weak model were graded, and the requests that they came in.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tollgate_config::fnv::Fnv;
use tollgate_engine::routing::meaning::{Gauge, Gauged, Workspace};

use super::lines;
use crate::cli::CliError;

const LINE: &str = "a line is {\"prompt\": TEXT, \"strong_ok\": true or false, \"weak_ok\": true or false}";
/// Of a conversation and its tools that are made up: as many as matter.
const MAX_TURNS: u32 = 1_000;
const MAX_TOOLS: u32 = 1_000;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    prompt: String,
    /// The request as it was made, in any dialect; instead of `prompt`.
    body: Option<Map<String, Value>>,
    strong_ok: bool,
    weak_ok: bool,
    /// Of the conversation that the prompt is the end of.
    #[serde(default)]
    turns: u32,
    #[serde(default)]
    tools: u32,
}

/// A graded prompt with what it was found to be like.
pub struct Graded {
    pub gauged: Gauged,
    pub strong_ok: bool,
    pub weak_ok: bool,
    /// Made from its text: the same prompt is on the same side of every split.
    pub hash: u64,
}

impl Graded {
    /// By how much the strong model's answer was better.
    pub fn difference(&self) -> i8 {
        i8::from(self.strong_ok) - i8::from(self.weak_ok)
    }

    /// One in five takes no part in making weights.
    pub fn is_held_out(&self) -> bool {
        self.hash.is_multiple_of(5)
    }
}

/// Reads the file and gauges each prompt as the data plane would.
pub fn read(file: &Path, gauge: &Gauge) -> Result<Vec<Graded>, CliError> {
    let lines = lines::<Line>(file, LINE)?;
    let mut workspace = Workspace::default();
    let mut graded = Vec::with_capacity(lines.len());
    for line in lines {
        let gauged = gauge.gauge(line.body().to_string().as_bytes(), &mut workspace);
        graded.push(Graded {
            hash: Fnv::of(gauged.text.as_bytes()),
            gauged,
            strong_ok: line.strong_ok,
            weak_ok: line.weak_ok,
        });
    }
    Ok(graded)
}

impl Line {
    fn body(&self) -> Value {
        if let Some(body) = &self.body {
            return Value::Object(body.clone());
        }
        let earlier = self.turns.saturating_sub(1).min(MAX_TURNS);
        let earlier = (0..earlier).map(|_| json!({ "role": "assistant", "content": "" }));
        let own = json!({ "role": "user", "content": self.prompt });
        let tools = (0..self.tools.min(MAX_TOOLS)).map(|_| json!({}));
        json!({
            "messages": earlier.chain([own]).collect::<Vec<_>>(), "tools": tools.collect::<Vec<_>>(),
        })
    }
}

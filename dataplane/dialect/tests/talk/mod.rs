//! Compares what two requests say: texts, tool calls and their results, in order and by role. How a dialect cuts a turn
//! into messages and parts is its own affair; system text may be hoisted; media, thoughts and marks are features, and
//! not compared.

use tollgate_dialect::canonical::{
    feature::{Drops, Feature},
    request::{Content, Part, Request, Role},
};

/// What one side says before the other does.
#[derive(Debug, PartialEq)]
struct Run {
    role: Role,
    texts: Vec<String>,
    calls: Vec<(Option<String>, String, serde_json::Value)>,
    results: Vec<Answered>,
    /// Documents may become text.
    media: bool,
}

impl Run {
    /// Nothing but media.
    fn is_media(&self) -> bool {
        self.media && self.texts.is_empty() && self.calls.is_empty() && self.results.is_empty()
    }
}

#[derive(Debug, PartialEq)]
struct Answered {
    call_id: Option<String>,
    /// Of each part that is no medium.
    said: Vec<String>,
}

pub fn compare(request: &Request<'_>, told: &Request<'_>, drops: &Drops) -> Result<(), String> {
    let (asked, told) = (Talk::of(request), Talk::of(told));
    compare_texts(&asked.system, &told.system, false).map_err(|what| format!("system: {what}"))?;
    let mut runs: Vec<&Run> = asked.runs.iter().collect();
    if drops.features().contains(&Feature::Prefill) && runs.len() == told.runs.len() + 1 {
        runs.pop();
    }
    if runs.len() > told.runs.len() {
        // Media that the dialect cannot be given leaves nothing of a run that was nothing else; that is noted.
        runs.retain(|run| !run.is_media());
    }
    let mut told_runs: Vec<&Run> = told.runs.iter().collect();
    if runs.first().is_some_and(|run| run.role == Role::Assistant) && told_runs.len() == runs.len() + 1 {
        // Some dialects let nobody but the user begin, and are told of a beginning.
        told_runs.remove(0);
    }
    let asked_roles: Vec<Role> = runs.iter().map(|run| run.role).collect();
    let told_roles: Vec<Role> = told_runs.iter().map(|run| run.role).collect();
    if asked_roles != told_roles {
        return Err(format!("roles {asked_roles:?} became {told_roles:?}"));
    }
    for (at, (asked, told)) in runs.into_iter().zip(told_runs).enumerate() {
        compare_runs(asked, told).map_err(|what| format!("run {at}: {what}"))?;
    }
    Ok(())
}

/// Names of the tools that were called.
pub fn calls(request: &Request<'_>) -> impl Iterator<Item = String> {
    let parts = request.turns.iter().flat_map(|turn| &turn.parts);
    parts.filter_map(|part| match &part.content {
        Content::ToolCall { name, .. } => Some(plain(name)),
        _ => None,
    })
}

#[derive(Default)]
struct Talk {
    system: Vec<String>,
    runs: Vec<Run>,
}

impl Talk {
    fn of(request: &Request<'_>) -> Talk {
        let mut talk = Talk::default();
        for turn in &request.turns {
            for part in &turn.parts {
                match (turn.role, &part.content) {
                    (Role::System | Role::Developer, Content::Text(text)) => talk.system.push(plain(text)),
                    (Role::System | Role::Developer, _) => {}
                    (role, _) => talk.take(role, part),
                }
            }
        }
        talk
    }

    fn take(&mut self, role: Role, part: &Part<'_>) {
        let run = match &part.content {
            Content::Thinking(_) | Content::Sealed { .. } => return,
            Content::Text(text) if text.is_empty() => return,
            _ => self.run(role),
        };
        match &part.content {
            Content::Text(text) | Content::Refusal(text) => run.texts.push(plain(text)),
            Content::Json(raw) => run.texts.push(String::from_utf8_lossy(raw).into_owned()),
            Content::Media(_) => run.media = true,
            Content::ToolCall { id, name, arguments } => run.calls.push((
                id.as_ref().map(plain),
                plain(name),
                serde_json::from_slice(&arguments.object().expect("arguments")).expect("arguments"),
            )),
            Content::ToolResult { call_id, parts, .. } => run.results.push(Answered {
                call_id: call_id.as_ref().map(plain),
                said: parts.iter().filter_map(result_text).collect(),
            }),
            Content::Thinking(_) | Content::Sealed { .. } => {}
        }
    }

    fn run(&mut self, role: Role) -> &mut Run {
        if self.runs.last().is_none_or(|run| run.role != role) {
            self.runs.push(Run {
                role,
                texts: Vec::new(),
                calls: Vec::new(),
                results: Vec::new(),
                media: false,
            });
        }
        self.runs.last_mut().expect("a run")
    }
}

fn plain(text: &tollgate_dialect::json::Text<'_>) -> String {
    text.plain().expect("a text").into_owned()
}

fn result_text(part: &Part<'_>) -> Option<String> {
    match &part.content {
        Content::Text(text) => Some(plain(text)),
        Content::Json(raw) => Some(String::from_utf8_lossy(raw).into_owned()),
        _ => None,
    }
}

fn compare_runs(asked: &Run, told: &Run) -> Result<(), String> {
    compare_texts(&asked.texts, &told.texts, asked.media || told.media)?;
    let same = asked.calls.len() == told.calls.len()
        && asked.calls.iter().zip(&told.calls).all(|(one, other)| {
            let ids = one.0.is_none() || other.0.is_none() || one.0 == other.0;
            ids && (&one.1, &one.2) == (&other.1, &other.2)
        });
    if !same {
        return Err(format!("calls {:?} became {:?}", asked.calls, told.calls));
    }
    let same = asked.results.len() == told.results.len()
        && asked.results.iter().zip(&told.results).all(|(one, other)| {
            let told = other.said.join("\n");
            let mut said = one.said.iter().flat_map(|said| scalars(said));
            one.call_id == other.call_id && said.all(|scalar| holds(&told, &scalar))
        });
    match same {
        true => Ok(()),
        false => Err(format!("results {:?} became {:?}", asked.results, told.results)),
    }
}

/// Every text, in order; and nothing else but white space, unless documents may have become text.
fn compare_texts(asked: &[String], told: &[String], more: bool) -> Result<(), String> {
    let told = told.join("\n");
    let mut rest = told.as_str();
    for text in asked {
        // Some dialects take no white space at the end.
        match rest.split_once(text.trim()) {
            Some((_, behind)) => rest = behind,
            None => return Err(format!("{text:?} is not in {told:?}")),
        }
    }
    let bare = |text: &str| text.split_whitespace().collect::<String>();
    match more || bare(&told) == bare(&asked.concat()) {
        true => Ok(()),
        false => Err(format!("{asked:?} became {told:?}")),
    }
}

/// The strings and numbers of a result that is JSON; else its text.
fn scalars(said: &str) -> Vec<String> {
    fn gather(value: &serde_json::Value, into: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(members) => members.values().for_each(|value| gather(value, into)),
            serde_json::Value::Array(elements) => elements.iter().for_each(|value| gather(value, into)),
            serde_json::Value::String(text) => into.push(text.clone()),
            other => into.push(other.to_string()),
        }
    }
    let mut found = Vec::new();
    match serde_json::from_str(said) {
        Ok(value @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) => gather(&value, &mut found),
        _ => found.push(said.to_owned()),
    }
    found
}

/// As it is, or as it stands in a JSON string.
fn holds(said: &str, scalar: &str) -> bool {
    let escaped = serde_json::Value::from(scalar).to_string();
    said.contains(scalar) || said.contains(escaped.trim_matches('"'))
}

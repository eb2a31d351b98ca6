//! What is wrong with a document, as `check` finds it.

use tollgate_config::{Problem, check::check, parse::parse};

/// Of a text that may not be YAML either.
pub fn problems(text: &str) -> Vec<Problem> {
    match parse(text) {
        Ok(parsed) => check(&parsed).err().unwrap_or_default(),
        Err(problems) => problems,
    }
}

/// Each as `POINTER: wrong; right`.
pub fn said(text: &str) -> String {
    let said = |problem: &Problem| format!("{}: {}; {}", problem.pointer, problem.wrong, problem.right);
    problems(text).iter().map(said).collect::<Vec<_>>().join("\n")
}

/// Each as `LINE:COLUMN: POINTER: wrong; right`.
pub fn lines(text: &str) -> String {
    problems(text).iter().map(line).collect::<Vec<_>>().join("\n")
}

pub fn line(problem: &Problem) -> String {
    problem.line("").trim_start_matches(':').to_owned()
}

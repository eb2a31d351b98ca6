//! The keys of `guards` and of a model's `compress`.

use super::Section;

pub static GUARD: Section = Section {
    path: "guards.*",
    now: &["kind", "deny", "allow", "threshold", "action", "mode", "on"],
    not_yet: &["entities", "restore"],
};

pub static COMPRESS: Section = Section {
    path: "models.*.compress",
    now: &[
        "mode",
        "whitespace",
        "duplicates",
        "json",
        "tables",
        "comments",
        "extract",
        "summarize",
        "compare",
    ],
    not_yet: &[],
};

pub static SUMMARIZE: Section = Section {
    path: "models.*.compress.summarize",
    now: &["model", "after", "keep_turns", "max_tokens", "timeout", "wait"],
    not_yet: &[],
};

pub static EXTRACT: Section = Section {
    path: "models.*.compress.extract",
    now: &["ratio"],
    not_yet: &[],
};

//! The catalogue's quirks of a model → those that the dialects' writers obey.

use tollgate_config::{
    catalogue::{self, Row},
    document::Dialect,
};
use tollgate_dialect::quirks::{Clamp, MaxTokensField, Quirks, ThinkingForm};

/// `model` is the name that the catalogue knows.
pub(super) fn of(row: &Row, dialect: Dialect, model: &str) -> Quirks {
    let quirks = row.quirks(model);
    let most = row.facts(model).and_then(|facts| facts.max_output_tokens);
    Quirks {
        max_tokens_field: match quirks.max_tokens_field {
            catalogue::MaxTokensField::MaxTokens => MaxTokensField::MaxTokens,
            catalogue::MaxTokensField::MaxCompletionTokens => MaxTokensField::MaxCompletionTokens,
        },
        default_max_tokens: most.map_or(quirks.default_max_tokens, |most| most.min(quirks.default_max_tokens)),
        most_max_tokens: most,
        native_schema: quirks.native_schema,
        prefill: quirks.prefill,
        sampling: quirks.sampling,
        thinking_form: thinking_form(row, dialect, quirks),
        developer_role: quirks.developer_role,
        stream_usage: quirks.asks_stream_usage(),
        drop: quirks.drop.clone(),
        rename: quirks.rename.clone(),
        set: quirks.set.clone(),
        clamp: quirks
            .clamp
            .iter()
            .map(|clamp| Clamp {
                name: clamp.name.clone(),
                least: clamp.least,
                most: clamp.most,
            })
            .collect(),
    }
}

/// Claude's generations differ in three things at once: those that take a prefill think by budget, those that take
/// sampling alone take both forms, the later ones choose for themselves.
fn thinking_form(row: &Row, dialect: Dialect, quirks: &catalogue::Quirks) -> ThinkingForm {
    if row.kind.is_empty() || dialect != Dialect::Anthropic {
        return ThinkingForm::AsAsked;
    }
    match (quirks.prefill, quirks.sampling) {
        (true, _) => ThinkingForm::Budget,
        (false, true) => ThinkingForm::AsAsked,
        (false, false) => ThinkingForm::Adaptive,
    }
}

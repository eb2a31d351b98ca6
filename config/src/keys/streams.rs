//! What a model says of its streams.

use super::Section;

pub static MODEL_TIMEOUTS: Section = Section {
    path: "models.*.timeouts",
    now: &["first_token", "between_tokens"],
    not_yet: &[],
};

pub static ON_CLIENT_GONE: Section = Section {
    path: "models.*.on_client_gone",
    now: &["drain"],
    not_yet: &[],
};

//! The list of models, and each of them: `types/model.py`.

use tollgate_wire::{
    head::{Known, RequestView},
    json::edit,
};

use crate::sandbox::{
    api::{Operation, Request},
    ask::Ask,
    reply::{CREATED_UNIX_S, Reply, digits, put},
    text::PromptCount,
};

/// Anthropic and Gemini have the same paths: a header or a path of theirs tells them apart.
pub fn find(view: RequestView) -> Option<&'static dyn Operation> {
    let path = view.path();
    let is_theirs = view.get(Known::AnthropicVersion).is_some()
        || view.get(Known::XGoogApiKey).is_some()
        || memchr::memmem::find(path, b"/v1beta/").is_some();
    if is_theirs {
        return None;
    }
    match memchr::memmem::rfind(path, b"/models/") {
        Some(_) => Some(&Model),
        None if path.ends_with(b"/models") => Some(&Models),
        None => None,
    }
}

struct Models;

impl Operation for Models {
    fn read<'a>(&self, _request: &Request<'a>) -> Result<Ask<'a>, String> {
        Ok(Ask::default().without_text(PromptCount::default()))
    }

    fn write(&self, out: &mut Vec<u8>, _request: &Request, _reply: &Reply) {
        put(out, &[b"{\"object\":\"list\",\"data\":["]);
        model(out, b"\"sandbox-small\"");
        put(out, &[b","]);
        model(out, b"\"sandbox-large\"");
        put(out, &[b"]}"]);
    }
}

struct Model;

impl Operation for Model {
    fn read<'a>(&self, _request: &Request<'a>) -> Result<Ask<'a>, String> {
        Ok(Ask::default().without_text(PromptCount::default()))
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, _reply: &Reply) {
        let mut id = Vec::new();
        edit::write_string(&mut id, &request.named_in_path(b"/models/", b"?"));
        model(out, &id);
    }
}

fn model(out: &mut Vec<u8>, id_json: &[u8]) {
    put(out, &[b"{\"id\":", id_json, b",\"object\":\"model\",\"created\":"]);
    put(out, &[&digits(CREATED_UNIX_S), b",\"owned_by\":\"sandbox\"}"]);
}

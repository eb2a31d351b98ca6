//! Files, batches and uploads: `types/file_object.py`, `batch.py`, `upload.py`, `uploads/upload_part.py`. Of an object its id
//! alone is kept, for the lists: it is what its id and the question make it. A batch is done as soon as it is asked about;
//! its output is listed once it was made, and the oldest object of every list is somebody else's.

use serde_json::{Value, json};
use tollgate_wire::head::{Method, RequestView};

use super::forms;
use crate::sandbox::{
    api::{Operation, Request, json as body, made},
    ask::Ask,
    reply::{CREATED_UNIX_S, Reply},
    text::PromptCount,
};

/// What a path names: a family, an object of it, and what is done to it.
struct Place<'a> {
    family: &'a str,
    id: Option<&'a str>,
    verb: Option<&'a str>,
}

fn place(path: &[u8]) -> Option<Place<'_>> {
    let mut segments = str::from_utf8(path).ok()?.split('/');
    let family = segments.find(|segment| matches!(*segment, "files" | "batches" | "uploads"))?;
    Some(Place {
        family,
        id: segments.next(),
        verb: segments.next(),
    })
}

pub fn find(view: RequestView) -> Option<&'static dyn Operation> {
    place(view.path()).map(|_| &Objects as &dyn Operation)
}

struct Objects;

impl Operation for Objects {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        let place = place(request.view.path());
        let is_new_file = place.is_some_and(|place| place.family == "files" && place.id.is_none());
        if is_new_file && request.view.head.method == Method::Post {
            forms::field(request.view, request.body, "purpose")?.ok_or("purpose: Field required")?;
        }
        Ok(Ask::default().without_text(PromptCount::default()))
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, _reply: &Reply) {
        let Some(place) = place(request.view.path()) else {
            return;
        };
        let is_get = request.view.head.method == Method::Get;
        if place.family == "files" && place.verb == Some("content") {
            return out.extend_from_slice(RESULTS.as_bytes());
        }
        let answer = match (place.family, place.id) {
            (family, None) if is_get => list(family, request.view),
            ("files", id) => file(id, request),
            ("batches", id) => batch(id, place.verb, request),
            (_, id) => upload(id, place.verb, request),
        };
        out.extend_from_slice(answer.to_string().as_bytes());
    }
}

/// A batch's output.
const RESULTS: &str = "{\"id\":\"batch_req_1\",\"custom_id\":\"a\",\"response\":{\"status_code\":200,\"body\":{\"model\":\
                       \"sandbox-small\",\"usage\":{\"prompt_tokens\":30,\"completion_tokens\":12,\"total_tokens\":42}}}}\n";

/// The same request makes the same object.
fn make_id(prefix: &str, request: &Request) -> String {
    format!("{prefix}{:08x}", crc32fast::hash(request.body))
}

/// A page of what was made with this credential.
fn list(family: &str, view: RequestView) -> Value {
    let (family, default, others) = match family {
        "files" => ("files", 10_000, "file-ofsomebodyelse"),
        _ => ("batches", 20, "batch_ofsomebodyelse"),
    };
    let limit = made::limit(view, default);
    let after = made::parameter(view, "after");
    let from = after.map_or(made::From::Beginning, made::From::Behind);
    let mut page = made::page(view, family, from, limit);
    if !page.has_more && after != Some(others) {
        match page.ids.len() < limit {
            true => page.ids.push(others.to_owned()),
            false => page.has_more = true,
        }
    }
    let object = |id: &String| match family {
        "files" => a_file(id, 1),
        _ => a_batch(id, "completed", "file-input"),
    };
    let data: Vec<Value> = page.ids.iter().map(object).collect();
    json!({"object": "list", "data": data, "first_id": page.ids.first(), "last_id": page.ids.last(),
           "has_more": page.has_more})
}

fn a_file(id: &str, bytes: usize) -> Value {
    json!({"id": id, "object": "file", "bytes": bytes, "created_at": CREATED_UNIX_S, "filename": "sandbox.jsonl",
           "purpose": "batch", "status": "processed"})
}

fn file(id: Option<&str>, request: &Request) -> Value {
    match id {
        None => {
            let id = make_id("file-", request);
            made::note(request.view, "files", &id);
            a_file(&id, request.body.len())
        }
        Some(id) if request.view.head.method == Method::Delete => {
            made::forget(request.view, "files", id);
            json!({"id": id, "object": "file", "deleted": true})
        }
        Some(id) => a_file(id, 1),
    }
}

fn batch(id: Option<&str>, verb: Option<&str>, request: &Request) -> Value {
    let asked = body::read::<Value>(request.body).unwrap_or_default();
    let input = asked["input_file_id"].as_str().unwrap_or("file-input");
    match (id, verb) {
        (None, _) => {
            // `metadata.usage: untold` makes one that is silent about what it used.
            let prefix = match asked["metadata"]["usage"].as_str() {
                Some("untold") => UNTOLD,
                _ => "batch_",
            };
            let id = make_id(prefix, request);
            made::note(request.view, "batches", &id);
            made::note(request.view, "files", &output_of(&id));
            a_batch(&id, "validating", input)
        }
        (Some(id), Some(_)) => a_batch(id, "cancelling", input),
        (Some(id), None) => a_batch(id, "completed", input),
    }
}

/// Batches whose output alone tells what they used.
const UNTOLD: &str = "batch_untold";

fn output_of(batch: &str) -> String {
    format!("file-output{}", batch.trim_start_matches("batch_"))
}

fn a_batch(id: &str, status: &str, input: &str) -> Value {
    let mut batch = json!({
        "id": id, "object": "batch", "endpoint": "/v1/chat/completions", "completion_window": "24h",
        "created_at": CREATED_UNIX_S, "status": status, "input_file_id": input,
    });
    if status == "completed" {
        batch["output_file_id"] = output_of(id).into();
        batch["model"] = "sandbox-small".into();
        if id.starts_with(UNTOLD) {
            return batch;
        }
        batch["usage"] = json!({
            "input_tokens": 30, "input_tokens_details": {"cached_tokens": 10},
            "output_tokens": 12, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 42,
        });
    }
    batch
}

fn upload(id: Option<&str>, verb: Option<&str>, request: &Request) -> Value {
    let asked = body::read::<Value>(request.body).unwrap_or_default();
    let upload = |id: &str, status: &str| {
        json!({"id": id, "object": "upload", "bytes": 11, "created_at": CREATED_UNIX_S, "filename": "sandbox.jsonl",
               "purpose": "batch", "status": status, "expires_at": CREATED_UNIX_S + 3600})
    };
    match (id, verb) {
        (None, _) => upload(&make_id("upload_", request), "pending"),
        (Some(id), Some("parts")) => json!({"id": make_id("part_", request), "object": "upload.part",
                                            "created_at": CREATED_UNIX_S, "upload_id": id}),
        (Some(id), Some("complete")) => {
            let mut whole = upload(id, "completed");
            let parts = asked["part_ids"].as_array().map_or(0, Vec::len);
            let file = make_id("file-", request);
            made::note(request.view, "files", &file);
            whole["file"] = a_file(&file, parts);
            whole
        }
        (Some(id), _) => upload(id, "cancelled"),
    }
}

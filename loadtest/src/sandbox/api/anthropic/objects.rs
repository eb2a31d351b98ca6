//! Message batches and files: `types/messages/message_batch.py`, `types/beta/file_metadata.py`. Of an object its id
//! alone is kept, for the lists: it is what its id and the question make it. A batch is done as soon as it is asked about.

use serde_json::{Value, json};
use tollgate_wire::head::{Known, Method, RequestView};

use crate::sandbox::{
    api::{Operation, Request, made},
    ask::Ask,
    reply::{CREATED_RFC_3339, Reply},
    text::PromptCount,
};

/// The family, the id and the verb behind it.
fn place(path: &[u8]) -> Option<(&'static str, Option<&str>, Option<&str>)> {
    let path = str::from_utf8(path).ok()?;
    let (family, rest) = match (path.split_once("/messages/batches"), path.split_once("/v1/files")) {
        (Some((_, rest)), _) => ("batches", rest),
        (None, Some((_, rest))) => ("files", rest),
        (None, None) => return None,
    };
    let mut segments = rest.split('/').skip(1);
    Some((family, segments.next(), segments.next()))
}

pub fn find(view: RequestView) -> Option<&'static dyn Operation> {
    view.get(Known::AnthropicVersion)?;
    place(view.path()).map(|_| &Objects as &dyn Operation)
}

struct Objects;

impl Operation for Objects {
    fn read<'a>(&self, _request: &Request<'a>) -> Result<Ask<'a>, String> {
        Ok(Ask::default().without_text(PromptCount::default()))
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, _reply: &Reply) {
        let Some((family, id, verb)) = place(request.view.path()) else {
            return;
        };
        let method = request.view.head.method;
        let deleted = |kind: &str| {
            made::forget(request.view, family, id.unwrap_or_default());
            json!({"id": id, "type": kind})
        };
        let answer = match (family, id, verb) {
            ("batches", Some(_), Some("results")) => return out.extend_from_slice(RESULTS.as_bytes()),
            ("batches", Some(_), None) if method == Method::Delete => deleted("message_batch_deleted"),
            ("batches", Some(id), Some(_)) => batch(id, "canceling"),
            ("batches", Some(id), None) => batch(id, "ended"),
            (family, None, _) if method == Method::Get => list(family, request.view),
            ("batches", None, _) => batch(&make(request, "batches", "msgbatch_"), "in_progress"),
            (_, Some(_), None) if method == Method::Delete => deleted("file_deleted"),
            (_, Some(_), Some(_)) => return out.extend_from_slice(b"the file's content"),
            (_, Some(id), None) => file(id),
            (_, None, _) => file(&make(request, "files", "file_")),
        };
        out.extend_from_slice(answer.to_string().as_bytes());
    }
}

/// Two answers and a failure.
const RESULTS: &str = concat!(
    "{\"custom_id\":\"a\",\"result\":{\"type\":\"succeeded\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\
     \"assistant\",\"model\":\"sandbox-small\",\"content\":[],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\
     \"usage\":{\"input_tokens\":20,\"cache_read_input_tokens\":4,\"output_tokens\":7}}}}\n",
    "{\"custom_id\":\"b\",\"result\":{\"type\":\"errored\",\"error\":{\"type\":\"error\",\"error\":{\"type\":\
     \"api_error\",\"message\":\"no\"}}}}\n",
    "{\"custom_id\":\"c\",\"result\":{\"type\":\"succeeded\",\"message\":{\"id\":\"msg_2\",\"type\":\"message\",\"role\":\
     \"assistant\",\"model\":\"sandbox-small\",\"content\":[],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\
     \"usage\":{\"input_tokens\":1,\"output_tokens\":2}}}}\n",
);

/// The same request makes the same object.
fn make(request: &Request, family: &'static str, prefix: &str) -> String {
    let id = format!("{prefix}{:08x}", crc32fast::hash(request.body));
    made::note(request.view, family, &id);
    id
}

/// A page of what was made with this credential. Lists of files go on at a cursor of their own (`types/beta/file_list_params.py`).
fn list(family: &'static str, view: RequestView) -> Value {
    let cursor = made::parameter(view, "page").and_then(|page| page.strip_prefix("page_"));
    let from = match (made::parameter(view, "after_id"), made::parameter(view, "before_id")) {
        (Some(id), _) => made::From::Behind(id),
        (None, Some(id)) => made::From::Before(id),
        (None, None) => cursor.map_or(made::From::Beginning, made::From::Behind),
    };
    let page = made::page(view, family, from, made::limit(view, 20));
    let object = |id: &String| match family {
        "batches" => batch(id, "ended"),
        _ => file(id),
    };
    let data: Vec<Value> = page.ids.iter().map(object).collect();
    if family == "files" {
        let last = page.ids.last().filter(|_| page.has_more);
        return json!({"data": data, "next_page": last.map(|id| format!("page_{id}"))});
    }
    json!({"data": data, "has_more": page.has_more, "first_id": page.ids.first(), "last_id": page.ids.last()})
}

fn batch(id: &str, status: &str) -> Value {
    let ended = status == "ended";
    json!({
        "id": id, "type": "message_batch", "processing_status": status,
        "request_counts": {"processing": u8::from(!ended), "succeeded": 2 * u8::from(ended), "errored": u8::from(ended),
                           "canceled": 0, "expired": 0},
        "created_at": CREATED_RFC_3339, "expires_at": CREATED_RFC_3339, "archived_at": null, "cancel_initiated_at": null,
        "ended_at": ended.then_some(CREATED_RFC_3339),
        "results_url": ended.then(|| format!("https://api.anthropic.com/v1/messages/batches/{id}/results")),
    })
}

fn file(id: &str) -> Value {
    json!({"id": id, "type": "file", "filename": "sandbox.txt", "mime_type": "text/plain", "size_bytes": 18,
           "created_at": CREATED_RFC_3339, "downloadable": true})
}

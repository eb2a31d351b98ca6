//! Responses that are made in the background: `types/responses/response_retrieve_params.py`. Of one its id alone is known;
//! it has ended as soon as it is asked about.

use serde_json::{Value, json};
use tollgate_wire::head::{Method, RequestView};

use crate::sandbox::{
    api::{Operation, Request, made},
    ask::{self, Ask},
    reply::{CREATED_UNIX_S, Events, Reply, hex, put},
    text::PromptCount,
};

const PREFIX: &str = "resp_background";

/// Does a request for a response want nobody to wait for it?
pub fn is_wanted(body: &[u8]) -> bool {
    // Nearly none does.
    memchr::memmem::find(body, b"\"background\"").is_some()
        && ask::find(body, &["background"]).is_ok_and(|[wanted]| ask::flag(wanted, "background").unwrap_or(false))
}

/// What is said of a response that has just been asked for.
pub fn begin(out: &mut Vec<u8>, reply: &Reply) {
    let id = [PREFIX.as_bytes(), &hex(reply.seed)].concat();
    let begun = response(&String::from_utf8_lossy(&id), "queued");
    put(out, &[begun.to_string().as_bytes()]);
}

pub fn find(view: RequestView) -> Option<&'static dyn Operation> {
    (view.head.method == Method::Get && id_in(view).is_some()).then_some(&Background as &dyn Operation)
}

fn id_in(view: RequestView<'_>) -> Option<&str> {
    let (_, id) = str::from_utf8(view.path()).ok()?.split_once("/responses/")?;
    id.starts_with(PREFIX).then_some(id)
}

struct Background;

impl Operation for Background {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        Ok(Ask {
            stream: made::parameter(request.view, "stream") == Some("true"),
            ..Ask::default().without_text(PromptCount::default())
        })
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, _reply: &Reply) {
        let ended = response(id_in(request.view).unwrap_or_default(), "completed");
        put(out, &[ended.to_string().as_bytes()]);
    }

    fn stream(&self, mut events: Events, request: &Request, _ask: &Ask, _reply: &Reply) {
        let id = id_in(request.view).unwrap_or_default();
        for (number, kind) in ["created", "completed"].into_iter().enumerate() {
            let status = if kind == "created" { "in_progress" } else { kind };
            let event = json!({"type": format!("response.{kind}"), "sequence_number": number, "response": response(id, status)});
            events.event(|out| {
                let kind = kind.as_bytes();
                put(
                    out,
                    &[
                        b"event: response.",
                        kind,
                        b"\ndata: ",
                        event.to_string().as_bytes(),
                        b"\n\n",
                    ],
                );
            });
        }
        events.end();
    }
}

fn response(id: &str, status: &str) -> Value {
    let ended = status == "completed";
    let usage = json!({
        "input_tokens": 40, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 49,
    });
    let message = json!({"id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
                         "content": [{"type": "output_text", "text": "done", "annotations": []}]});
    json!({
        "id": id, "object": "response", "created_at": CREATED_UNIX_S, "status": status, "background": true,
        "error": null, "incomplete_details": null, "instructions": null, "model": "sandbox-small",
        "output": if ended { json!([message]) } else { json!([]) },
        "parallel_tool_calls": true, "service_tier": "default", "store": true, "temperature": 1.0, "tool_choice": "auto",
        "tools": [], "top_p": 1.0, "usage": if ended { usage } else { Value::Null }, "metadata": {},
    })
}

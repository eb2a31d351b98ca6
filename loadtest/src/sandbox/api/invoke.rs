//! Bedrock's InvokeModel and InvokeModelWithResponseStream, for Anthropic's models: its messages, with the model in the
//! path, the version in the body, and the events of a stream in base64 in AWS's frames. Source: "Anthropic Claude Messages
//! API" in the Bedrock user guide.

use tollgate_dialect::anthropic as dialect;

use super::{Operation, Request, anthropic, bedrock};
use crate::sandbox::{
    ask::{self, Ask},
    performance::{Performer, Signs},
    reply::{Events, Reply},
};

const VERSION: &str = "bedrock-2023-05-31";

fn read<'a>(request: &Request<'a>, stream: bool) -> Result<Ask<'a>, String> {
    const PATHS: [&str; 11] = [
        "anthropic_version",
        "model",
        "stream",
        "messages",
        "max_tokens",
        "system",
        "tools",
        "output_config",
        "output_format",
        "thinking",
        "stop_sequences",
    ];
    let body = request.body;
    let found = ask::find(body, &PATHS)?;
    let version = found[0].ok_or("anthropic_version: Field required")?;
    if tollgate_wire::json::cursor::string(body, version).as_deref() != Some(VERSION) {
        return Err(format!("anthropic_version: Input should be '{VERSION}'"));
    }
    if let Some(at) = (1..=2).find(|at| found[*at].is_some()) {
        return Err(format!("{}: Extra inputs are not permitted", PATHS[at]));
    }
    let messages = ask::filled(found[3], PATHS[3])?;
    let max_tokens = ask::positive(body, found[4], PATHS[4])?.ok_or("max_tokens: Field required")?;
    Ok(Ask {
        prompt: ask::prompt(body, &[Some(messages), found[5]]),
        stream,
        max_tokens: Some(max_tokens),
        wants_more: ask::says_any(&found[6..]),
        ..bedrock::model_of(request)?
    })
}

fn performer() -> Performer {
    Performer {
        rules: anthropic::rules,
        ..Performer::new(&dialect::Framed, Signs::Thoughts)
    }
}

pub struct Invoke;

impl Operation for Invoke {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        read(request, false)
    }

    fn write(&self, out: &mut Vec<u8>, _request: &Request, reply: &Reply) {
        anthropic::buffered(out, reply);
    }

    fn performer(&self, _model: &str) -> Option<Performer> {
        Some(performer())
    }
}

pub struct InvokeStream;

impl Operation for InvokeStream {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        read(request, true)
    }

    fn write(&self, out: &mut Vec<u8>, _request: &Request, reply: &Reply) {
        anthropic::buffered(out, reply);
    }

    fn stream(&self, events: Events, _request: &Request, _ask: &Ask, reply: &Reply) {
        anthropic::stream(events, reply, anthropic::Framing::Aws);
    }

    fn stream_type(&self) -> &'static str {
        "application/vnd.amazon.eventstream"
    }

    fn performer(&self, _model: &str) -> Option<Performer> {
        Some(performer())
    }
}

#[cfg(test)]
mod tests {
    use crate::sandbox::api::tests::{read, refused};

    #[test]
    fn a_request_has_its_model_in_the_path_and_its_version_in_the_body() {
        let path = "/model/anthropic.claude-v1%3A0/invoke-with-response-stream";
        let body = br#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"Hello"}]}"#;
        read(path, body, |ask| {
            assert_eq!(
                (&*ask.model, ask.stream, ask.max_tokens),
                ("anthropic.claude-v1:0", true, Some(9))
            );
        });
        refused(path, br#"{"max_tokens":9,"messages":[{}]}"#, "anthropic_version");
        let body = br#"{"anthropic_version":"bedrock-2023-05-31","stream":true,"max_tokens":9,"messages":[{}]}"#;
        refused(path, body, "stream: Extra");
    }
}

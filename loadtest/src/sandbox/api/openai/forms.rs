//! What is sent as a form with a file: `types/audio/transcription.py`, `translation.py` and `images_response.py`. The text
//! that is heard, and the picture, follow from the model and the file's length alone.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tollgate_wire::{
    head::{Known, RequestView},
    multipart::FormReader,
};

use crate::sandbox::{
    api::{Operation, Request},
    ask::Ask,
    reply::{CREATED_UNIX_S, Reply, digits, put},
    text::PromptCount,
};

/// The fields of a form that an operation may ask for.
const FIELDS: [&[u8]; 3] = [b"model", b"purpose", b"prompt"];

/// A field's value, where the form has it; the error is the message for a 400.
pub fn field(view: RequestView, body: &[u8], name: &str) -> Result<Option<String>, String> {
    let content_type = view.get(Known::ContentType).unwrap_or_default();
    let bad = |bad| format!("the form cannot be read: {bad}");
    let mut reader = FormReader::new(content_type).map_err(bad)?;
    let mut found = None;
    let wanted = |name: &[u8]| FIELDS.contains(&name);
    let mut take = |field: tollgate_wire::multipart::Field<'_>| {
        if field.name == name.as_bytes() {
            found = Some(String::from_utf8_lossy(field.value).into_owned());
        }
    };
    reader.feed(body, wanted, &mut take).map_err(bad)?;
    match reader.is_over() {
        true => Ok(found),
        false => Err("the form does not end".to_owned()),
    }
}

fn read<'a>(request: &Request<'a>) -> Result<Ask<'a>, String> {
    let model = field(request.view, request.body, "model")?.ok_or("model: Field required")?;
    if memchr::memmem::find(request.body, b"filename=").is_none() {
        return Err("a file is required".to_owned());
    }
    Ok(Ask::of_model(&model)?.without_text(PromptCount {
        tokens: request.body.len() as u64 / 1024,
        ..PromptCount::of(&model)
    }))
}

/// Speech that becomes text.
pub struct Heard;

impl Operation for Heard {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        read(request)
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, reply: &Reply) {
        let (bytes, tokens) = (digits(request.body.len() as u64), digits(reply.prompt_tokens));
        put(out, &[b"{\"text\":\"The sandbox heard ", &bytes, b" bytes.\""]);
        put(out, &[b",\"usage\":{\"type\":\"tokens\",\"input_tokens\":", &tokens]);
        put(
            out,
            &[
                b",\"input_token_details\":{\"text_tokens\":0,\"audio_tokens\":",
                &tokens,
            ],
        );
        put(
            out,
            &[
                b"},\"output_tokens\":5,\"total_tokens\":",
                &digits(reply.prompt_tokens + 5),
                b"}}",
            ],
        );
    }
}

/// A picture made of another.
pub struct Edited;

impl Operation for Edited {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        read(request)
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, _reply: &Reply) {
        let picture = STANDARD.encode(format!("a picture of {} bytes", request.body.len()));
        put(out, &[b"{\"created\":", &digits(CREATED_UNIX_S)]);
        put(out, &[b",\"data\":[{\"b64_json\":\"", picture.as_bytes(), b"\"}]}"]);
    }
}

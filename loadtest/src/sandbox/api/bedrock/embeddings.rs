//! Bedrock's InvokeModel, whose body is the model's own: Titan's and Cohere's embeddings, Cohere's rerank. Sources: AWS,
//! "Amazon Titan Text Embeddings models", "Cohere Embed", "Rerank". Members that a model does not know are refused, as
//! there.

use serde::Deserialize;
use serde_json::{Map, Value};
use tollgate_wire::http1::write;

use super::model_of;
use crate::sandbox::{
    api::{
        Operation, Request,
        cohere::{EmbedBody, RerankBody},
        json, vector,
    },
    ask::Ask,
    reply::{Reply, digits, put, uuid},
    text::PromptCount,
};

/// Of Titan's second version, unless the request says otherwise.
const DIMENSIONS: usize = 1024;
/// What it may say.
const ALLOWED_DIMENSIONS: [usize; 3] = [256, 512, 1024];

pub struct Invoke;

/// Whose body it is.
enum Body {
    Titan(Titan),
    Embed(EmbedBody),
    Rerank(RerankBody),
}

#[derive(Deserialize)]
struct Titan {
    #[serde(rename = "inputText")]
    text: String,
    dimensions: Option<usize>,
}

const TITAN: [&str; 4] = ["inputText", "dimensions", "normalize", "embeddingTypes"];
const EMBED: [&str; 8] = [
    "texts",
    "images",
    "inputs",
    "input_type",
    "embedding_types",
    "output_dimension",
    "max_tokens",
    "truncate",
];
const RERANK: [&str; 5] = ["query", "documents", "top_n", "max_tokens_per_doc", "api_version"];

impl Body {
    fn read(request: &Request) -> Result<Body, String> {
        let model = model_of(request)?.model.into_owned();
        let members: Map<String, Value> = json::read(request.body)?;
        let known = |allowed: &[&str]| match members.keys().find(|name| !allowed.contains(&name.as_str())) {
            Some(name) => Err(format!(
                "Malformed input request: extraneous key [{name}] is not permitted"
            )),
            None => Ok(()),
        };
        let needs = |name: &str| match members.contains_key(name) {
            true => Ok(()),
            false => Err(format!("Malformed input request: required key [{name}] not found")),
        };
        if model.contains("titan-embed") {
            known(&TITAN)?;
            return json::read(request.body).map(Body::Titan);
        }
        if model.contains("cohere.embed") {
            known(&EMBED)?;
            needs("input_type")?;
            return json::read(request.body).map(Body::Embed);
        }
        if model.contains("cohere.rerank") {
            known(&RERANK)?;
            needs("api_version")?;
            return json::read(request.body).map(Body::Rerank);
        }
        Err("The provided model identifier is invalid.".to_owned())
    }
}

impl Operation for Invoke {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        let count = match Body::read(request)? {
            Body::Titan(body) if body.text.is_empty() => return Err("inputText: expected minLength: 1".to_owned()),
            Body::Titan(body) => {
                if body
                    .dimensions
                    .is_some_and(|wanted| !ALLOWED_DIMENSIONS.contains(&wanted))
                {
                    return Err(format!("dimensions: one of {ALLOWED_DIMENSIONS:?} is required"));
                }
                PromptCount::of(&body.text)
            }
            Body::Embed(body) => json::total(&body.check()?),
            Body::Rerank(body) => json::total(&body.check()?),
        };
        Ok(model_of(request)?.without_text(count))
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, reply: &Reply) {
        match Body::read(request) {
            Ok(Body::Titan(body)) => {
                let vector = vector::of(&body.text, body.dimensions.unwrap_or(DIMENSIONS));
                put(out, &[b"{\"embedding\":"]);
                vector::write_floats(out, &vector);
                put(out, &[b",\"embeddingsByType\":{\"float\":"]);
                vector::write_floats(out, &vector);
                put(
                    out,
                    &[b"},\"inputTextTokenCount\":", &digits(reply.prompt_tokens), b"}"],
                );
            }
            Ok(Body::Embed(body)) => {
                put(out, &[b"{\"id\":\"", &uuid(reply.seed), b"\",\"embeddings\":"]);
                body.write_vectors(out);
                put(out, &[b",\"response_type\":\"embeddings_by_type\"}"]);
            }
            Ok(Body::Rerank(body)) => {
                put(out, &[b"{\"results\":["]);
                body.write_results(out);
                put(out, &[b"]}"]);
            }
            Err(_) => {}
        }
    }

    fn usage_head(&self, out: &mut Vec<u8>, reply: &Reply) {
        write::header_u64(out, b"x-amzn-bedrock-input-token-count", reply.prompt_tokens);
    }
}

#[cfg(test)]
mod tests {
    use crate::sandbox::api::tests::{read, refused};

    #[test]
    fn each_models_body_is_its_own() {
        let titan = "/model/amazon.titan-embed-text-v2%3A0/invoke";
        read(titan, br#"{"inputText":"Hello there."}"#, |ask| {
            assert_eq!((&*ask.model, ask.prompt.tokens), ("amazon.titan-embed-text-v2:0", 3));
        });
        refused(titan, br#"{"inputText":"a","model":"m"}"#, "extraneous key [model]");
        refused(titan, br#"{"inputText":"a","dimensions":8}"#, "dimensions");
        refused("/model/cohere.embed-v4%3A0/invoke", br#"{"texts":["a"]}"#, "input_type");
        let rerank = "/model/cohere.rerank-v3-5%3A0/invoke";
        refused(rerank, br#"{"query":"a","documents":["b"]}"#, "api_version");
        refused("/model/cohere.unheard-of/invoke", b"{}", "model identifier");
    }
}

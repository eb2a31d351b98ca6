//! What Bedrock's InvokeModel takes to embed: the body is the model's own. Source: AWS, "Amazon Titan Text Embeddings
//! models" and "Cohere Embed".

use super::{
    Shape,
    canonical::{Answer, Feature, Input, Lost, NO_TOKENS, ONLY_TEXT, Part, Refused, Request, Truncate},
    vector::Vector,
};
use crate::{
    canonical::bad::BadAnswer,
    json::{Node, Out},
    usage::Usage,
};

/// Models may have a region before their name, or be named by an ARN.
pub(super) fn shape_of(model: &str) -> Option<Shape> {
    let model = model.to_ascii_lowercase();
    let has = |part: &str| model.contains(part);
    if has("titan-embed-text-v2") {
        return Some(Shape::Titan);
    }
    if has("titan-embed-text") || has("titan-embed-g1-text") {
        return Some(Shape::TitanText);
    }
    // The third generation names its language.
    let has_dimensions = !has("cohere.embed-english") && !has("cohere.embed-multilingual");
    has("cohere.embed").then_some(Shape::CohereOnBedrock { has_dimensions })
}

pub(super) fn write_titan(
    request: &Request<'_>,
    part: &[Input<'_>],
    lost: &mut Lost,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let mut json = Out::new(out);
    json.open();
    write_text(request, part, lost, &mut json)?;
    if let Some(dimensions) = request.dimensions {
        json.key("dimensions").unsigned(dimensions);
    }
    json.close();
    Ok(())
}

pub(super) fn write_titan_text(
    request: &Request<'_>,
    part: &[Input<'_>],
    lost: &mut Lost,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    lost.note_if(Feature::Dimensions, request.dimensions.is_some());
    let mut json = Out::new(out);
    json.open();
    write_text(request, part, lost, &mut json)?;
    json.close();
    Ok(())
}

fn write_text(request: &Request<'_>, part: &[Input<'_>], lost: &mut Lost, json: &mut Out<'_>) -> Result<(), Refused> {
    lost.note_if(Feature::Purpose, request.purpose.is_some());
    lost.note_if(Feature::Title, request.title.is_some());
    lost.note_if(Feature::MaxTokens, request.max_tokens.is_some());
    lost.note_if(Feature::User, request.user.is_some());
    // What is too long is refused here.
    let truncates = matches!(request.truncate, Some(Truncate::Start | Truncate::End));
    lost.note_if(Feature::Truncate, truncates);
    request.note_forms(lost)?;
    let text = match part {
        [Input::Text(text)] => text,
        [Input::Mixed(parts)] => match parts.as_slice() {
            [Part::Text(text)] => text,
            _ => return Err(ONLY_TEXT),
        },
        [Input::Tokens(_)] => return Err(NO_TOKENS),
        _ => return Err(ONLY_TEXT),
    };
    json.key("inputText").text(text);
    Ok(())
}

pub(super) fn read_titan<'a>(body: &'a [u8], answer: &mut Answer<'a>) -> Result<(), BadAnswer> {
    const NO_VECTOR: BadAnswer = BadAnswer::new("it has no list 'embedding'");
    let document = Node::document(body)?;
    let vector = document
        .get("embedding")
        .filter(|vector| vector.is_array())
        .ok_or(NO_VECTOR)?;
    answer.floats.push(Vector::of(vector)?);
    answer.add_usage(
        document
            .get("inputTextTokenCount")
            .and_then(|count| usage_of_count(count.raw())),
    );
    Ok(())
}

/// Usage of the member that is nothing but the number.
pub(super) fn usage_of_count(value: &[u8]) -> Option<Usage> {
    let tokens = str::from_utf8(value).ok()?.trim().parse().ok()?;
    Some(Usage {
        input: Some(tokens),
        ..Usage::default()
    })
}

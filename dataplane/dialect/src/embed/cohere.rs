//! `POST /v2/embed`, and the same by way of Bedrock. Sources: the `cohere` Python SDK 7.3.1, `v2/raw_client.py` and
//! `types/embed_by_type_response.py`; AWS, "Cohere Embed and Cohere Embed v4 models" (the model is in the path, and
//! plain floats come without the name of their form).

use super::{
    CallFacts,
    canonical::{Answer, Feature, Form, Input, Lost, NO_TOKENS, Part, Purpose, Refused, Request, Truncate},
    vector::Vector,
};
use crate::{
    canonical::bad::{BadAnswer, BadRequest, once},
    cohere,
    json::{Node, Out, Text},
    openai_responses::data_url,
    usage::Usage,
};

pub(super) fn field(feature: Feature) -> &'static str {
    match feature {
        Feature::Inputs => "texts",
        Feature::Purpose => "input_type",
        Feature::Title => "title",
        Feature::Dimensions => "output_dimension",
        Feature::Truncate => "truncate",
        Feature::MaxTokens => "max_tokens",
        Feature::Forms => "embedding_types",
        Feature::User => "user",
    }
}

const PURPOSES: [(&str, Purpose); 5] = [
    ("search_query", Purpose::Query),
    ("search_document", Purpose::Document),
    ("classification", Purpose::Classification),
    ("clustering", Purpose::Clustering),
    ("image", Purpose::Image),
];

pub(super) fn purpose(name: &str) -> Option<Purpose> {
    PURPOSES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, purpose)| *purpose)
}

pub(super) fn read_request(body: &[u8]) -> Result<Request<'_>, BadRequest> {
    let mut request = Request::default();
    let (mut lists, mut forms) = (0, None);
    for (key, value) in Node::document(body)?.members() {
        if value.is_null() {
            continue;
        }
        match &*key {
            "model" => {}
            "texts" | "images" | "inputs" => {
                lists += 1;
                read_list(&key, value, &mut request)?;
            }
            "input_type" => {
                let wrong = "must be 'search_document', 'search_query', 'classification', 'clustering' or 'image'";
                let found = value.string().and_then(|name| purpose(&name));
                let found = found.ok_or_else(|| BadRequest::field("input_type", wrong, value))?;
                once(&mut request.purpose, found, "input_type", value)?;
            }
            "embedding_types" => once(&mut forms, read_forms(value)?, "embedding_types", value)?,
            "output_dimension" => {
                once(
                    &mut request.dimensions,
                    unsigned(value, "output_dimension")?,
                    "output_dimension",
                    value,
                )?;
            }
            "max_tokens" => once(
                &mut request.max_tokens,
                unsigned(value, "max_tokens")?,
                "max_tokens",
                value,
            )?,
            "truncate" => once(&mut request.truncate, read_truncate(value)?, "truncate", value)?,
            _ => request.leave_unread(key, value),
        }
    }
    if lists > 1 {
        return Err(BadRequest::missing(
            "texts",
            "stands beside 'images' or 'inputs': send one of the three",
        ));
    }
    request.forms = forms.unwrap_or_default();
    request.checked("texts")
}

fn unsigned(value: Node<'_>, name: &'static str) -> Result<u64, BadRequest> {
    let number = value.unsigned().filter(|&number| number > 0);
    number.ok_or_else(|| BadRequest::field(name, "must be a whole number above zero", value))
}

fn read_truncate(value: Node<'_>) -> Result<Truncate, BadRequest> {
    match value.string().as_deref() {
        Some("NONE") => Ok(Truncate::None),
        Some("START") => Ok(Truncate::Start),
        Some("END") => Ok(Truncate::End),
        _ => Err(BadRequest::field("truncate", "must be 'NONE', 'START' or 'END'", value)),
    }
}

fn read_forms(value: Node<'_>) -> Result<Vec<Form>, BadRequest> {
    let wrong = |at| {
        BadRequest::field(
            "embedding_types",
            "must be a list of float, int8, uint8, binary, ubinary, base64",
            at,
        )
    };
    let mut forms = Vec::new();
    if !value.is_array() {
        return Err(wrong(value));
    }
    for element in value.elements() {
        let form = element
            .string()
            .and_then(|name| Form::of_name(&name))
            .ok_or_else(|| wrong(element))?;
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    Ok(forms)
}

fn read_list<'a>(key: &str, list: Node<'a>, request: &mut Request<'a>) -> Result<(), BadRequest> {
    let (name, wrong) = match key {
        "texts" => ("texts", "must be a list of strings"),
        "images" => (
            "images",
            "must be a list of data URLs in base64 (data:image/png;base64,…)",
        ),
        _ => (
            "inputs",
            "must be a list of {content: […]} of text and image_url in base64",
        ),
    };
    let bad = |at| BadRequest::field(name, wrong, at);
    if !list.is_array() {
        return Err(bad(list));
    }
    for element in list.elements() {
        let input = match name {
            "texts" => element.text().map(Input::Text),
            "images" => element.text().and_then(image).map(|image| Input::Mixed(vec![image])),
            _ => read_mixed(element),
        };
        request.push(input.ok_or_else(|| bad(element))?, name, element)?;
    }
    Ok(())
}

fn read_mixed(element: Node<'_>) -> Option<Input<'_>> {
    let content = element.get("content").filter(|content| content.is_array())?;
    let parts: Option<Vec<Part<'_>>> = content.elements().map(read_part).collect();
    parts.filter(|parts| !parts.is_empty()).map(Input::Mixed)
}

fn read_part(part: Node<'_>) -> Option<Part<'_>> {
    match part.get("type")?.string().as_deref() {
        Some("text") => part.get("text")?.text().map(Part::Text),
        Some("image_url") => image(part.at(&["image_url", "url"])?.text()?),
        _ => None,
    }
}

fn image(url: Text<'_>) -> Option<Part<'_>> {
    let (media_type, data) = data_url(url)?;
    let media_type = media_type?;
    Some(Part::Image { media_type, data })
}

/// Where Cohere's models are.
#[derive(Clone, Copy, Debug)]
pub(super) enum At<'a> {
    /// With the model's name.
    Cohere(&'a str),
    Bedrock {
        has_dimensions: bool,
    },
}

pub(super) fn write_request(
    request: &Request<'_>,
    part: &[Input<'_>],
    at: At<'_>,
    lost: &mut Lost,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    lost.note_if(Feature::Title, request.title.is_some());
    lost.note_if(Feature::User, request.user.is_some());
    let knows_size = !matches!(at, At::Bedrock { has_dimensions: false });
    lost.note_if(Feature::Dimensions, request.dimensions.is_some() && !knows_size);
    lost.note_if(Feature::MaxTokens, request.max_tokens.is_some() && !knows_size);
    let mut json = Out::new(out);
    json.open();
    if let At::Cohere(model) = at {
        json.key("model").string(model);
    }
    write_inputs(part, &mut json)?;
    let (name, exact) = purpose_name(request.purpose);
    lost.note_if(Feature::Purpose, !exact);
    json.key("input_type").string(name);
    json.key("embedding_types").open_list();
    for form in forms_asked(&request.forms) {
        json.string(form.name());
    }
    json.close_list();
    if let Some(dimensions) = request.dimensions.filter(|_| knows_size) {
        json.key("output_dimension").unsigned(dimensions);
    }
    if let Some(tokens) = request.max_tokens.filter(|_| knows_size) {
        json.key("max_tokens").unsigned(tokens);
    }
    if let Some(truncate) = request.truncate {
        json.key("truncate").string(match truncate {
            Truncate::None => "NONE",
            Truncate::Start => "START",
            Truncate::End => "END",
        });
    }
    json.close();
    Ok(())
}

/// Base64 is made here of the floats: not every place that Cohere's models are at gives it.
fn forms_asked(forms: &[Form]) -> Vec<Form> {
    let floats = forms.is_empty() || forms.iter().any(|form| matches!(form, Form::Float | Form::Base64));
    let others = forms.iter().filter(|form| !matches!(form, Form::Float | Form::Base64));
    floats
        .then_some(Form::Float)
        .into_iter()
        .chain(others.copied())
        .collect()
}

/// It must be said. Who asks for nothing mostly stores documents; what has no word gets the nearest (false: not the same).
fn purpose_name(purpose: Option<Purpose>) -> (&'static str, bool) {
    match purpose {
        None => ("search_document", true),
        Some(Purpose::Similarity) => ("clustering", false),
        Some(Purpose::QuestionAnswering | Purpose::FactVerification | Purpose::CodeQuery) => ("search_query", false),
        Some(known) => {
            let found = PURPOSES.iter().find(|(_, purpose)| *purpose == known);
            found.map_or(("search_document", false), |(name, _)| (name, true))
        }
    }
}

/// `texts` where each is one; pictures need the newer list.
fn write_inputs(part: &[Input<'_>], json: &mut Out<'_>) -> Result<(), Refused> {
    if part.iter().any(|input| matches!(input, Input::Tokens(_))) {
        return Err(NO_TOKENS);
    }
    if part.iter().all(|input| matches!(input, Input::Text(_))) {
        json.key("texts").open_list();
        for input in part {
            if let Input::Text(text) = input {
                json.text(text);
            }
        }
        json.close_list();
        return Ok(());
    }
    json.key("inputs").open_list();
    for input in part {
        json.open().key("content").open_list();
        match input {
            Input::Text(text) => write_text(text, json),
            Input::Mixed(parts) => parts.iter().for_each(|part| write_part(part, json)),
            Input::Tokens(_) => return Err(NO_TOKENS),
        }
        json.close_list().close();
    }
    json.close_list();
    Ok(())
}

fn write_text(text: &Text<'_>, json: &mut Out<'_>) {
    json.open().key("type").string("text");
    json.key("text").text(text).close();
}

fn write_part(part: &Part<'_>, json: &mut Out<'_>) {
    match part {
        Part::Text(text) => write_text(text, json),
        Part::Image { media_type, data } => {
            json.open().key("type").string("image_url");
            json.key("image_url").open().key("url");
            write_data_url(media_type, data, json);
            json.close().close();
        }
    }
}

fn write_data_url(media_type: &Text<'_>, data: &Text<'_>, json: &mut Out<'_>) {
    json.string("data:");
    json.bytes.pop();
    media_type.write_escaped(json.bytes);
    json.bytes.extend_from_slice(b";base64,");
    data.write_escaped(json.bytes);
    json.bytes.push(b'"');
}

pub(super) fn read_answer<'a>(body: &'a [u8], answer: &mut Answer<'a>) -> Result<(), BadAnswer> {
    const NO_VECTORS: BadAnswer = BadAnswer::new("it has no 'embeddings'");
    let document = Node::document(body)?;
    let embeddings = document.get("embeddings").ok_or(NO_VECTORS)?;
    if embeddings.is_array() {
        // As they come where no form was asked for.
        read_floats(embeddings, answer)?;
    } else {
        for (name, list) in embeddings.members().filter(|(_, list)| list.is_array()) {
            match Form::of_name(&name) {
                Some(Form::Float | Form::Base64) => read_floats(list, answer)?,
                Some(form) => answer.list(form).extend(list.elements()),
                None => {}
            }
        }
    }
    answer.id = answer.id.take().or_else(|| document.get("id")?.text());
    answer.add_usage(document.get("meta").and_then(cohere::usage_of_meta));
    Ok(())
}

fn read_floats<'a>(list: Node<'a>, answer: &mut Answer<'a>) -> Result<(), BadAnswer> {
    for vector in list.elements() {
        answer.floats.push(Vector::of(vector)?);
    }
    Ok(())
}

pub(super) fn write_answer(
    request: &Request<'_>,
    answer: &Answer<'_>,
    (call, usage): (&CallFacts<'_>, &Usage),
    out: &mut Vec<u8>,
) -> Result<(), BadAnswer> {
    let mut json = Out::new(out);
    json.open().key("id");
    match &answer.id {
        Some(id) => json.text(id),
        None => json.string(call.request_id),
    };
    json.key("embeddings").open();
    let unasked = [Form::Float];
    let forms = if request.forms.is_empty() {
        &unasked[..]
    } else {
        &request.forms
    };
    for &form in forms {
        write_form(form, answer, &mut json)?;
    }
    json.close();
    // The echo that Cohere gives.
    if request.inputs.iter().all(|input| matches!(input, Input::Text(_))) {
        json.key("texts").open_list();
        for input in &request.inputs {
            if let Input::Text(text) = input {
                json.text(text);
            }
        }
        json.close_list();
    }
    json.key("meta").open();
    json.key("api_version").open().key("version").string("2").close();
    json.key("billed_units").open();
    json.key("input_tokens")
        .unsigned(usage.all_input() - usage.input_image.unwrap_or(0));
    if let Some(tokens) = usage.input_image {
        json.key("image_tokens").unsigned(tokens);
    }
    json.close().close();
    json.key("response_type").string("embeddings_by_type").close();
    Ok(())
}

fn write_form(form: Form, answer: &Answer<'_>, json: &mut Out<'_>) -> Result<(), BadAnswer> {
    let others = answer.others.iter().find(|(known, _)| *known == form);
    let floats = matches!(form, Form::Float | Form::Base64);
    if !floats && others.is_none() {
        return Ok(());
    }
    json.key(form.name()).open_list();
    for vector in answer.floats.iter().filter(|_| floats) {
        match form {
            Form::Base64 => vector.write_base64(json)?,
            _ => vector.write_numbers(json)?,
        }
    }
    for vector in others.into_iter().flat_map(|(_, list)| list) {
        json.raw(vector.raw());
    }
    json.close_list();
    Ok(())
}

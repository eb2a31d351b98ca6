//! `rows.yaml` → rows. The file is ours, so what is wrong in it is our mistake: reading asserts.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    AuthScheme, PARAMETERS, Parameter, Paths, Row, Rule, Template,
    path::Operation,
    prefix,
    quirks::{Clamp, MaxTokensField, Quirks, StreamEnd, StreamFraming, StreamUsage},
};
use crate::{document::Dialect, parse};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    families: Map<String, Value>,
    rows: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenRow {
    title: String,
    source: String,
    dialect: String,
    #[serde(default)]
    also: Vec<String>,
    base_url: Option<String>,
    #[serde(default)]
    base_url_of_region: Map<String, Value>,
    prefix: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(default)]
    paths: Map<String, Value>,
    auth: Value,
    credential: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
    prices: Option<String>,
    #[serde(default)]
    families: Vec<String>,
    #[serde(default)]
    quirks: GivenQuirks,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenRule {
    models: Vec<String>,
    quirks: GivenQuirks,
}

/// What a row or a rule says; the rest stays as it was.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenQuirks {
    max_tokens_field: Option<MaxTokensField>,
    default_max_tokens: Option<u64>,
    native_schema: Option<bool>,
    prefill: Option<bool>,
    sampling: Option<bool>,
    developer_role: Option<bool>,
    stream_usage: Option<StreamUsage>,
    stream_end: Option<StreamEnd>,
    stream_framing: Option<StreamFraming>,
    #[serde(default)]
    drop: Vec<String>,
    #[serde(default)]
    rename: Map<String, Value>,
    #[serde(default)]
    set: Map<String, Value>,
    #[serde(default)]
    clamp: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenClamp {
    least: Option<f64>,
    most: Option<f64>,
}

/// Every row of the file, in its order.
pub fn rows(text: &str) -> Vec<Row> {
    let parsed = parse::parse(text).unwrap_or_else(|problems| panic!("the catalogue: {}", problems[0].line("rows")));
    let file: File = given("the catalogue", parsed.tree);
    let families: Vec<(String, Vec<GivenRule>)> = file
        .families
        .into_iter()
        .map(|(name, rules)| (name.clone(), given(&name, rules)))
        .collect();
    file.rows
        .into_iter()
        .map(|(kind, row)| read_row(&kind, given(&kind, row), &families))
        .collect()
}

/// A row for what is known by the dialect alone.
pub fn bare(dialect: Dialect) -> Row {
    Row {
        kind: String::new(),
        title: dialect.name().to_owned(),
        source: String::new(),
        dialect,
        also: Vec::new(),
        base_url: None,
        base_url_of_region: Vec::new(),
        prefix: prefix(dialect).to_owned(),
        parameters: Vec::new(),
        paths: Paths::of(dialect),
        auth: match dialect {
            Dialect::Anthropic => AuthScheme::XApiKey,
            Dialect::Gemini => AuthScheme::Header("x-goog-api-key".to_owned()),
            Dialect::OpenAi | Dialect::OpenAiResponses | Dialect::Cohere | Dialect::Bedrock => AuthScheme::Bearer,
        },
        credential_required: false,
        headers: Vec::new(),
        prices: None,
        quirks: match dialect {
            Dialect::Bedrock => Quirks {
                stream_framing: StreamFraming::AwsEventStream,
                ..Quirks::default()
            },
            _ => Quirks::default(),
        },
        rules: Vec::new(),
    }
}

fn given<T: serde::de::DeserializeOwned>(what: &str, value: Value) -> T {
    serde_json::from_value(value).unwrap_or_else(|error| panic!("{what}: {error}"))
}

fn read_row(kind: &str, row: GivenRow, families: &[(String, Vec<GivenRule>)]) -> Row {
    let dialect = dialect(kind, &row.dialect);
    let bare = bare(dialect);
    let quirks = laid_over(kind, &bare.quirks, &row.quirks);
    let mut rules = Vec::new();
    for family in &row.families {
        let found = families.iter().find(|(name, _)| name == family);
        let (_, family) = found.unwrap_or_else(|| panic!("{kind}: there is no family {family}"));
        rules.extend(family.iter().map(|rule| Rule {
            models: rule.models.clone(),
            quirks: laid_over(kind, &quirks, &rule.quirks),
        }));
    }
    Row {
        kind: kind.to_owned(),
        title: row.title,
        source: row.source,
        dialect,
        also: row.also.iter().map(|name| self::dialect(kind, name)).collect(),
        base_url: row.base_url,
        base_url_of_region: texts(kind, row.base_url_of_region),
        prefix: row.prefix.unwrap_or(bare.prefix),
        parameters: row
            .parameters
            .into_iter()
            .map(|(name, value)| parameter(kind, &name, value))
            .collect(),
        paths: paths(kind, bare.paths, row.paths),
        auth: auth(kind, &row.auth),
        credential_required: match row.credential.as_deref() {
            None => true,
            Some("optional") => false,
            Some(other) => panic!("{kind}: credential: {other}"),
        },
        headers: texts(kind, row.headers),
        prices: row.prices,
        quirks,
        rules,
    }
}

fn dialect(kind: &str, name: &str) -> Dialect {
    let found = Dialect::ALL.into_iter().find(|dialect| dialect.name() == name);
    found.unwrap_or_else(|| panic!("{kind}: there is no dialect {name}"))
}

fn parameter(kind: &str, name: &str, default: Value) -> Parameter {
    let known = PARAMETERS.into_iter().find(|known| *known == name);
    Parameter {
        name: known.unwrap_or_else(|| panic!("{kind}: there is no parameter {name}")),
        default: given(kind, default),
    }
}

/// The dialect's, with what the row says instead. A row that says anything says all it has.
fn paths(kind: &str, own: Paths, row: Map<String, Value>) -> Paths {
    if row.is_empty() {
        return own;
    }
    let known = |name: &str| Operation::ALL.iter().any(|operation| operation.name() == name);
    assert!(row.keys().all(|name| known(name)), "{kind}: unknown path");
    let path = |operation: Operation| {
        let text = row.get(operation.name())?.as_str();
        Some(Template::new(
            text.unwrap_or_else(|| panic!("{kind}: a path that is no text")),
        ))
    };
    let chat = path(Operation::Chat).unwrap_or_else(|| panic!("{kind}: no path for chat"));
    Paths {
        stream: path(Operation::Stream).unwrap_or_else(|| chat.clone()),
        chat,
        embed: path(Operation::Embed),
        rerank: path(Operation::Rerank),
        count_tokens: path(Operation::CountTokens),
    }
}

fn auth(kind: &str, value: &Value) -> AuthScheme {
    let member = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    match (value.as_str(), member("header"), member("aws")) {
        (Some("bearer"), ..) => AuthScheme::Bearer,
        (Some("x-api-key"), ..) => AuthScheme::XApiKey,
        (Some("google"), ..) => AuthScheme::Google,
        (None, Some(header), None) => AuthScheme::Header(header),
        (None, None, Some(service)) => AuthScheme::Aws(service),
        _ => panic!("{kind}: auth: {value}"),
    }
}

fn texts(kind: &str, map: Map<String, Value>) -> Vec<(String, String)> {
    map.into_iter()
        .map(|(name, value)| (name, given(kind, value)))
        .collect()
}

fn laid_over(kind: &str, below: &Quirks, given_quirks: &GivenQuirks) -> Quirks {
    let GivenQuirks {
        drop,
        rename,
        set,
        clamp,
        ..
    } = given_quirks.clone();
    let clamp = clamp.into_iter().map(|(name, bounds)| {
        let GivenClamp { least, most } = given(kind, bounds);
        Clamp { name, least, most }
    });
    let over = given_quirks;
    let mut quirks = Quirks {
        max_tokens_field: over.max_tokens_field.unwrap_or(below.max_tokens_field),
        default_max_tokens: over.default_max_tokens.unwrap_or(below.default_max_tokens),
        native_schema: over.native_schema.unwrap_or(below.native_schema),
        prefill: over.prefill.unwrap_or(below.prefill),
        sampling: over.sampling.unwrap_or(below.sampling),
        developer_role: over.developer_role.unwrap_or(below.developer_role),
        stream_usage: over.stream_usage.unwrap_or(below.stream_usage),
        stream_end: over.stream_end.unwrap_or(below.stream_end),
        stream_framing: over.stream_framing.unwrap_or(below.stream_framing),
        ..below.clone()
    };
    quirks.drop.extend(drop);
    quirks.rename.extend(texts(kind, rename));
    quirks.set.extend(texts(kind, set));
    quirks.clamp.extend(clamp);
    quirks
}

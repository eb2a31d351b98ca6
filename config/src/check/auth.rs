//! `auth`: how a provider is shown who calls, where that is not what its kind says.

use serde_json::Value;

use super::{
    node::{Fields, Node},
    url, values,
};
use crate::{catalogue::AuthScheme, document::Auth, keys};

const RIGHT: &str = "none, bearer, x-api-key, aws, google, or one of { header: NAME }, { query: NAME }, { aws: {} }, \
                     { google: {} }, { azure_ad: { tenant: …, client_id: … } }";
/// Of the services that models are called at.
const AWS_SERVICE: &str = "bedrock";
const GOOGLE_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const AZURE_SCOPE: &str = "https://cognitiveservices.azure.com/.default";
const AZURE_AUTHORITY: &str = "https://login.microsoftonline.com";

/// Reads `auth`. `region` is the provider's own.
pub fn auth(node: &Node, region: Option<&str>) -> Option<Auth> {
    match node.value {
        Value::String(word) => match word.as_str() {
            "none" => Some(Auth::None),
            "bearer" => Some(Auth::Bearer),
            "x-api-key" => Some(Auth::XApiKey),
            "aws" => aws(node, region.map(str::to_owned), None),
            "google" => Some(google(None)),
            _ => node.expected("a way to authenticate", RIGHT),
        },
        Value::Object(map) if map.len() == 1 => {
            let fields = Fields::open(node, &keys::AUTH)?;
            let header = |node: &Node| token(node).map(|name| Auth::Header(name.to_ascii_lowercase()));
            let query = |node: &Node| token(node).map(Auth::Query);
            let read = fields.read("header", header).or_else(|| fields.read("query", query));
            let read = read.or_else(|| fields.read("aws", |node| open_aws(node, region)));
            let read = read.or_else(|| fields.read("google", open_google));
            read.or_else(|| fields.read("azure_ad", azure_ad))
        }
        _ => node.expected("a way to authenticate", RIGHT),
    }
}

/// A row's own way. A region that is missing was noted with the account.
pub fn of_row(scheme: &AuthScheme, region: Option<&str>) -> Option<Auth> {
    match scheme {
        AuthScheme::Bearer => Some(Auth::Bearer),
        AuthScheme::XApiKey => Some(Auth::XApiKey),
        AuthScheme::Header(name) => Some(Auth::Header(name.clone())),
        AuthScheme::Aws(service) => Some(Auth::Aws {
            region: region?.to_owned(),
            service: service.clone(),
        }),
        AuthScheme::Google => Some(google(None)),
    }
}

fn open_aws(node: &Node, region: Option<&str>) -> Option<Auth> {
    let fields = Fields::open(node, &keys::AUTH_AWS)?;
    let own = fields.read("region", values::account_word);
    let service = fields.read("service", values::account_word);
    aws(node, own.or_else(|| region.map(str::to_owned)), service)
}

fn aws(node: &Node, region: Option<String>, service: Option<String>) -> Option<Auth> {
    let Some(region) = region else {
        node.fault("`region` is missing", "region: us-east-1, on the provider");
        return None;
    };
    Some(Auth::Aws {
        region,
        service: service.unwrap_or_else(|| AWS_SERVICE.to_owned()),
    })
}

fn open_google(node: &Node) -> Option<Auth> {
    let fields = Fields::open(node, &keys::AUTH_GOOGLE)?;
    Some(google(fields.read("scope", scope)))
}

fn google(scope: Option<String>) -> Auth {
    Auth::Google {
        scope: scope.unwrap_or_else(|| GOOGLE_SCOPE.to_owned()),
    }
}

fn azure_ad(node: &Node) -> Option<Auth> {
    let fields = Fields::open(node, &keys::AUTH_AZURE_AD)?;
    let tenant = fields.required("tenant", "the directory's id or domain", values::account_word);
    let client_id = fields.required("client_id", "the application's id", values::account_word);
    let scope = fields.read("scope", scope);
    let authority = fields.read("authority", |node| url::base_url(node, ""));
    Some(Auth::AzureAd {
        tenant: tenant?,
        client_id: client_id?,
        scope: scope.unwrap_or_else(|| AZURE_SCOPE.to_owned()),
        authority: authority.map_or_else(|| AZURE_AUTHORITY.to_owned(), |url| url.to_string()),
    })
}

fn scope(node: &Node) -> Option<String> {
    let text = values::text(node)?;
    if text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Some(text);
    }
    node.expected("a scope", "URLs such as https://cognitiveservices.azure.com/.default")
}

fn token(node: &Node) -> Option<String> {
    let text = values::text(node)?;
    if text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    {
        return Some(text);
    }
    node.expected("a name", "letters, digits and `-`")
}

//! `openapi.json`, made from the table of routes.

use axum::Json;
use serde_json::{Map, Value, json};

use super::routes::{Place, ROUTES, Route};

pub async fn show() -> Json<Value> {
    Json(document())
}

pub fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let path = route.path.replace("{*", "{");
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods[route.method] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tollgate control API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Served on the control socket, where peer credentials decide, and under /admin of the \
                            admin address, where a bearer token decides.",
        },
        "paths": paths,
        "components": {
            "schemas": { "Problem": problem_schema() },
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = path_parameters(route.path);
    for (place, name, meaning) in route.parameters {
        let place = match place {
            Place::Query => "query",
            Place::Header => "header",
        };
        parameters.push(json!({"name": name, "in": place, "description": meaning, "schema": {"type": "string"}}));
    }
    let mut responses = Map::new();
    for (status, meaning) in route.answers {
        let mut response = json!({"description": meaning});
        if *status >= 400 {
            response["content"] = problem_content();
        }
        responses.insert(status.to_string(), response);
    }
    let refused = json!({"description": "any refusal", "content": problem_content()});
    responses.insert("default".into(), refused);
    let mut operation = json!({"summary": route.summary, "parameters": parameters, "responses": responses});
    if let Some(schema) = route.body {
        // The schemas are constants of the table; a test parses each.
        let schema: Value = serde_json::from_str(schema).unwrap_or_default();
        operation["requestBody"] = json!({"content": {"application/json": {"schema": schema}}});
    }
    operation
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    names
        .map(|name| {
            let name = name.trim_start_matches('*');
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        })
        .collect()
}

fn problem_content() -> Value {
    json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}})
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "pointer": {"type": "string", "description": "the JSON pointer at fault (RFC 6901)"},
            "problems": {"type": "array", "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string"},
                    "position": {"type": ["object", "null"]},
                    "wrong": {"type": "string"},
                    "right": {"type": "string"},
                },
            }},
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_route_is_described() {
        let document = document();
        for route in ROUTES {
            let path = route.path.replace("{*", "{");
            let operation = &document["paths"][&path][route.method];
            assert!(operation["summary"].is_string(), "{path}");
            if let Some(schema) = route.body {
                assert!(serde_json::from_str::<Value>(schema).is_ok(), "{path}");
            }
        }
    }

    #[test]
    fn paths_name_their_parameters() {
        let document = document();
        let rotate = &document["paths"]["/v1/keys/{name}/rotate"]["post"]["parameters"][0];
        assert_eq!(
            (rotate["name"].as_str(), rotate["in"].as_str()),
            (Some("name"), Some("path"))
        );
    }
}

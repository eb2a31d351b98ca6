//! The table of routes: what the router serves and what `openapi.json` says.

use std::sync::Arc;

use axum::routing::{MethodRouter, delete, get, post, put};

use super::{
    cache, config, drain, events, explain, feedback, keys, ledger, limits, metrics, openapi, revisions, status, usage,
};
use crate::plane::Plane;

pub struct Route {
    pub method: &'static str,
    /// As axum writes it; `{*pointer}` takes the rest of the path.
    pub path: &'static str,
    pub summary: &'static str,
    /// Query parameters and headers: (place, name, meaning).
    pub parameters: &'static [(Place, &'static str, &'static str)],
    /// A JSON Schema of the body, if one is read.
    pub body: Option<&'static str>,
    /// (status, meaning) beside those every route may answer.
    pub answers: &'static [(u16, &'static str)],
    pub handler: fn() -> MethodRouter<Arc<Plane>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Query,
    Header,
}

use Place::{Header, Query};

const DRY_RUN: (Place, &str, &str) = (Query, "dry_run", "1: say what would change, change nothing");
const REASON: (Place, &str, &str) = (Header, "x-reason", "why, kept with the revision");
const IF_MATCH: (Place, &str, &str) = (
    Header,
    "if-match",
    "the ETag of the revision that the change was made for",
);
const CHANGING: &[(Place, &str, &str)] = &[DRY_RUN, REASON, IF_MATCH];
const CHANGED: &[(u16, &str)] = &[
    (200, "in force on every shard: revision, changes, shards"),
    (412, "another revision is in force than If-Match names"),
    (422, "faults, each with its JSON pointer; nothing changed"),
    (503, "the data plane is not connected; nothing changed"),
    (507, "the state directory's disk is full; nothing changed"),
];
const KEY_BODY: &str = r#"{"type":"object","required":["name"],"properties":{"name":{"type":"string"},
"team":{"type":"string"},"user":{"type":"string"},"models":{"type":"array","items":{"type":"string"}},
"limits":{"type":"array","items":{"type":"object"},"description":"as in the configuration"},
"expires":{"type":"string","description":"RFC 3339, or a duration from now such as 30d"}}}"#;
const EXPLAIN_BODY: &str = r#"{"type":"object","required":["key"],"properties":{"model":{"type":"string"},
"key":{"type":"string","description":"the name of a key"},"body":{"type":"object","description":"as the client would send it"},
"path":{"type":"string","description":"/v1/chat/completions unless given"},
"headers":{"type":"object","additionalProperties":{"type":"string"}}}}"#;
const RERATE_BODY: &str = r#"{"type":"object","required":["from"],"properties":{"from":{"type":"string"},"to":{"type":"string"},
"timezone":{"type":"string"},"document":{"type":"object","description":"the configuration whose prices these are"},
"revision":{"type":"integer","description":"the same, by its number"},
"post":{"type":"boolean","description":"write the differences to the ledger"}}}"#;
const RECONCILE_BODY: &str = r#"{"type":"object","required":["providers","lines"],"properties":{
"providers":{"type":"array","items":{"type":"string"}},"lines":{"type":"array","items":{"type":"object","required":["day"],
"properties":{"day":{"type":"string"},"model":{"type":"string"},"credential":{"type":"string"},
"counts":{"type":"object","additionalProperties":{"type":"integer"}},"cost":{"type":"string","description":"dollars"},
"rounded_by":{"type":"string","description":"dollars"}}}},
"post":{"type":"boolean","description":"write corrections to the ledger"}}}"#;
const ROTATE_BODY: &str = r#"{"type":"object","properties":{"overlap":{"type":"string",
"description":"how long the former secret stays good; 24h by default"}}}"#;

pub const ROUTES: &[Route] = &[
    Route {
        method: "get",
        path: "/v1/status",
        summary: "Both planes and every shard, now",
        parameters: &[],
        body: None,
        answers: &[(200, "revision, controlplane, dataplane, shards, models")],
        handler: || get(status::show),
    },
    Route {
        method: "get",
        path: "/v1/config",
        summary: "The running document, with its revision as ETag",
        parameters: &[],
        body: None,
        answers: &[(200, "the document")],
        handler: || get(config::show),
    },
    Route {
        method: "get",
        path: "/v1/config/{*pointer}",
        summary: "One value of the running document",
        parameters: &[],
        body: None,
        answers: &[(200, "the value"), (404, "there is nothing at this pointer")],
        handler: || get(config::show_part),
    },
    Route {
        method: "put",
        path: "/v1/config",
        summary: "Replace the document (JSON or YAML): validated, compared, pushed, acknowledged by every shard",
        parameters: CHANGING,
        body: Some("{}"),
        answers: CHANGED,
        handler: || put(config::replace),
    },
    Route {
        method: "put",
        path: "/v1/config/{*pointer}",
        summary: "Set one value of the document",
        parameters: CHANGING,
        body: Some("{}"),
        answers: CHANGED,
        handler: || put(config::set_part),
    },
    Route {
        method: "delete",
        path: "/v1/config/{*pointer}",
        summary: "Take one value out of the document",
        parameters: CHANGING,
        body: None,
        answers: CHANGED,
        handler: || delete(config::delete_part),
    },
    Route {
        method: "get",
        path: "/v1/revisions",
        summary: "Who changed what, when and why, newest first",
        parameters: &[
            (Query, "before", "only revisions below this number"),
            (Query, "limit", "at most so many; 100 by default, 1000 at most"),
        ],
        body: None,
        answers: &[(200, "revisions without their documents")],
        handler: || get(revisions::list),
    },
    Route {
        method: "get",
        path: "/v1/revisions/{number}",
        summary: "One revision with its document",
        parameters: &[],
        body: None,
        answers: &[(200, "the revision"), (404, "no such revision")],
        handler: || get(revisions::show),
    },
    Route {
        method: "get",
        path: "/v1/revisions/{number}/diff",
        summary: "What a revision changed",
        parameters: &[],
        body: None,
        answers: &[(200, "changes from the revision before"), (404, "no such revision")],
        handler: || get(revisions::show_diff),
    },
    Route {
        method: "post",
        path: "/v1/revisions/{number}/rollback",
        summary: "Put an earlier revision's document in force as a new revision",
        parameters: CHANGING,
        body: None,
        answers: CHANGED,
        handler: || post(revisions::rollback),
    },
    Route {
        method: "get",
        path: "/v1/keys",
        summary: "Keys of the store and of the document, without secrets",
        parameters: &[],
        body: None,
        answers: &[(200, "keys")],
        handler: || get(keys::list),
    },
    Route {
        method: "post",
        path: "/v1/keys",
        summary: "Create a key; its secret is shown this once, and works on every shard",
        parameters: &[],
        body: Some(KEY_BODY),
        answers: &[
            (201, "the key with its secret"),
            (409, "the name is taken"),
            (422, "what is wrong, with its pointer"),
        ],
        handler: || post(keys::create),
    },
    Route {
        method: "post",
        path: "/v1/keys/{name}/rotate",
        summary: "Give a key a new secret, shown this once; the former one stays good for the overlap",
        parameters: &[],
        body: Some(ROTATE_BODY),
        answers: &[
            (200, "the key with its new secret"),
            (404, "no such key"),
            (409, "the key stands in the document"),
        ],
        handler: || post(keys::rotate),
    },
    Route {
        method: "put",
        path: "/v1/keys/{name}/limits",
        summary: "Give a key other limits",
        parameters: &[],
        body: Some(
            r#"{"type":"array","items":{"type":"object"},"description":"as in the configuration; an empty list takes them away"}"#,
        ),
        answers: &[
            (200, "the key's limits, in force on every shard"),
            (404, "there is no such key"),
            (409, "the key stands in the configuration"),
            (422, "what is wrong with them"),
        ],
        handler: || put(keys::limit),
    },
    Route {
        method: "delete",
        path: "/v1/keys/{name}",
        summary: "Revoke a key; no shard lets it in any more",
        parameters: &[],
        body: None,
        answers: &[
            (200, "revoked"),
            (404, "no such key"),
            (409, "the key stands in the document"),
        ],
        handler: || delete(keys::revoke),
    },
    Route {
        method: "get",
        path: "/v1/metrics",
        summary: "Prometheus text of both planes",
        parameters: &[],
        body: None,
        answers: &[(200, "text/plain; version=0.0.4")],
        handler: || get(metrics::show),
    },
    Route {
        method: "get",
        path: "/v1/events",
        summary: "Events as they happen (server-sent events)",
        parameters: &[(
            Header,
            "last-event-id",
            "begin with the remembered events after this one",
        )],
        body: None,
        answers: &[(200, "text/event-stream")],
        handler: || get(events::stream),
    },
    Route {
        method: "get",
        path: "/v1/openapi.json",
        summary: "This description",
        parameters: &[],
        body: None,
        answers: &[(200, "OpenAPI 3.1")],
        handler: || get(openapi::show),
    },
    Route {
        method: "post",
        path: "/v1/drain",
        summary: "Stop taking requests, finish those in flight, end",
        parameters: &[],
        body: None,
        answers: &[(202, "draining")],
        handler: || post(drain::drain),
    },
    Route {
        method: "post",
        path: "/v1/resume",
        summary: "Take back a drain that has not stopped accepting yet",
        parameters: &[],
        body: None,
        answers: &[(200, "serving")],
        handler: || post(drain::resume),
    },
    Route {
        method: "post",
        path: "/v1/explain",
        summary: "What would become of a call, stage by stage; nothing is sent",
        parameters: &[],
        body: Some(EXPLAIN_BODY),
        answers: &[
            (
                200,
                "stages: each with its decision and why, and route's with every candidate",
            ),
            (409, "the document in force cannot be compiled here, with each fault"),
        ],
        handler: || post(explain::ask),
    },
    Route {
        method: "get",
        path: "/v1/limits/{scope}",
        summary: "How the limits of the organization, or of all teams, users, keys, models or providers stand",
        parameters: &[],
        body: None,
        answers: &[(200, "limits"), (503, "the data plane is not connected")],
        handler: || get(limits::of_scope),
    },
    Route {
        method: "get",
        path: "/v1/limits/{scope}/{name}",
        summary: "How the limits of one team, user, key, model or provider stand, or of one value of a tag (NAME=VALUE)",
        parameters: &[],
        body: None,
        answers: &[
            (
                200,
                "limits: each with what it counts, its period, limit, used, remaining and reset_s",
            ),
            (404, "no limits stand under that name"),
            (503, "the data plane is not connected"),
        ],
        handler: || get(limits::of_name),
    },
    Route {
        method: "get",
        path: "/v1/usage",
        summary: "What calls used and cost",
        parameters: &[
            (
                Query,
                "by",
                "kept apart by: organization, cost_center, team, user, key, model_asked, model, provider, upstream_model, \
                 credential, surface, dialect, tags, tag:NAME, entry, price_version, hour, day, month",
            ),
            (
                Query,
                "from",
                "calls that ended at this time or later; 30d ago by default",
            ),
            (Query, "to", "calls that ended before this time; now by default"),
            (
                Query,
                "timezone",
                "what days and months are of; the document's by default",
            ),
            (Query, "format", "json, or focus: rows of FOCUS 1.2"),
        ],
        body: None,
        answers: &[
            (200, "from, to, rows"),
            (400, "no such dimension, or no time"),
            (422, "too many rows"),
        ],
        handler: || get(usage::show),
    },
    Route {
        method: "get",
        path: "/v1/usage/forecast",
        summary: "When what is left of each calendar limit will be used up",
        parameters: &[],
        body: None,
        answers: &[
            (
                200,
                "rows: each limit with per_day, ends_at where it ends before its period does, and at_end",
            ),
            (503, "the data plane is not connected"),
        ],
        handler: || get(ledger::forecasts),
    },
    Route {
        method: "post",
        path: "/v1/usage/rerate",
        summary: "What a period would have cost at other prices; the difference as records of their own",
        parameters: &[],
        body: Some(RERATE_BODY),
        answers: &[
            (
                200,
                "priced, unpriced, cost_before_usd, cost_after_usd, corrected_before_usd, adjustments, posted",
            ),
            (404, "no such revision"),
            (422, "faults of the document, or calls that are forgotten"),
        ],
        handler: || post(ledger::rerate),
    },
    Route {
        method: "post",
        path: "/v1/usage/reconcile",
        summary: "What a provider tells of a period beside the ledger, and why it may differ",
        parameters: &[],
        body: Some(RECONCILE_BODY),
        answers: &[
            (200, "agree, differences, theirs_cost_usd, ours_cost_usd, posted"),
            (400, "what is wrong with what the provider tells"),
        ],
        handler: || post(ledger::reconcile),
    },
    Route {
        method: "post",
        path: "/v1/cache/purge",
        summary: "Forget answers that caches keep: those that all that is named is true of, or all",
        parameters: &[],
        body: Some(PURGE_BODY),
        answers: &[
            (200, "how many answers, and how many bytes they were"),
            (503, "the data plane is not connected"),
        ],
        handler: || post(cache::purge),
    },
    Route {
        method: "post",
        path: "/v1/feedback",
        summary: "Say whether an answer that a semantic cache served was right: a wrong one is not served again",
        parameters: &[],
        body: Some(FEEDBACK_BODY),
        answers: &[
            (200, "the cache"),
            (400, "what is wrong with the question"),
            (404, "no such request was served by meaning lately"),
            (503, "the data plane is not connected"),
        ],
        handler: || post(feedback::judge),
    },
    Route {
        method: "get",
        path: "/v1/cache",
        summary: "What each cache did and saved, and what `mode: shadow` compared lately",
        parameters: &[],
        body: None,
        answers: &[(200, "caches, compared"), (503, "the data plane is not connected")],
        handler: || get(feedback::caches),
    },
];

const FEEDBACK_BODY: &str = r#"{"type":"object","additionalProperties":false,"required":["request_id","verdict"],"properties":{"request_id":{"type":"string"},"verdict":{"enum":["right","wrong"]}}}"#;

const PURGE_BODY: &str = r#"{"type":"object","additionalProperties":false,"properties":{"cache":{"type":"string"},"key":{"type":"string"},"team":{"type":"string"},"model":{"type":"string"},"tag":{"type":"string"},"prefix":{"type":"string"}}}"#;

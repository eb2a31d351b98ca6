//! The API over its socket, as the command line speaks it.

use std::sync::Arc;

use hyper::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixListener;

use crate::{
    api,
    cli::CliError,
    client::{Call, Client},
    plane::Plane,
    testing::{self, Fake, Mishap, document},
};

struct Bench {
    _folder: TempDir,
    fake: Fake,
    plane: Arc<Plane>,
    client: Client,
}

async fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::default();
    fake.start(folder.path());
    let plane = testing::plane(folder.path());
    testing::connect(&plane).await;
    let socket = plane.control_socket.clone();
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(api::serve_socket(plane.clone(), listener));
    let bench = Bench {
        _folder: folder,
        fake,
        plane,
        client: Client::new(socket),
    };
    bench.put("/v1/config", &document(2)).await.unwrap();
    bench
}

impl Bench {
    async fn get(&self, path: &str) -> Result<Value, CliError> {
        self.client.json(Call::get(path)).await
    }

    async fn put(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.client.json(Call::new(Method::PUT, path).json(body)).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.client.json(Call::new(Method::POST, path).json(body)).await
    }
}

/// The status a problem carries.
fn status(error: CliError) -> u64 {
    match error {
        CliError::Failed { problem, .. } | CliError::BadInput { problem, .. } => problem["status"].as_u64().unwrap(),
        CliError::Unreachable(text) => panic!("{text}"),
    }
}

#[tokio::test]
async fn the_document_is_read_and_changed_by_pointer() {
    let bench = bench().await;
    assert_eq!(bench.get("/v1/config").await.unwrap(), document(2));
    let target = bench.get("/v1/config/models/model-0/targets/0/provider").await.unwrap();
    assert_eq!(target, json!("p"));
    let path = "/v1/config/models/openai~1%2A";
    let model = json!({"targets": [{"provider": "p", "model": "*"}]});
    let outcome = bench.put(path, &model).await.unwrap();
    assert_eq!(
        (outcome["revision"].as_u64(), outcome["changes"][0]["pointer"].as_str()),
        (Some(2), Some("/models/openai~1*"))
    );
    assert_eq!(bench.get(path).await.unwrap(), model);
    let deleted: Value = bench.client.json(Call::new(Method::DELETE, path)).await.unwrap();
    assert_eq!(deleted["revision"], 3);
    let history = bench.get("/v1/revisions?limit=2").await.unwrap();
    assert_eq!(history["revisions"].as_array().unwrap().len(), 2);
    assert_eq!(bench.get("/v1/revisions/2/diff").await.unwrap()["from"], 1);
    let back = bench.post("/v1/revisions/2/rollback", &Value::Null).await.unwrap();
    assert_eq!(back["revision"], 4);
    assert_eq!(
        bench.get("/v1/revisions/4").await.unwrap()["why"],
        "rollback to revision 2"
    );
}

#[tokio::test]
async fn refusals_are_problems_with_a_status() {
    let bench = bench().await;
    assert_eq!(status(bench.get("/v1/config/none").await.unwrap_err()), 404);
    assert_eq!(status(bench.get("/v1/none").await.unwrap_err()), 404);
    assert_eq!(status(bench.get("/v1/limits/team/red").await.unwrap_err()), 404);
    assert_eq!(status(bench.get("/v1/limits/planet/red").await.unwrap_err()), 404);
    let judged = |request_id: &str, verdict: &str| json!({"request_id": request_id, "verdict": verdict});
    for (body, expected) in [
        (json!({}), 400),
        (judged("served", "good"), 400),
        (judged("another", "wrong"), 404),
    ] {
        assert_eq!(
            status(bench.post("/v1/feedback", &body).await.unwrap_err()),
            expected,
            "{body}"
        );
    }
    let told = bench.post("/v1/feedback", &judged("served", "wrong")).await.unwrap();
    assert!(told.to_string().contains("answers"), "{told}");
    assert_eq!(
        status(bench.put("/v1/config/models", &json!(3)).await.unwrap_err()),
        422
    );
    assert_eq!(
        status(bench.put("/v1/config?dry_run=maybe", &document(1)).await.unwrap_err()),
        400
    );
    let mut text = Call::new(Method::PUT, "/v1/config");
    text.body = b"version: [".to_vec();
    assert_eq!(status(bench.client.bytes(text).await.unwrap_err()), 400);
    let race = Call::new(Method::PUT, "/v1/config")
        .json(&document(1))
        .header("if-match", Some("\"9\"".into()));
    assert_eq!(status(bench.client.bytes(race).await.unwrap_err()), 412);
    assert_eq!(bench.plane.current().revision, 1);
}

#[tokio::test]
async fn a_key_s_secret_is_shown_once_and_only_its_hash_travels() {
    let bench = bench().await;
    let body = json!({"name": "ci", "team": "research", "models": ["model-*"], "expires": "30d"});
    let issued = bench.post("/v1/keys", &body).await.unwrap();
    let secret = issued["secret"].as_str().unwrap();
    assert!(secret.starts_with("tg-") && secret.len() == 67, "{secret}");
    let held = bench.fake.world.lock().unwrap().keys.clone();
    assert_eq!(held[0].sha256, crate::identity::sha256_hex(secret.as_bytes()));
    let listed = bench.get("/v1/keys").await.unwrap().to_string();
    assert!(listed.contains("\"ci\"") && !listed.contains(secret));
    assert_eq!(status(bench.post("/v1/keys", &body).await.unwrap_err()), 409);
    assert_eq!(
        status(
            bench
                .post("/v1/keys", &json!({"name": "x", "team": "none"}))
                .await
                .unwrap_err()
        ),
        422
    );
    assert_eq!(
        status(bench.post("/v1/keys", &json!({"name": "a b"})).await.unwrap_err()),
        422
    );

    let rotated = bench
        .post("/v1/keys/ci/rotate", &json!({"overlap": "1h"}))
        .await
        .unwrap();
    let held = bench.fake.world.lock().unwrap().keys.clone();
    assert_eq!(held[0].previous.as_ref().unwrap().0, issued["sha256"].as_str().unwrap());
    assert_ne!(rotated["secret"], issued["secret"]);

    let revoke = || Call::new(Method::DELETE, "/v1/keys/ci");
    bench.client.bytes(revoke()).await.unwrap();
    assert!(bench.fake.world.lock().unwrap().keys.is_empty());
    assert_eq!(status(bench.client.bytes(revoke()).await.unwrap_err()), 404);
}

#[tokio::test]
async fn a_key_that_the_shards_did_not_take_does_not_exist() {
    let bench = bench().await;
    bench.post("/v1/keys", &json!({"name": "old"})).await.unwrap();
    bench.fake.mishap(Mishap::FailKeys);
    assert_eq!(
        status(bench.post("/v1/keys", &json!({"name": "new"})).await.unwrap_err()),
        503
    );
    assert_eq!(
        status(bench.post("/v1/keys/old/rotate", &json!({})).await.unwrap_err()),
        503
    );
    let stored = bench.plane.store.keys().await.unwrap();
    assert_eq!(
        (stored.len(), stored[0].key.name.as_str(), &stored[0].key.previous),
        (1, "old", &None)
    );
    // A revocation is kept all the same.
    let revoke = Call::new(Method::DELETE, "/v1/keys/old");
    assert_eq!(status(bench.client.bytes(revoke).await.unwrap_err()), 503);
    assert!(bench.plane.store.keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn both_planes_are_seen_from_outside() {
    let bench = bench().await;
    let seen = bench.get("/v1/status").await.unwrap();
    assert_eq!(
        (seen["revision"].as_u64(), seen["shards"][1]["revision"].as_u64()),
        (Some(1), Some(1))
    );
    let metrics = bench.client.bytes(Call::get("/v1/metrics")).await.unwrap();
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    assert!(metrics.contains("tollgate_requests_total 7") && metrics.contains("tollgate_controlplane_revision 1"));
    assert_eq!(bench.get("/v1/openapi.json").await.unwrap()["openapi"], "3.1.0");
}

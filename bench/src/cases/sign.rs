//! What a signature of AWS costs a call, the hash of its body included, and an assertion for Google a side thread once in
//! three quarters of an hour.

use std::hint::black_box;

use ring::rand::SystemRandom;
use tollgate_dialect::sign::{AwsKeys, Payload, Request, Signer, google::ServiceAccount};

use crate::{Case, Unit};

/// 2026-01-01T12:00:00Z.
const NOON_UNIX_S: u64 = 1_767_268_800;
const DAY_S: u64 = 86_400;
const SMALL_BYTES: usize = 1_200;
const LARGE_BYTES: usize = 32 * 1024;

pub const CASES: [Case; 4] = [
    Case {
        group: "sign",
        name: "AWS, 1.2 KB",
        per: Unit::one("request", SMALL_BYTES),
        counted_runs: 200,
        prepare: || aws(SMALL_BYTES, 0),
    },
    Case {
        group: "sign",
        name: "AWS, 32 KB",
        per: Unit::one("request", LARGE_BYTES),
        counted_runs: 20,
        prepare: || aws(LARGE_BYTES, 0),
    },
    Case {
        group: "sign",
        name: "AWS, 1.2 KB, each on another day",
        per: Unit::one("request", SMALL_BYTES),
        counted_runs: 50,
        prepare: || aws(SMALL_BYTES, DAY_S),
    },
    Case {
        group: "sign",
        name: "an assertion for Google",
        per: Unit::one("assertion", 0),
        counted_runs: 2,
        prepare: assertion,
    },
];

fn aws(bytes: usize, step_s: u64) -> Box<dyn FnMut()> {
    let keys = AwsKeys {
        access: "AKIAIOSFODNN7EXAMPLE".into(),
        secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        session: Some("x".repeat(400).into()),
        expires_unix_s: None,
    };
    let mut signer = Signer::new(keys, "us-east-1", "bedrock");
    let body = vec![b'a'; bytes];
    let (mut out, mut now_unix_s) = (Vec::with_capacity(1_024), NOON_UNIX_S);
    Box::new(move || {
        let request = Request {
            method: "POST",
            path: b"/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
            query: b"",
            host: b"bedrock-runtime.us-east-1.amazonaws.com",
            headers: &[],
            payload: Payload::of(black_box(&body)),
        };
        out.clear();
        signer.sign(&request, now_unix_s, &mut out);
        now_unix_s += step_s;
        black_box(&out);
    })
}

fn assertion() -> Box<dyn FnMut()> {
    let text = include_str!("../../../dataplane/dialect/tests/sign/google.json");
    let sample: serde_json::Value = serde_json::from_str(text).expect("it is ours");
    let account = ServiceAccount::read(sample["account"].to_string().as_bytes()).expect("a service account");
    let random = SystemRandom::new();
    Box::new(move || {
        let scope = "https://www.googleapis.com/auth/cloud-platform";
        black_box(account.assertion(scope, black_box(NOON_UNIX_S), &random)).expect("it signs");
    })
}

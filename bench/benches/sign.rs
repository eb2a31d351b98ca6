//! What a signature of AWS costs a call, and an assertion for Google a side thread once in three quarters of an hour.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ring::rand::SystemRandom;
use tollgate_dialect::sign::{AwsKeys, Payload, Request, Signer, google::ServiceAccount};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 2026-01-01T12:00:00Z.
const NOON: u64 = 1_767_268_800;
const DAY_S: u64 = 86_400;

fn sign(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sign");
    for (name, bytes, step_s) in [
        ("AWS, 1.2 KB", 1_200, 0),
        ("AWS, 32 KB", 32 * 1024, 0),
        ("AWS, 1 MB", 1 << 20, 0),
        ("AWS, 1.2 KB, each on another day", 1_200, DAY_S),
    ] {
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(name, |bench| {
            let mut run = aws(bytes, step_s);
            bench.iter(&mut run);
        });
    }
    group.finish();
    criterion.bench_function("sign/an assertion for Google", |bench| {
        let account = account();
        let random = SystemRandom::new();
        bench.iter(|| {
            account.assertion(
                "https://www.googleapis.com/auth/cloud-platform",
                black_box(NOON),
                &random,
            )
        });
    });
}

/// Hash of the body included.
fn aws(bytes: usize, step_s: u64) -> impl FnMut() {
    let keys = AwsKeys {
        access: "AKIAIOSFODNN7EXAMPLE".into(),
        secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        session: Some("x".repeat(400).into()),
        expires_unix_s: None,
    };
    let mut signer = Signer::new(keys, "us-east-1", "bedrock");
    let body = vec![b'a'; bytes];
    let (mut out, mut now) = (Vec::with_capacity(1_024), NOON);
    move || {
        let request = Request {
            method: "POST",
            path: b"/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
            query: b"",
            host: b"bedrock-runtime.us-east-1.amazonaws.com",
            headers: &[("content-type", b"application/json")],
            payload: Payload::of(black_box(&body)),
        };
        out.clear();
        signer.sign(&request, now, &mut out);
        now += step_s;
        black_box(&out);
    }
}

fn account() -> ServiceAccount {
    let text = include_str!("../../dataplane/dialect/tests/sign/google.json");
    let case: serde_json::Value = serde_json::from_str(text).expect("it is ours");
    ServiceAccount::read(case["account"].to_string().as_bytes()).expect("a service account")
}

criterion_group!(benches, sign);
criterion_main!(benches);

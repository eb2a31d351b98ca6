//! What the parsers of `tollgate-wire` cost on the bytes that a chat call really has. Knows no engine.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tollgate_wire::{
    head::{Method, RequestHead, ResponseHead},
    http1::{chunked, read},
    json::cursor,
    sse::Splitter,
};

const REQUEST: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway.example:8080\r\n\
    Authorization: Bearer tg-0123456789abcdef0123456789abcdef\r\nAccept: application/json\r\n\
    Content-Type: application/json\r\nUser-Agent: OpenAI/Python 2.1.0\r\nAccept-Encoding: gzip, deflate\r\n\
    X-Stainless-Lang: python\r\nX-Stainless-Package-Version: 2.1.0\r\nX-Stainless-OS: Linux\r\n\
    X-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\nX-Stainless-Retry-Count: 0\r\n\
    Connection: keep-alive\r\nContent-Length: 1200\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n\
    Content-Length: 912\r\nConnection: keep-alive\r\nopenai-processing-ms: 412\r\nopenai-version: 2020-10-01\r\n\
    x-request-id: req_0123456789abcdef\r\nx-ratelimit-limit-requests: 10000\r\n\
    x-ratelimit-remaining-requests: 9999\r\nStrict-Transport-Security: max-age=31536000\r\n\r\n";

const EVENTS: usize = 100;

fn heads(criterion: &mut Criterion) {
    let limits = read::Limits::default();
    let mut group = criterion.benchmark_group("head");
    let mut request = RequestHead::default();
    group.throughput(Throughput::Bytes(REQUEST.len() as u64));
    group.bench_function("request, 14 fields", |bench| {
        bench.iter(|| read::request(black_box(REQUEST), &limits, &mut request).expect("a good head"));
    });
    let mut response = ResponseHead::default();
    group.throughput(Throughput::Bytes(RESPONSE.len() as u64));
    group.bench_function("response, 10 fields", |bench| {
        bench.iter(|| read::response(black_box(RESPONSE), Method::Post, &limits, &mut response).expect("a good head"));
    });
    group.finish();
}

fn chat_body(bytes: usize) -> Vec<u8> {
    let before = br#"{"model":"smart","messages":[{"role":"system","content":"Be terse."},{"role":"user","content":""#;
    let after = br#""}],"temperature":0.2,"max_tokens":256,"stream":true,"stream_options":{"include_usage":true}}"#;
    let words = b"the gateway finds the model, checks a key and hands the answer back ";
    let text = words.iter().copied().cycle().take(bytes - before.len() - after.len());
    before
        .iter()
        .copied()
        .chain(text)
        .chain(after.iter().copied())
        .collect()
}

fn json(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json cursor");
    for bytes in [1_200, 131_072] {
        let body = chat_body(bytes);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("model and stream of {bytes} bytes"), |bench| {
            let paths = ["model", "stream", "stream_options.include_usage"];
            bench.iter(|| cursor::find(black_box(&body), &paths).expect("good JSON"));
        });
    }
    group.finish();
}

fn event() -> Vec<u8> {
    let mut event =
        br#"data: {"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1767225600,"#.to_vec();
    event.extend_from_slice(br#""model":"gpt-5.4-mini","choices":[{"index":0,"delta":{"content":" word"},"#);
    event.extend_from_slice(b"\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n");
    event
}

fn streams(criterion: &mut Criterion) {
    let event = event();
    let mut group = criterion.benchmark_group("stream of 100 events");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("split, one event a read", |bench| {
        bench.iter(|| {
            let (mut splitter, mut seen) = (Splitter::new(1 << 20), 0);
            for _ in 0..EVENTS {
                splitter
                    .feed(black_box(&event), |event| seen += event.data.len())
                    .expect("short events");
            }
            seen
        });
    });
    let mut chunk = Vec::new();
    chunked::write_chunk(&mut chunk, &event);
    group.bench_function("chunked, one chunk a read", |bench| {
        bench.iter(|| {
            let (mut decoder, mut seen) = (chunked::Decoder::default(), 0);
            for _ in 0..EVENTS {
                let mut rest = black_box(&chunk[..]);
                while let chunked::Step::Data { data, consumed } = decoder.step(rest).expect("good chunks") {
                    seen += data.len();
                    rest = &rest[consumed..];
                }
            }
            seen
        });
    });
    group.finish();
}

criterion_group!(benches, heads, json, streams);
criterion_main!(benches);

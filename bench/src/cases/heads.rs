//! Heads as a kept connection of an SDK and a provider send them.

use std::hint::black_box;

use tollgate_wire::{
    head::{Method, RequestHead, ResponseHead},
    http1::read,
};

use crate::{Case, Unit};

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

pub const CASES: [Case; 2] = [
    Case {
        group: "head",
        name: "request of 14 fields",
        per: Unit::one("head", REQUEST.len()),
        counted_runs: 1000,
        prepare: request,
    },
    Case {
        group: "head",
        name: "response of 10 fields",
        per: Unit::one("head", RESPONSE.len()),
        counted_runs: 1000,
        prepare: response,
    },
];

fn request() -> Box<dyn FnMut()> {
    let (limits, mut head) = (read::Limits::default(), RequestHead::default());
    Box::new(move || {
        black_box(read::request(black_box(REQUEST), &limits, &mut head)).expect("a good head");
    })
}

fn response() -> Box<dyn FnMut()> {
    let (limits, mut head) = (read::Limits::default(), ResponseHead::default());
    Box::new(move || {
        black_box(read::response(black_box(RESPONSE), Method::Post, &limits, &mut head)).expect("a good head");
    })
}

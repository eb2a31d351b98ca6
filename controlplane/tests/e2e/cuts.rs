//! The provider's connection ends at every byte of a short answer and of a short stream, by close and by reset.
//!
//! The client never takes a part for the whole: a buffered answer is refused or visibly cut; a stream ends with the
//! dialect's own error event. Nothing is left behind.

use crate::harness::{
    Ended, Gateway, Response, Sandbox, Setup,
    gateway::{chat, messages},
    http::call,
    probe::Baseline,
    until,
};

struct Case {
    path: &'static str,
    gateway_body: String,
    /// The same request as the provider gets it.
    provider_body: String,
}

impl Case {
    fn new(path: &'static str, stream: bool) -> Self {
        let more = if stream { r#","stream":true"# } else { "" };
        let body = |model: &str| {
            if path == "/v1/messages" {
                messages(model, more)
            } else {
                chat(model, more)
            }
        };
        let prefix = if path == "/v1/messages" { "anthropic" } else { "openai" };
        let gateway_body = body(&format!("{prefix}/sandbox-tokens-2"));
        Self {
            path,
            gateway_body,
            provider_body: body("sandbox-tokens-2"),
        }
    }

    /// The provider's whole answer, and how many bytes it takes on the wire.
    fn whole(&self, sandbox: &Sandbox) -> (Response, usize) {
        let version = [("anthropic-version", "2023-06-01")];
        let answer = call(
            sandbox.address,
            "POST",
            self.path,
            &version,
            self.provider_body.as_bytes(),
        )
        .expect(200);
        let mut client = crate::harness::Client::connect(sandbox.address);
        let headers = [version[0], ("connection", "close")];
        client.send(&crate::harness::http::request(
            "POST",
            self.path,
            &headers,
            self.provider_body.as_bytes(),
        ));
        // `connection: close` is a line more than what the gateway gets on a kept connection.
        let length = client.read_to_close().len() - "connection: close\r\n".len();
        (answer, length)
    }
}

fn each_cut(case: &Case, kind: &str, step: usize, judge: impl Fn(usize, &Response, &Response, usize)) {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    let (whole, length) = case.whole(&sandbox);
    gateway.post(case.path, &[], &case.gateway_body).expect(200);
    until("the warm-up's connections to be gone", 10, || {
        (sandbox.open_connections() == 0).then_some(())
    });
    let baseline = Baseline::of(gateway.dataplane_pid());
    for bytes in (0..=length).step_by(step) {
        let fault = format!("{bytes}{kind}");
        let answer = gateway.post(case.path, &[("x-sandbox-cut-after", &fault)], &case.gateway_body);
        judge(bytes, &answer, &whole, length);
    }
    assert_nothing_left(&gateway, &sandbox, &baseline);
}

fn assert_nothing_left(gateway: &Gateway, sandbox: &Sandbox, baseline: &Baseline) {
    until("every connection to be closed", 10, || {
        (gateway.connections() == 0 && sandbox.open_connections() == 0).then_some(())
    });
    baseline.assert_restored(6 * 1024);
}

fn judge_buffered(bytes: usize, answer: &Response, whole: &Response, length: usize) {
    let is_all = bytes == length;
    match (answer.status, answer.ended) {
        (200, Ended::Whole) => assert!(
            is_all && answer.body == whole.body,
            "a part was given as the whole at {bytes} of {length}"
        ),
        (200, Ended::Cut) => assert!(
            !is_all && whole.body.starts_with(&answer.body),
            "cut at {bytes}: {}",
            answer.text()
        ),
        (502, Ended::Whole) => assert!(
            !is_all && answer.json()["error"].is_object(),
            "cut at {bytes}: {}",
            answer.text()
        ),
        _ => panic!("cut at {bytes} of {length}: {answer:?}"),
    }
}

fn judge_stream(bytes: usize, answer: &Response, whole: &Response, length: usize) {
    if answer.status == 502 {
        return assert!(answer.json()["error"].is_object(), "cut at {bytes}: {}", answer.text());
    }
    assert_eq!(answer.status, 200, "cut at {bytes}: {answer:?}");
    if answer.body == whole.body {
        // All events came; only the end of the last chunk may be missing.
        return assert!(
            bytes + b"\r\n0\r\n\r\n".len() >= length,
            "cut at {bytes} of {length}, yet all is there"
        );
    }
    let text = answer.text();
    let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default().to_owned();
    let json = last
        .lines()
        .find_map(|line| line.strip_prefix("data: "))
        .unwrap_or_default();
    let event: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    assert!(
        event["error"].is_object(),
        "cut at {bytes} of {length}: the stream ends with {last:?}\nin {text}"
    );
    let before = text.len() - text.trim_end().len() + last.len();
    let before = text[..text.len() - before].trim_end();
    assert!(
        whole.text().starts_with(before),
        "cut at {bytes}: what came before the error is not the provider's: {text}"
    );
}

#[test]
fn an_openai_answer_cut_at_every_byte() {
    each_cut(&Case::new("/v1/chat/completions", false), "", 1, judge_buffered);
}

#[test]
fn an_anthropic_answer_cut_at_every_byte() {
    each_cut(&Case::new("/v1/messages", false), "", 1, judge_buffered);
}

#[test]
fn an_openai_stream_cut_at_every_byte() {
    each_cut(&Case::new("/v1/chat/completions", true), "", 1, judge_stream);
}

#[test]
fn an_anthropic_stream_cut_at_every_byte() {
    each_cut(&Case::new("/v1/messages", true), "", 1, judge_stream);
}

#[test]
fn an_answer_reset_at_every_byte() {
    each_cut(&Case::new("/v1/chat/completions", false), " rst", 1, judge_buffered);
}

#[test]
fn a_stream_reset_at_every_third_byte() {
    each_cut(&Case::new("/v1/messages", true), " rst", 3, judge_stream);
}

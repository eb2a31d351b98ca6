//! A warm connection serves calls without touching the allocator: the one property of speed a unit test can hold.

mod rig;

use rig::{Rig, document};
use tollgate_engine::{Exchange, Input, Io, Outputs, Peer, outputs::AttemptId};
use tollgate_wire::{
    head::{Method, RequestHead, RequestView, ResponseHead, ResponseView},
    http1::read::{self, Limits},
};

struct Call {
    head: Vec<u8>,
    body: Vec<u8>,
    answer_head: &'static [u8],
    pieces: Vec<&'static [u8]>,
}

const BUFFERED: &[u8] = b"{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}";
const BUFFERED_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 64\r\nx-request-id: 1\r\n\r\n";
const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const CHUNK: &[u8] = b"data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}],\"usage\":null}\n\n";
const HALF: &[u8] = b"data: {\"choices\":[{\"delta\":";
const OTHER_HALF: &[u8] = b"{\"content\":\"hi\"}}],\"usage\":null}\n\n";

fn call(body: &str, answer_head: &'static [u8], pieces: Vec<&'static [u8]>) -> Call {
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nauthorization: Bearer secret-all\r\nuser-agent: \
         x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Call {
        head: head.into_bytes(),
        body: body.as_bytes().to_vec(),
        answer_head,
        pieces,
    }
}

fn serve(
    rig: &mut Rig,
    exchange: &mut Exchange,
    out: &mut Outputs,
    heads: &mut (RequestHead, ResponseHead),
    call: &Call,
) {
    let (request, response) = heads;
    read::request(&call.head, &Limits::default(), request).expect("a valid head");
    read::response(call.answer_head, Method::Post, &Limits::default(), response).expect("a valid head");
    let peer = Peer {
        address: [127, 0, 0, 1].into(),
        loopback: true,
        listener: None,
    };
    exchange.begin(rig.pinned.clone(), peer, rig.now);
    let mut feed = |input: Input<'_>| {
        out.clear();
        let request = RequestView {
            head: request,
            buf: &call.head,
        };
        let (now, local) = (rig.now, &mut rig.local);
        let mut io = Io {
            now,
            unix_ms: 1,
            ready: true,
            request,
            body: &call.body,
            local,
            out: &mut *out,
        };
        exchange.feed(input, &mut io);
    };
    feed(Input::Head);
    feed(Input::Body);
    feed(Input::Connected(AttemptId(1)));
    feed(Input::UpstreamHead(
        AttemptId(1),
        ResponseView {
            head: response,
            buf: call.answer_head,
        },
    ));
    for piece in &call.pieces {
        feed(Input::UpstreamBody(AttemptId(1), piece));
    }
    feed(Input::UpstreamEnd(AttemptId(1)));
    assert_eq!((exchange.record().status, exchange.record().attempts), (200, 1));
}

#[test]
fn a_warm_connection_allocates_nothing() {
    let mut rig = Rig::new(document());
    let mut exchange = Exchange::default();
    let mut out = Outputs::default();
    let mut heads = (RequestHead::default(), ResponseHead::default());
    let calls = [
        call(r#"{"model":"gpt","messages":[]}"#, BUFFERED_HEAD, vec![BUFFERED]),
        call(
            r#"{"model":"one/any-model","messages":[]}"#,
            BUFFERED_HEAD,
            vec![&BUFFERED[..10], &BUFFERED[10..]],
        ),
        call(
            r#"{"model":"same","stream":true}"#,
            STREAM_HEAD,
            vec![CHUNK, CHUNK, HALF, OTHER_HALF],
        ),
    ];
    assert_eq!(BUFFERED.len(), 64);
    for call in &calls {
        serve(&mut rig, &mut exchange, &mut out, &mut heads, call);
    }
    let counts = allocation_counter::measure(|| drop(std::hint::black_box(vec![1])));
    assert_eq!(counts.count_total, 1, "the counter counts");
    let counted = allocation_counter::measure(|| {
        for call in calls.iter().cycle().take(30) {
            serve(&mut rig, &mut exchange, &mut out, &mut heads, call);
        }
    });
    assert_eq!(counted.count_total, 0);

    // With another target to go to, a stream is held until its first word.
    let held = call(r#"{"model":"gpt","stream":true}"#, STREAM_HEAD, vec![CHUNK, CHUNK]);
    serve(&mut rig, &mut exchange, &mut out, &mut heads, &held);
    let counted = allocation_counter::measure(|| serve(&mut rig, &mut exchange, &mut out, &mut heads, &held));
    assert!(counted.count_total <= 7, "{counted:?}");
}

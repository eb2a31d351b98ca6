//! Heads by table: what is read, and every looseness that is refused.

use proptest::prelude::*;

use super::*;
use crate::head::RequestView;

fn read_request(text: &[u8]) -> Result<(Progress, RequestHead), BadHead> {
    let mut head = RequestHead::default();
    request(text, &Limits::default(), &mut head).map(|progress| (progress, head))
}

fn complete_request(text: &str) -> RequestHead {
    match read_request(text.as_bytes()) {
        Ok((Progress::Complete, head)) => head,
        other => panic!("{other:?} for {text:?}"),
    }
}

fn read_response(text: &str, method: Method) -> Result<(Progress, ResponseHead), BadHead> {
    let mut head = ResponseHead::default();
    response(text.as_bytes(), method, &Limits::default(), &mut head).map(|progress| (progress, head))
}

#[test]
fn a_request_is_read_as_spans() {
    let text = "POST /v1/chat/completions?a=b?c HTTP/1.1\r\nHost: Api.Example:8080\r\nauthorization:Bearer x \t\r\nX-Empty:\r\nContent-Length: 12\r\n\r\n{\"model\":1}\n";
    let head = complete_request(text);
    let view = RequestView {
        head: &head,
        buf: text.as_bytes(),
    };
    assert_eq!(head.method, Method::Post);
    assert_eq!(head.method_token.of(text.as_bytes()), b"POST");
    assert_eq!(
        (view.path(), view.query()),
        (&b"/v1/chat/completions"[..], &b"a=b?c"[..])
    );
    assert_eq!(view.get(Known::Authorization), Some(&b"Bearer x"[..]));
    assert_eq!(view.get(Known::Host), Some(&b"Api.Example:8080"[..]));
    assert_eq!(view.get(Known::Cookie), None);
    assert_eq!(head.framing, Framing::Length(12));
    assert_eq!(head.len, text.len() - 12);
    assert_eq!(head.fields.lines.len(), 4);
    assert!(head.keep_alive && !head.http_1_0 && !head.expect_continue && !head.upgrade);
}

#[test]
fn targets_are_taken_apart() {
    let table = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "/", ""),
        ("GET /? HTTP/1.1\r\nHost: a\r\n\r\n", "/", ""),
        ("GET //x/%2e?q HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "//x/%2e", "q"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "*", ""),
        ("GET http://A/x?y=/ HTTP/1.1\r\nHost: a:80\r\n\r\n", "/x", "y=/"),
        ("GET HTTPS://a:443?y HTTP/1.1\r\nHost: a\r\n\r\n", "/", "y"),
        ("GET http://a HTTP/1.0\r\n\r\n", "/", ""),
        ("\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n", "/x", ""),
    ];
    for (text, path, query) in table {
        let head = complete_request(text);
        let of = |span: Span| std::str::from_utf8(span.of(text.as_bytes())).expect("ascii");
        assert_eq!(
            (of(head.path), of(head.query), head.len),
            (path, query, text.len()),
            "{text:?}"
        );
    }
}

#[test]
fn connections_are_kept_or_closed() {
    let table = [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: foo, CLOSE\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive\r\nConnection: close\r\n", false),
    ];
    for (version, lines, keep_alive) in table {
        let text = format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
        assert_eq!(complete_request(&text).keep_alive, keep_alive, "{text:?}");
    }
}

#[test]
fn expectations_and_upgrades_are_noticed() {
    let expects = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n";
    assert!(complete_request(expects).expect_continue);
    assert!(!complete_request(&expects.replace("1.1", "1.0")).expect_continue);
    let upgrades = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    assert!(complete_request(upgrades).upgrade);
    assert!(!complete_request(&upgrades.replace("Connection: Upgrade\r\n", "")).upgrade);
}

#[test]
fn hop_by_hop_lines_are_marked() {
    let text = "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: x-a , close,, X-B\r\nKeep-Alive: 1\r\nx-b: 1\r\nX-A: 1\r\nx-c: 1\r\nProxy-Authorization: x\r\nx-a: 2\r\n\r\n";
    let head = complete_request(text);
    let ends: Vec<&str> = head
        .fields
        .lines
        .iter()
        .filter(|field| !field.hop)
        .map(|field| &text[field.name.range()])
        .collect();
    assert_eq!(ends, ["Host", "x-c"]);
}

#[test]
fn loose_requests_are_refused() {
    let lines = [
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 1 1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 1.0\r\n",
        "Content-Length: \u{661}\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Content-Length : 1\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        " X: y\r\n",
        "X: y\r\n z\r\n",
        "X: y\r\n\tz\r\n",
        "X\r\n",
        ": x\r\n",
        "X y: z\r\n",
        "X: y\n",
        "X: y\rZ: a\r\n",
        "X: \0\r\n",
        "X: \x01\r\n",
        "X: \x7f\r\n",
        "X: a\x1fb\r\n",
        "X:\n",
        "X\0: y\r\n",
        "X: y\r\r\n",
        "X: y\r\n\rZ: a\r\n",
        "X: a long value with a control byte far inside \x08 it, for the wide paths\r\n",
        "X: a long value with a bare line feed far inside \nof: it\r\n",
        "Host: b\r\n",
        "hOST: a\r\n",
        "Connection: content-length\r\n",
        "Connection: close, Host\r\n",
        "Connection: transfer-encoding\r\n",
        "Connection: Authorization\r\n",
        "Connection: x-api-key\r\n",
        "Connection: x-forwarded-for\r\n",
        "Connection: x-tollgate-tags\r\n",
    ];
    for line in lines {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{line}\r\n");
        let bad = read_request(text.as_bytes()).expect_err(&format!("{text:?}"));
        assert_eq!(bad.status, 400, "{text:?}: {bad}");
    }
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {}\r\n\r\n", "a,".repeat(40));
    assert_eq!(read_request(many.as_bytes()).expect_err("too many options").status, 400);
}

#[test]
fn loose_request_lines_and_hosts_are_refused() {
    let table: &[(&str, u16)] = &[
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: :80\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
        ("GET / HTTP/1.0\n\n", 400),
        ("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET / HTTP/0.9\r\n\r\n", 505),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417),
        ("\x16\x03\x01\x02\0\x01\0", 400),
    ];
    for (text, status) in table {
        let bad = read_request(text.as_bytes()).expect_err(&format!("{text:?}"));
        assert_eq!(bad.status, *status, "{text:?}: {bad}");
    }
}

#[test]
fn faults_are_named_and_placed() {
    let table = [
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
            "whitespace before a colon",
            26,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\n y\r\n\r\n", "obsolete line folding", 25),
        ("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", "line ends in a bare LF", 23),
        ("GET / HTTP/1.1\r\nX: \x01\r\n\r\n\x02", "control byte in the head", 19),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
            "bad content-length",
            41,
        ),
    ];
    for (text, reason, offset) in table {
        let bad = read_request(text.as_bytes()).expect_err(text);
        assert_eq!((bad.reason, bad.offset), (reason, offset), "{text:?}");
    }
}

#[test]
fn heads_have_limits() {
    let limits = Limits {
        max_head_bytes: 64,
        max_headers: 2,
    };
    let mut head = RequestHead::default();
    let mut status = |text: &str| request(text.as_bytes(), &limits, &mut head).map_err(|bad| bad.status);
    assert_eq!(
        status("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n"),
        Ok(Progress::Complete)
    );
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\n\r\n"), Err(431));
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(64));
    assert_eq!(status(&long), Err(431));
    assert_eq!(status(&long[..64]), Err(431));
    assert_eq!(status(&long[..63]), Ok(Progress::Incomplete));
    let over = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
    let wide = Limits {
        max_head_bytes: 1 << 20,
        max_headers: 10_000,
    };
    assert_eq!(
        request(over.as_bytes(), &wide, &mut RequestHead::default()).map_err(|bad| bad.status),
        Err(431)
    );
}

#[test]
fn responses_are_framed() {
    use Framing::{Chunked, Length, None, UntilClose};
    let (post, head) = (Method::Post, Method::Head);
    // What follows `HTTP/`, one line each; the method asked with; framing; kept open or not.
    let table: &[(&str, Method, Framing, bool)] = &[
        ("1.1 200 OK|Content-Length: 3|", post, Length(3), true),
        ("1.1 200 OK|Content-Length: 3|", head, None, true),
        ("1.1 200 OK|Transfer-Encoding: Chunked|", post, Chunked, true),
        ("1.1 200|", post, UntilClose, false),
        ("1.1 429 |Connection: close|Content-Length: 0|", post, Length(0), false),
        ("1.0 200 OK|Content-Length: 0|", post, Length(0), false),
        (
            "1.0 200 OK|Connection: keep-alive|Content-Length: 0|",
            post,
            Length(0),
            true,
        ),
        ("1.1 204 No Content|", post, None, true),
        ("1.1 204 No Content|Content-Length: 0|", post, None, true),
        ("1.1 204 No Content|Content-Length: 9|", post, None, false),
        ("1.1 304 Not Modified|Content-Length: 9|", post, None, true),
        ("1.1 599 \u{e9}|X:|Content-Length: 1|", post, Length(1), true),
    ];
    for (lines, method, framing, keep_alive) in table {
        let text = format!("HTTP/{}\r\n", lines.replace('|', "\r\n"));
        let (progress, head) = read_response(&text, *method).expect(lines);
        assert_eq!((progress, head.len), (Progress::Complete, text.len()), "{lines:?}");
        assert_eq!((head.framing, head.keep_alive), (*framing, *keep_alive), "{lines:?}");
    }
}

#[test]
fn interim_responses_are_skipped() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nA: b\r\nContent-Length: 1\r\n\r\n";
    let (_, head) = read_response(text, Method::Post).expect("valid");
    assert_eq!(
        (head.status, head.len, head.framing),
        (201, text.len(), Framing::Length(1))
    );
    assert_eq!(head.fields.lines.len(), 2, "lines of 1xx heads are gone");
    assert_eq!(&text[head.fields.lines[0].name.range()], "A");
}

#[test]
fn loose_responses_are_refused() {
    let table = [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\nA: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 099 X\r\n\r\n",
        "HTTP/1.1 600 X\r\n\r\n",
        "HTTP/1.1 20 X\r\n\r\n",
        "HTTP/1.1 2000 X\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "<html>",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 200 O\0K\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 1\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
    ];
    for text in table {
        let bad = read_response(text, Method::Post).expect_err(text);
        assert_eq!(bad.status, 502, "{text:?}: {bad}");
    }
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(MAX_INTERIM_HEADS);
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert!(read_response(&format!("{interim}{last}"), Method::Post).is_ok());
    assert!(read_response(&format!("{interim}HTTP/1.1 102 Processing\r\n\r\n{last}"), Method::Post).is_err());
}

#[test]
fn a_response_may_name_what_only_it_means() {
    let text = "HTTP/1.1 200 OK\r\nConnection: date\r\nDate: x\r\nServer: y\r\nContent-Length: 0\r\n\r\n";
    let (_, head) = read_response(text, Method::Get).expect("valid");
    let ends: Vec<&str> = head
        .fields
        .lines
        .iter()
        .filter(|field| !field.hop)
        .map(|field| &text[field.name.range()])
        .collect();
    assert_eq!(ends, ["Server", "Content-Length"]);
}

/// Pieces that make heads likely.
fn near_head(first: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let lines = vec![
        "Host: a\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: x, close\r\n",
        "X: y\r\n",
        "X:\r\n",
        "Expect: 100-continue\r\n",
        "X : y\r\n",
        "X: y\n",
        " z\r\n",
        "\r\n",
        "\n",
        "\r",
        "\0",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "body",
    ];
    let lines = prop::collection::vec(prop::sample::select(lines), 0..8);
    (prop::sample::select(first), lines, any::<bool>()).prop_map(|(first, lines, end)| {
        let end = if end { "\r\n" } else { "" };
        format!("{first}{}{end}", lines.concat()).into_bytes()
    })
}

/// Feeds one more byte each time, as the slowest peer would; the first answer that is not `Incomplete`.
fn bytewise<T>(
    text: &[u8],
    mut read: impl FnMut(&[u8]) -> Result<(Progress, T), BadHead>,
) -> Option<Result<T, BadHead>> {
    (0..=text.len()).find_map(|len| match read(&text[..len]) {
        Ok((Progress::Incomplete, _)) => None,
        Ok((Progress::Complete, head)) => Some(Ok(head)),
        Err(bad) => Some(Err(bad)),
    })
}

const REQUEST_LINES: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST /x?y HTTP/1.0\r\n",
    "GET / HTTP/2.0\r\n",
    "GET http://a/ HTTP/1.1\r\n",
    "\r\nGET / HTTP/1.1\r\n",
    "GET / HTTP/1.1\n",
    "\r\n",
];
const STATUS_LINES: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
    "HTTP/1.0 204\r\n",
    "HTTP/1.1 101 X\r\n",
    "HTTP/1.1 200 OK\n",
];

proptest! {
    #[test]
    fn any_split_of_a_request_gives_the_same(text in near_head(REQUEST_LINES)) {
        let whole = bytewise(&text, read_request);
        let at_once = match read_request(&text) {
            Ok((Progress::Incomplete, _)) => None,
            Ok((Progress::Complete, head)) => Some(Ok(head)),
            Err(bad) => Some(Err(bad)),
        };
        let shape = |outcome: &Option<Result<RequestHead, BadHead>>| outcome.as_ref().map(|outcome| match outcome {
            Ok(head) => Ok((head.len, head.framing, head.path, head.fields.lines.len(), head.keep_alive)),
            Err(bad) => Err(bad.status),
        });
        prop_assert_eq!(shape(&whole), shape(&at_once));
        if let Some(Ok(head)) = at_once {
            let framing_lines = head.fields.lines.iter().filter(|field| matches!(field.known, Known::ContentLength | Known::TransferEncoding)).count();
            prop_assert!(framing_lines <= 1, "no head passes with two ways to end its body");
        }
    }

    #[test]
    fn any_split_of_a_response_gives_the_same(text in near_head(STATUS_LINES)) {
        let read = |text: &[u8]| {
            let mut head = ResponseHead::default();
            response(text, Method::Post, &Limits::default(), &mut head).map(|progress| (progress, head))
        };
        let shape = |outcome: Result<ResponseHead, BadHead>| outcome.map(|head| (head.len, head.status, head.framing, head.fields.lines.len())).map_err(|bad| bad.status);
        let at_once = match read(&text) {
            Ok((Progress::Incomplete, _)) => None,
            Ok((Progress::Complete, head)) => Some(Ok(head)),
            Err(bad) => Some(Err(bad)),
        };
        prop_assert_eq!(bytewise(&text, read).map(shape), at_once.map(shape));
    }

    #[test]
    fn random_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = read_request(&text);
        let _ = response(&text, Method::Get, &Limits::default(), &mut ResponseHead::default());
    }
}

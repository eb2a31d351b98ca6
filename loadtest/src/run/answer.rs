//! Reads one HTTP/1.1 answer after another from the bytes of a connection, in whatever parts they come. Knows no socket
//! and no clock.

use tollgate_wire::{
    head::{Framing, Method, ResponseHead, ResponseView},
    http1::{
        chunked::{Decoder, Step},
        read::{self, Limits, Progress},
    },
};

use super::content::{Content, Expect, Judgement, TEXT_BYTES_MOST};

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered {
        verified: bool,
    },
    /// A status that is not right for the request.
    Status,
    /// It is not whole, or no HTTP.
    Cut,
    /// Whole, with a text that does not end as the sandbox's do.
    Foreign,
    /// Whole, and not what it should say.
    Content,
}

/// What is to be made of the answer to the request just sent.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Statuses that are right beside 2xx.
    pub statuses: &'a [u16],
    /// Hold texts against their checksums.
    pub verify: bool,
}

/// What a part of the answer came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Part {
    /// Events of a stream that carry text.
    pub texts: u64,
    /// What the head in this part said of the gateway's own time.
    pub gateway_ms: Option<f64>,
    /// Set when the answer is over.
    pub over: Option<Over>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Over {
    pub outcome: Outcome,
    /// The connection may carry another request.
    pub keep_alive: bool,
}

/// What a thread's answers share: room that is used while one part is read.
pub struct Shared {
    head: ResponseHead,
    limits: Limits,
}

impl Shared {
    pub fn new() -> Self {
        Self {
            head: ResponseHead::default(),
            limits: Limits::default(),
        }
    }
}

enum Stage {
    /// Nothing is asked.
    Idle,
    Head,
    Length(u64),
    Chunked(Decoder),
    UntilClose,
}

pub struct Answer {
    stage: Stage,
    /// A head, or the body of an answer that is no stream, as far as it came in earlier parts.
    kept: Vec<u8>,
    /// A body that is longer than is kept: it cannot be judged.
    too_long: bool,
    content: Content,
    status_right: bool,
    /// 2xx, so that there is content to judge.
    success: bool,
    keep_alive: bool,
}

/// Room that an answer keeps for the next one; more is given back.
const KEPT_BYTES: usize = 64 << 10;

impl Answer {
    pub fn new() -> Self {
        Self {
            stage: Stage::Idle,
            kept: Vec::new(),
            too_long: false,
            content: Content::new(),
            status_right: false,
            success: false,
            keep_alive: false,
        }
    }

    pub fn begin(&mut self, expect: Expect) {
        self.stage = Stage::Head;
        self.content.begin(expect);
        self.forget_kept();
        self.too_long = false;
    }

    fn forget_kept(&mut self) {
        self.kept.clear();
        self.kept.shrink_to(KEPT_BYTES);
    }

    /// The next bytes of the connection.
    pub fn feed(&mut self, bytes: &[u8], asked: &Asked<'_>, shared: &mut Shared) -> Part {
        let mut part = Part::default();
        if matches!(self.stage, Stage::Head) {
            if self.kept.is_empty() {
                self.head_and_body(bytes, asked, shared, &mut part);
            } else {
                let mut kept = std::mem::take(&mut self.kept);
                kept.extend_from_slice(bytes);
                self.head_and_body(&kept, asked, shared, &mut part);
            }
        } else {
            self.body(bytes, asked, &mut part);
        }
        part
    }

    /// The connection ended, orderly.
    pub fn closed(&mut self, asked: &Asked<'_>) -> Part {
        let mut part = Part::default();
        if matches!(self.stage, Stage::UntilClose) {
            self.keep_alive = false;
            let kept = std::mem::take(&mut self.kept);
            self.judge(&kept, asked, &mut part);
        } else {
            self.cut(&mut part);
        }
        part
    }

    fn head_and_body(&mut self, bytes: &[u8], asked: &Asked<'_>, shared: &mut Shared, part: &mut Part) {
        let head = &mut shared.head;
        // Of methods only HEAD would matter here, and no class sends it.
        match read::response(bytes, Method::Post, &shared.limits, head) {
            Ok(Progress::Incomplete) => return self.kept.extend_from_slice(bytes),
            Err(_) => return self.cut(part),
            Ok(Progress::Complete) => {}
        }
        self.success = (200..300).contains(&head.status);
        self.status_right = self.success || asked.statuses.contains(&head.status);
        self.keep_alive = head.keep_alive;
        part.gateway_ms = gateway_ms(&ResponseView { head, buf: bytes });
        self.stage = match head.framing {
            Framing::None => Stage::Length(0),
            Framing::Length(length) => Stage::Length(length),
            Framing::Chunked => Stage::Chunked(Decoder::default()),
            Framing::UntilClose => Stage::UntilClose,
        };
        self.body(&bytes[head.len..], asked, part);
    }

    fn body(&mut self, bytes: &[u8], asked: &Asked<'_>, part: &mut Part) {
        match &mut self.stage {
            // Bytes that nobody asked for.
            Stage::Idle | Stage::Head => self.cut(part),
            Stage::UntilClose => self.take(bytes, part),
            Stage::Length(left) => {
                let over = bytes.len() as u64 > *left;
                if over {
                    return self.cut(part);
                }
                *left -= bytes.len() as u64;
                let is_whole = *left == 0;
                if is_whole && self.kept.is_empty() && !matches!(self.content.expects(), Expect::Stream(_)) {
                    // The body lies here in one piece, as small ones do: it is judged without a copy.
                    return self.judge(bytes, asked, part);
                }
                self.take(bytes, part);
                if is_whole {
                    self.judge_kept(asked, part);
                }
            }
            Stage::Chunked(_) => self.chunks(bytes, asked, part),
        }
    }

    fn chunks(&mut self, mut bytes: &[u8], asked: &Asked<'_>, part: &mut Part) {
        loop {
            let Stage::Chunked(decoder) = &mut self.stage else {
                return;
            };
            match decoder.step(bytes) {
                Ok(Step::Data { data, consumed }) => {
                    self.take(data.of(bytes), part);
                    bytes = &bytes[consumed..];
                }
                Ok(Step::More) => return,
                Ok(Step::End { consumed }) if consumed == bytes.len() => return self.judge_kept(asked, part),
                Ok(Step::End { .. }) | Err(_) => return self.cut(part),
            }
        }
    }

    /// Body bytes: read as events, or kept until they are all there.
    fn take(&mut self, body: &[u8], part: &mut Part) {
        if !self.success {
            return;
        }
        match self.content.expects() {
            Expect::Stream(_) => part.texts += self.content.feed(body),
            Expect::Buffered(_) if self.kept.len() + body.len() <= TEXT_BYTES_MOST => self.kept.extend_from_slice(body),
            Expect::Buffered(_) => self.too_long = true,
            Expect::Anything => {}
        }
    }

    fn judge_kept(&mut self, asked: &Asked<'_>, part: &mut Part) {
        let kept = std::mem::take(&mut self.kept);
        self.judge(&kept, asked, part);
        self.kept = kept;
        self.forget_kept();
    }

    fn judge(&mut self, body: &[u8], asked: &Asked<'_>, part: &mut Part) {
        let outcome = match (self.success, self.status_right) {
            (_, false) => Outcome::Status,
            (false, true) => Outcome::Answered { verified: false },
            (true, true) => {
                let judgement = match self.content.expects() {
                    Expect::Stream(_) => self.content.end(asked.verify),
                    _ if self.too_long => Judgement::Unverified,
                    _ => self.content.whole(body, asked.verify),
                };
                match judgement {
                    Judgement::Verified => Outcome::Answered { verified: true },
                    Judgement::Unverified => Outcome::Answered { verified: false },
                    Judgement::Foreign => Outcome::Foreign,
                    Judgement::Wrong => Outcome::Content,
                }
            }
        };
        self.stage = Stage::Idle;
        let keep_alive = self.keep_alive;
        part.over = Some(Over { outcome, keep_alive });
    }

    fn cut(&mut self, part: &mut Part) {
        self.stage = Stage::Idle;
        part.over = Some(Over {
            outcome: Outcome::Cut,
            keep_alive: false,
        });
    }
}

/// The duration of the metric `gw` in `server-timing`.
fn gateway_ms(view: &ResponseView<'_>) -> Option<f64> {
    const NAME: &[u8] = b"server-timing";
    let line = view
        .head
        .fields
        .lines
        .iter()
        .find(|line| line.name.len() == NAME.len() && line.name.of(view.buf).eq_ignore_ascii_case(NAME))?;
    let value = std::str::from_utf8(line.value.of(view.buf)).ok()?;
    let metric = value.split(',').find_map(|metric| {
        let mut parts = metric.split(';').map(str::trim);
        (parts.next()? == "gw").then_some(parts)
    });
    let duration = metric?.find_map(|part| part.strip_prefix("dur="))?;
    duration.parse().ok().filter(|ms: &f64| ms.is_finite() && *ms >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dialect::Dialect, signed_text::check_words};

    const EXPECTS: [Expect; 3] = [
        Expect::Anything,
        Expect::Buffered(Dialect::OpenAi),
        Expect::Stream(Dialect::OpenAi),
    ];

    fn asked() -> Asked<'static> {
        Asked {
            statuses: &[401],
            verify: true,
        }
    }

    /// Feeds an answer in two parts, then closes the connection; all that was said of it.
    fn read(expect: Expect, parts: [&[u8]; 2]) -> Part {
        let (mut answer, mut shared) = (Answer::new(), Shared::new());
        let asked = asked();
        answer.begin(expect);
        let mut all = Part::default();
        for bytes in parts {
            let part = answer.feed(bytes, &asked, &mut shared);
            all.texts += part.texts;
            all.gateway_ms = all.gateway_ms.or(part.gateway_ms);
            all.over = part.over;
            if all.over.is_some() {
                return all;
            }
        }
        all.over = answer.closed(&asked).over;
        all
    }

    fn text() -> String {
        let text = "quiet rain, early mist.";
        format!("{text} {}", check_words(crc32fast::hash(text.as_bytes())).join(" "))
    }

    fn body(expect: Expect) -> String {
        match expect {
            Expect::Stream(_) => format!(
                "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\ndata: [DONE]\n\n",
                text()
            ),
            _ => format!(r#"{{"choices":[{{"message":{{"content":"{}"}}}}]}}"#, text()),
        }
    }

    fn framed(framing: &str, body: &str) -> Vec<u8> {
        let timing = "Server-Timing: db;dur=3, gw;desc=\"own\";dur=0.25";
        let head = format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n{timing}\r\n");
        let (first, rest) = body.split_at(10);
        match framing {
            "length" => format!("{head}content-length: {}\r\n\r\n{body}", body.len()),
            "chunked" => format!(
                "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n",
                first.len(),
                rest.len()
            ),
            _ => format!("{head}\r\n{body}"),
        }
        .into_bytes()
    }

    #[test]
    fn answers_are_the_same_however_they_are_framed_and_cut() {
        for expect in EXPECTS {
            for framing in ["length", "chunked", "close"] {
                let bytes = framed(framing, &body(expect));
                for cut in 0..=bytes.len() {
                    let part = read(expect, [&bytes[..cut], &bytes[cut..]]);
                    let over = part.over.expect("it is over");
                    let verified = expect != Expect::Anything;
                    assert_eq!(
                        over.outcome,
                        Outcome::Answered { verified },
                        "{expect:?} {framing} {cut}"
                    );
                    assert_eq!(over.keep_alive, framing != "close");
                    assert_eq!(part.gateway_ms, Some(0.25));
                    assert_eq!(part.texts, u64::from(matches!(expect, Expect::Stream(_))));
                }
            }
        }
    }

    #[test]
    fn an_answer_that_ends_early_is_cut() {
        for expect in EXPECTS {
            for framing in ["length", "chunked"] {
                let bytes = framed(framing, &body(expect));
                for end in 0..bytes.len() {
                    let over = read(expect, [&bytes[..end], b""]).over.expect("it is over");
                    assert_eq!(over.outcome, Outcome::Cut, "{expect:?} {framing} {end}");
                    assert!(!over.keep_alive);
                }
            }
        }
    }

    #[test]
    fn more_than_the_answer_or_no_http_is_cut_too() {
        let too_long = [framed("length", &body(EXPECTS[1])), b"x".to_vec()].concat();
        for bytes in [
            &too_long[..],
            b"SSH-2.0\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        ] {
            let over = read(EXPECTS[1], [bytes, b""]).over;
            assert_eq!(over.map(|over| over.outcome), Some(Outcome::Cut));
        }
    }

    #[test]
    fn statuses_are_right_or_wrong_before_any_content() {
        let answer = |status: u16| format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\n{{}}").into_bytes();
        for expect in EXPECTS {
            let outcome = |status| read(expect, [&answer(status), b""]).over.map(|over| over.outcome);
            assert_eq!(outcome(500), Some(Outcome::Status));
            assert_eq!(outcome(302), Some(Outcome::Status));
            assert_eq!(outcome(401), Some(Outcome::Answered { verified: false }));
        }
        let outcome = |expect| read(expect, [&answer(201), b""]).over.map(|over| over.outcome);
        assert_eq!(outcome(EXPECTS[2]), Some(Outcome::Content), "a stream without its end");
        assert_eq!(outcome(EXPECTS[1]), Some(Outcome::Foreign), "nothing is said");
    }

    #[test]
    fn wrong_text_is_told() {
        for expect in &EXPECTS[1..] {
            for framing in ["length", "chunked", "close"] {
                let bytes = framed(framing, &body(*expect).replace("rain", "lake"));
                let over = read(*expect, [&bytes, b""]).over;
                assert_eq!(over.map(|over| over.outcome), Some(Outcome::Content));
            }
        }
    }
}

//! A call as bytes: what the client sends, and what the provider answers in the reads that bring it.

/// The secret of the key `known-NUMBER`.
pub(crate) fn secret(number: usize) -> String {
    format!("tg-bench-{number:032}")
}

/// Numbers below two to the power of this are each written in another way.
const SPACES: usize = 32;
/// Of a number that a question has in it.
const DIGITS: usize = 8;

pub struct Call {
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
    /// None: the gateway answers by itself.
    pub(crate) answer: Option<Answer>,
    /// What its client is told.
    pub(crate) status: u16,
}

pub(crate) struct Answer {
    pub head: Vec<u8>,
    pub reads: Vec<Vec<u8>>,
}

impl Call {
    /// A question of 1.2 KB and an answer in one read. `key` is below `KNOWN_KEYS`.
    pub fn buffered(key: usize) -> Self {
        let body = question(br#"{"model":"smart","temperature":0.2,"messages":["#);
        let answer = format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1767225600,"model":"gpt-5.4-mini","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":231,"completion_tokens":84,"total_tokens":315,"prompt_tokens_details":{{"cached_tokens":128}}}}}}"#,
            "It checks, forwards and counts. ".repeat(18)
        );
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        Self {
            head: chat_head(key, body.len()),
            body,
            answer: Some(Answer {
                head: head.into_bytes(),
                reads: vec![answer.into_bytes()],
            }),
            status: 200,
        }
    }

    /// The same to a model whose price is known, so that the answer says what it cost.
    pub fn priced(key: usize) -> Self {
        Self::buffered(key).asking(key, br#"{"model":"priced","temperature":0.2,"messages":["#)
    }

    /// The same to a model whose answers are kept.
    pub fn kept(key: usize) -> Self {
        Self::buffered(key).asking(key, br#"{"model":"kept","temperature":0.2,"messages":["#)
    }

    /// The same to a model whose answers are found by what was asked as well.
    pub(crate) fn alike(key: usize) -> Self {
        Self::by_meaning(key, "alike")
    }

    /// One question of 1.2 KB, with a number in it.
    pub(crate) fn alike_but_for(key: usize, number: usize) -> Self {
        let asked = format!("What does it take to mend this in {number} days? {TROUBLE}");
        let body =
            format!(r#"{{"model":"alike","temperature":0.2,"messages":[{{"role":"user","content":"{asked}"}}]}}"#);
        Self {
            head: chat_head(key, body.len()),
            body: body.into_bytes(),
            ..Self::buffered(key)
        }
    }

    /// The same question in other words, as far as bytes go: its first letter is small.
    pub(crate) fn in_other_words(mut self) -> Self {
        const BEGINS: &[u8] = b"What does";
        let last = self.body.windows(BEGINS.len()).rposition(|words| words == BEGINS);
        self.body[last.expect("it asks what")].make_ascii_lowercase();
        self
    }

    /// The same with room behind it for white space, which says nothing.
    pub(crate) fn kept_with_room(key: usize) -> Self {
        let call = Self::kept(key);
        let body = [&call.body[..], &[b' '; SPACES]].concat();
        Self {
            head: chat_head(key, body.len()),
            body,
            ..call
        }
    }

    /// What it says stays as it is; its bytes are others for each number.
    pub(crate) fn write_otherwise(&mut self, number: u64) {
        let room = self.body.iter_mut().rev().take(SPACES);
        for (at, byte) in room.enumerate() {
            *byte = [b' ', b'\n'][(number >> at & 1) as usize];
        }
    }

    /// Asks something else for each number: digits stand in its last question's words.
    pub(crate) fn ask_otherwise(&mut self, number: u64) {
        // Behind them: `"}]}`.
        let digits = self.body.iter_mut().rev().skip(4).take(DIGITS);
        for (at, byte) in digits.enumerate() {
            *byte = b'a' + (number >> (4 * at) & 15) as u8;
        }
    }

    /// The same, whatever is kept: its answer takes that one's place.
    pub fn kept_anew(self, key: usize) -> Self {
        self.wishing(key, "refresh")
    }

    /// The same, that is not to be sent up: nothing that is kept answers it.
    pub(crate) fn not_found(self, key: usize) -> Self {
        Self {
            answer: None,
            status: 504,
            ..self.wishing(key, "only")
        }
    }

    fn wishing(self, key: usize, wish: &str) -> Self {
        let mut head = chat_head(key, self.body.len());
        head.truncate(head.len() - 2);
        head.extend_from_slice(format!("x-tollgate-cache: {wish}\r\n\r\n").as_bytes());
        Self { head, ..self }
    }

    /// The gateway answers it by itself.
    pub fn without_answer(self) -> Self {
        Self { answer: None, ..self }
    }

    /// The same where only the call names the model.
    pub fn priced_by_name(key: usize) -> Self {
        Self::buffered(key).asking(key, br#"{"model":"any/gpt-5.4-mini","temperature":0.2,"messages":["#)
    }

    /// The same to a model of twenty targets that are chosen among by a strategy.
    pub fn to_one_of_twenty(key: usize, strategy: &str) -> Self {
        let before = format!(r#"{{"model":"twenty/{strategy}","temperature":0.2,"messages":["#);
        Self::buffered(key).asking(key, before.as_bytes())
    }

    /// The same to a model that goes by what prompts mean.
    pub fn by_meaning(key: usize, model: &str) -> Self {
        let before = format!(r#"{{"model":"{model}","temperature":0.2,"messages":["#);
        Self::buffered(key).asking(key, before.as_bytes())
    }

    fn asking(self, key: usize, before: &[u8]) -> Self {
        let body = question(before);
        Self {
            head: chat_head(key, body.len()),
            body,
            ..self
        }
    }

    /// The same question, answered by 100 events, each in a read of its own, and usage.
    pub fn streamed(key: usize) -> Self {
        let body = question(br#"{"model":"smart","stream":true,"stream_options":{"include_usage":true},"messages":["#);
        let event = |rest: &str| {
            format!(
                "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"gpt-5.4-mini\",{rest}}}\n\n"
            )
        };
        let word = event(r#""choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}],"usage":null"#);
        let last = event(r#""choices":[],"usage":{"prompt_tokens":231,"completion_tokens":100,"total_tokens":331}"#);
        let mut reads = vec![word.into_bytes(); 100];
        reads.push((last + "data: [DONE]\n\n").into_bytes());
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        Self {
            head: chat_head(key, body.len()),
            body,
            answer: Some(Answer { head, reads }),
            status: 200,
        }
    }

    /// The same question in Anthropic's dialect, answered by the same target.
    pub fn translated(key: usize) -> Self {
        let body = question(br#"{"model":"smart","temperature":0.2,"max_tokens":256,"messages":["#);
        Self::buffered(key).asked_as_message(key, body)
    }

    /// A question to a model at Bedrock, which answers as Converse does.
    pub fn signed(key: usize) -> Self {
        let answer = format!(
            r#"{{"output":{{"message":{{"role":"assistant","content":[{{"text":"{}"}}]}}}},"stopReason":"end_turn","usage":{{"inputTokens":231,"outputTokens":84,"totalTokens":315}},"metrics":{{"latencyMs":400}}}}"#,
            "It checks, forwards and counts. ".repeat(18)
        );
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        let asked = Self::buffered(key).asking(key, br#"{"model":"signed","temperature":0.2,"messages":["#);
        Self {
            answer: Some(Answer {
                head: head.into_bytes(),
                reads: vec![answer.into_bytes()],
            }),
            ..asked
        }
    }

    /// The same, answered by the same events.
    pub fn translated_stream(key: usize) -> Self {
        let body = question(br#"{"model":"smart","stream":true,"max_tokens":256,"messages":["#);
        Self::streamed(key).asked_as_message(key, body)
    }

    fn asked_as_message(self, key: usize, body: Vec<u8>) -> Self {
        Self {
            head: head("/v1/messages", key, body.len()),
            body,
            ..self
        }
    }

    /// The least that needs the snapshot: the key is looked up, then the model, and both are judged.
    pub fn model(key: usize) -> Self {
        let secret = secret(key);
        let head =
            format!("GET /v1/models/smart HTTP/1.1\r\nHost: gateway.example\r\nAuthorization: Bearer {secret}\r\n\r\n");
        Self {
            head: head.into_bytes(),
            body: Vec::new(),
            answer: None,
            status: 200,
        }
    }
}

/// Of a kilobyte, as somebody asks who says all.
const TROUBLE: &str = "Our shop runs on a small cluster in Hamburg with two database servers, a queue and some workers behind a \
     balancer. Since the last update customers see old prices for a while after we change them, and the night import sometimes stops \
     in the middle without an error. We looked at the logs of the workers and found nothing but slow requests, which take longer when \
     the import runs. The database uses most of its memory for an index that nobody remembers, and its disk was nearly full in March. \
     Two of us know the import, none of us knows the balancer, and the person who built it all has left the company. We can stop the \
     shop for an hour on a Sunday but not on any other day, and we have a second machine that is not used yet. The owner would like to \
     keep the present provider, because moving is expensive, but he agrees to larger servers if they help. Which steps should we take \
     first, which of them are risky, and how would we notice that one of them went wrong before our customers do?";

fn question(before: &[u8]) -> Vec<u8> {
    let message = br#"{"role":"user","content":"What does a gateway do between a program and a model, in one line?"}"#;
    let messages = [&message[..]; 11].join(&b","[..]);
    [before, &messages, b"]}"].concat()
}

fn chat_head(key: usize, body_bytes: usize) -> Vec<u8> {
    head("/v1/chat/completions", key, body_bytes)
}

fn head(path: &str, key: usize, body_bytes: usize) -> Vec<u8> {
    let secret = secret(key);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: gateway.example\r\nAuthorization: Bearer {secret}\r\n\
         Accept: application/json\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Python 2.1.0\r\n\
         Content-Length: {body_bytes}\r\n\r\n"
    );
    head.into_bytes()
}

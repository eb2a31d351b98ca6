//! What a simulated client asks for, and how patient it is.

use crate::{gateway, rng::Rng};

pub(crate) struct Call {
    pub head: Vec<u8>,
    pub body: Vec<u8>,
    pub anthropic: bool,
    pub stream: bool,
    /// The client itself asks for the stream's usage.
    pub asks_usage: bool,
    /// `None`: the gateway must refuse it with this status at once.
    pub refused_with: Option<u16>,
    /// The model's name as sent lies between these two parts of the body.
    before: String,
    after: String,
    /// It sends `x-tollgate-timeout`.
    pub hurries: bool,
    /// Milliseconds after which the client hangs up.
    pub leaves_after_ms: Option<u64>,
    /// The body arrives this late, or not at all.
    pub body_delay_ms: u64,
    pub body_fails: bool,
}

impl Call {
    pub fn new(rng: &mut Rng) -> Call {
        let anthropic = rng.percent(40);
        let names: &[&str] = if anthropic {
            &["claude", "claude-one"]
        } else {
            &["chat", "chat-one"]
        };
        let mut model = *rng.pick(names);
        let stream = rng.percent(50);
        let asks_usage = !anthropic && stream && rng.percent(40);
        let mut key = gateway::SECRET;
        let mut refused_with = None;
        match rng.below(20) {
            0 => (key, refused_with) = ("wrong", Some(401)),
            1 => (model, refused_with) = ("nothing-like-it", Some(404)),
            _ => {}
        }
        let words = "the quick \\\"model\\\": fox ".repeat(rng.between(0, 40));
        let mut before = format!("{{\"messages\":[{{\"content\":\"{words}\"}}], ");
        if stream {
            before += "\"stream\":true,";
        }
        if asks_usage {
            before += "\"stream_options\":{\"include_usage\":true},";
        }
        before += "\"model\": ";
        let after = ",\"odd\" : [1, 2 ] }".to_owned();
        let body = format!("{before}\"{model}\"{after}").into_bytes();
        let path = if anthropic {
            "/v1/messages"
        } else {
            "/v1/chat/completions"
        };
        let hurries = rng.percent(15);
        let timeout = if hurries { "x-tollgate-timeout: 700ms\r\n" } else { "" };
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {key}\r\n{timeout}content-length: {}\r\n\r\n",
            body.len()
        );
        Call {
            head: head.into_bytes(),
            body,
            anthropic,
            stream,
            asks_usage,
            refused_with,
            before,
            after,
            hurries,
            leaves_after_ms: rng.percent(15).then(|| rng.below(3_000) as u64),
            body_delay_ms: rng.below(20) as u64,
            body_fails: rng.percent(3),
        }
    }

    /// Does the gateway ask this provider for usage on the client's behalf?
    pub fn usage_added(&self, may_ask: bool) -> bool {
        !self.anthropic && self.stream && !self.asks_usage && may_ask
    }

    /// The body as the provider must get it.
    pub fn body_upstream(&self, model: &str, may_ask: bool) -> String {
        let mut before = self.before.clone();
        if self.usage_added(may_ask) {
            let asks = "\"stream\":true,\"stream_options\":{\"include_usage\":true},";
            before = before.replace("\"stream\":true,", asks);
        }
        format!("{before}\"{model}\"{}", self.after)
    }
}

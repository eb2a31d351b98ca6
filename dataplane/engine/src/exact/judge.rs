//! May an answer be kept? Only one that is complete, that nobody refused, and that came as the request alone would have it;
//! one that calls tools only where the cache allows that.

use tollgate_config::document::{Allowed, CacheScope, Dialect};
use tollgate_dialect::canonical::{
    event::{Began, Event, Reason},
    seal,
};

use super::{Form, Policy};
use crate::{exchange::Exchange, speaks, surface::Operation};

/// Why an answer is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unkept {
    /// Another model took over, or another target went on with it: it is not what the model says when it is well.
    Mended,
    /// A limit made it shorter.
    Limited,
    /// It has what only its own owner can bring back.
    Sealed,
    /// It cannot be read.
    Unreadable,
    Incomplete,
    Refused,
    CallsTools,
}

/// Did it come as anybody's would who asks the same?
pub(super) fn call(exchange: &Exchange, policy: &Policy, body: &[u8]) -> Result<(), Unkept> {
    let (facts, call) = (&exchange.facts, &exchange.call);
    if call.tried == 0 || call.taken_over > 0 || facts.resumed > 0 || facts.declined.is_some() {
        return Err(Unkept::Mended);
    }
    if exchange.held.cap().is_some() || exchange.relay.is_cut() {
        return Err(Unkept::Limited);
    }
    if policy.scope == CacheScope::Organization && seal::is_in(body) {
        return Err(Unkept::Sealed);
    }
    Ok(())
}

/// Does it say all, and nothing that may not be kept?
pub(super) fn answer(
    (dialect, operation): (Dialect, Operation),
    form: Form,
    body: &[u8],
    allow: Allowed,
) -> Result<(), Unkept> {
    if operation != Operation::Chat {
        return if body.is_empty() {
            Err(Unkept::Incomplete)
        } else {
            Ok(())
        };
    }
    match form == Form::Whole && speaks::of(dialect).is_plain(body) {
        true => Ok(()),
        false => read(dialect, form, body)?.judge(allow),
    }
}

fn read(dialect: Dialect, form: Form, body: &[u8]) -> Result<Said, Unkept> {
    let mut said = Said::default();
    let mut take = |event: &Event<'_>| said.take(event);
    let speaks = speaks::of(dialect);
    let read = match form {
        Form::Whole => speaks.read_answer(body, &mut take),
        Form::Stream { .. } => {
            let mut reader = speaks.stream_reader();
            reader.feed(body, &mut take).and_then(|()| reader.end(&mut take))
        }
    };
    read.map_err(|_| Unkept::Unreadable)?;
    Ok(said)
}

#[derive(Debug, Default)]
struct Said {
    stopped: bool,
    ended: bool,
    refused: bool,
    incomplete: bool,
    calls_tools: bool,
}

impl Said {
    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Began { what, .. } => match what {
                Began::ToolCall { .. } => self.calls_tools = true,
                Began::Refusal => self.refused = true,
                Began::Text | Began::Thinking | Began::Sealed { .. } => {}
            },
            Event::Stopped { reason, .. } => {
                self.stopped = true;
                match reason {
                    Reason::Stop | Reason::StopSequence(_) => {}
                    Reason::ToolCalls => self.calls_tools = true,
                    Reason::Filtered | Reason::Refused => self.refused = true,
                    Reason::Length | Reason::Paused | Reason::Other(_) => self.incomplete = true,
                }
            }
            Event::Failed(_) => self.incomplete = true,
            Event::Ended => self.ended = true,
            _ => {}
        }
    }

    fn judge(&self, allow: Allowed) -> Result<(), Unkept> {
        match self {
            Said { refused: true, .. } => Err(Unkept::Refused),
            Said { incomplete: true, .. } | Said { stopped: false, .. } | Said { ended: false, .. } => {
                Err(Unkept::Incomplete)
            }
            Said { calls_tools: true, .. } if !allow.tool_calls => Err(Unkept::CallsTools),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: Form = Form::Stream {
        usage: false,
        array: false,
    };

    fn judged(dialect: Dialect, form: Form, body: &str, allow: Allowed) -> Result<(), Unkept> {
        answer((dialect, Operation::Chat), form, body.as_bytes(), allow)
    }

    fn openai(message: &str, reason: &str) -> String {
        format!(
            r#"{{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant",{message}}},"finish_reason":"{reason}"}}]}}"#
        )
    }

    #[test]
    fn whole_answers_are_kept_where_they_say_all() {
        const CALL: &str =
            r#""content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]"#;
        let kept = Ok(());
        for (message, reason, judged_as) in [
            (r#""content":"hi""#, "stop", kept),
            (r#""content":"hi""#, "length", Err(Unkept::Incomplete)),
            (r#""content":"hi""#, "content_filter", Err(Unkept::Refused)),
            (r#""content":null,"refusal":"no""#, "stop", Err(Unkept::Refused)),
            (CALL, "tool_calls", Err(Unkept::CallsTools)),
        ] {
            let body = openai(message, reason);
            let found = judged(Dialect::OpenAi, Form::Whole, &body, Allowed::default());
            assert_eq!(found, judged_as, "{body}");
        }
        let tools = Allowed {
            tool_calls: true,
            ..Allowed::default()
        };
        assert_eq!(
            judged(Dialect::OpenAi, Form::Whole, &openai(CALL, "tool_calls"), tools),
            kept
        );
        for broken in ["", "{}", "[]", r#"{"choices":["#] {
            assert!(judged(Dialect::OpenAi, Form::Whole, broken, tools).is_err(), "{broken}");
        }
    }

    /// A member that may stand in an answer, and what it may say.
    fn member(keys: &'static [&'static str], values: &'static [&'static str]) -> impl Strategy<Value = String> {
        (prop::sample::select(keys), prop::sample::select(values))
            .prop_map(|(key, value)| format!(r#""{key}":{value}"#))
    }

    fn object(members: impl Strategy<Value = String>, most: usize) -> impl Strategy<Value = String> {
        prop::collection::vec(members, 0..most).prop_map(|all| format!("{{{}}}", all.join(",")))
    }

    fn any_answer() -> impl Strategy<Value = String> {
        const SAID: &[&str] = &[
            "content",
            "refusal",
            "tool_calls",
            "function_call",
            r"r\u0065fusal",
            "role",
        ];
        const SAYS: &[&str] = &[
            "null",
            r#""hi""#,
            "[]",
            r#"[{"id":"c","function":{"name":"f"}}]"#,
            "{}",
            "7",
        ];
        const OF_CHOICE: &[&str] = &[
            "index",
            "finish_reason",
            r"finish\u005freason",
            "error",
            "logprobs",
            "message",
        ];
        const IN_CHOICE: &[&str] = &["0", "1", "200", "null", r#""stop""#, r#""length""#, r#""error""#, "{}"];
        const AROUND: &[&str] = &["id", "object", "error", "usage", "choices", r"ch\u006fices"];
        const SAYS_AROUND: &[&str] = &[
            "null",
            r#""chat.completion""#,
            r#""error""#,
            "[]",
            "{}",
            r#"{"message":"m"}"#,
        ];
        let message = object(member(SAID, SAYS), 3).prop_map(|message| format!(r#""message":{message}"#));
        let stops = Just(r#""finish_reason":"stop""#.to_owned());
        let choice = object(prop_oneof![message, stops, member(OF_CHOICE, IN_CHOICE)], 4);
        let choices = prop::collection::vec(choice, 0..3).prop_map(|all| format!(r#""choices":[{}]"#, all.join(",")));
        let whole = object(prop_oneof![3 => choices, 1 => member(AROUND, SAYS_AROUND)], 3);
        // Of some the end is missing.
        (whole, 0..20usize).prop_map(|(mut text, cut)| {
            text.truncate(if cut == 0 { text.len() / 2 } else { text.len() });
            text
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn what_is_known_at_a_glance_is_what_is_read(body in any_answer()) {
            if speaks::of(Dialect::OpenAi).is_plain(body.as_bytes()) {
                let read = read(Dialect::OpenAi, Form::Whole, body.as_bytes());
                prop_assert_eq!(read.and_then(|said| said.judge(Allowed::default())), Ok(()), "{}", body);
            }
        }
    }

    #[test]
    fn common_answers_are_known_at_a_glance() {
        let is_plain = |body: &str| speaks::of(Dialect::OpenAi).is_plain(body.as_bytes());
        let common = openai(r#""content":"hi","refusal":null,"annotations":[]"#, "stop");
        assert!(is_plain(&common) && is_plain(&openai(r#""content":"hi","tool_calls":[]"#, "stop")));
        assert!(is_plain(&common.replace(r#""index":0,"#, r#""logprobs":null,"#)));
        for (one, other) in [
            (r#""stop""#, r#""length""#),
            (r#""stop""#, "null"),
            (r#""stop""#, r#""stop","finish_reason":"length""#),
            ("null", r#""no""#),
            (r#""refusal":null"#, r#""tool_calls":[{}]"#),
            (r#""refusal":null"#, r#""function_call":{}"#),
            ("refusal", r"refus\u0061l"),
            ("chat.completion", "error"),
            (r#""id":"1""#, r#""error":{}"#),
            (r#""index":0"#, r#""index":128"#),
            ("}]}", "}]"),
            ("}]}", "}]}x"),
        ] {
            assert!(common.contains(one), "{one}");
            assert!(!is_plain(&common.replace(one, other)), "{one} {other}");
        }
    }

    #[test]
    fn streams_are_kept_where_they_came_to_their_end() {
        let chunk = |delta: &str, reason: &str| {
            format!(
                "data: {{\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":{reason}}}]}}\n\n"
            )
        };
        let begins = chunk(r#""role":"assistant","content":"hi""#, "null");
        let stops = chunk("", r#""stop""#);
        let judge = |body: &str| judged(Dialect::OpenAi, STREAM, body, Allowed::default());
        assert_eq!(judge(&format!("{begins}{stops}data: [DONE]\n\n")), Ok(()));
        for cut in [
            begins.clone(),
            format!("{begins}{stops}").replace("\"stop\"", "\"length\""),
            String::new(),
        ] {
            assert!(judge(&cut).is_err(), "{cut}");
        }
        let fails = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
        assert!(judge(&format!("{begins}{fails}")).is_err());
    }
}

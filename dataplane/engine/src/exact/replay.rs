//! An answer that is kept, sent again: the same bytes to a client that asks for the same form, and said anew in the other
//! form, or in other words, to one that does not.

use tollgate_config::document::Dialect;
use tollgate_dialect::{
    canonical::{
        answer::Answer,
        event::{Began, Event},
    },
    json::Node,
};
use tollgate_wire::{eventstream::Decoder, http1::write, sse::Splitter};

use super::{Form, Head, Mark, Policy, Stored, key};
use crate::{
    cost,
    exchange::{Exchange, Io},
    names::header,
    outputs::{Action, ReplyFraming},
    record::Outcome,
    relay, reply, speaks,
};

const NS_PER_S: u64 = 1_000_000_000;

/// Answers with it. False where it cannot be said in the form, or in the words, that the client asks for.
pub(crate) fn whole(
    exchange: &mut Exchange,
    io: &mut Io<'_>,
    policy: &Policy,
    (stored, mark): (&std::sync::Arc<Stored>, Mark),
) -> bool {
    let form = key::form(exchange, io);
    let dialect = exchange.facts.surface.dialect.unwrap_or(stored.dialect);
    let body_start = io.out.arena.len();
    let same = (form, dialect) == (stored.head.form, stored.dialect);
    if same {
        io.out.arena.extend_from_slice(&stored.body);
    } else if say_anew(exchange, io, stored, (dialect, form)).is_none() {
        io.out.arena.truncate(body_start);
        return false;
    }
    let body = io.out.written_since(body_start);
    exchange.facts.cache = mark;
    exchange.facts.kept = Some(std::sync::Arc::clone(stored));
    if policy.charge_hits {
        (exchange.facts.usage, exchange.facts.cost) = (stored.spent.usage, stored.spent.cost);
    }
    let start = io.out.arena.len();
    let content_type = match (same, form) {
        (true, _) => stored.head.content_type(),
        (false, Form::Whole) => &b"application/json"[..],
        (false, Form::Stream { .. }) => relay::stream_content_type(exchange, io),
    };
    write_lines(&mut io.out.arena, (&stored.head, mark), content_type);
    write::header_u64(&mut io.out.arena, header::AGE, stored.age_ns(io.now) / NS_PER_S);
    if policy.charge_hits && form == Form::Whole {
        cost::write_line(&mut io.out.arena, exchange.facts.cost);
    }
    exchange.facts.answer_begins(200, io.now);
    reply::write_common_lines(exchange, io);
    let lines = io.out.written_since(start);
    let length = u64::from(body.end - body.start);
    let framing = match form {
        Form::Whole => ReplyFraming::Length(length),
        Form::Stream { .. } => ReplyFraming::Stream,
    };
    io.out.actions.push(Action::Head {
        status: 200,
        lines,
        framing,
    });
    if length > 0 {
        io.out.body_from_arena(body);
    }
    exchange.facts.response_body_bytes = length;
    if exchange.facts.stream {
        exchange.facts.first_token = Some(io.now);
    }
    exchange.finish(io, Outcome::Complete, Action::End);
    true
}

/// Appends the header lines of an answer that was another's before.
pub(super) fn write_lines(out: &mut Vec<u8>, (head, mark): (&Head, Mark), content_type: &[u8]) {
    out.extend_from_slice(head.lines());
    write::header(out, header::CONTENT_TYPE, content_type);
    write::header(out, header::CACHE, mark.name().unwrap_or_default().as_bytes());
}

/// Appends what became of a call at its model's cache, where it has one.
pub(crate) fn write_mark(exchange: &Exchange, out: &mut Vec<u8>) {
    if let Some(mark) = exchange.facts.cache.name() {
        write::header(out, header::CACHE, mark.as_bytes());
    }
}

fn say_anew(exchange: &Exchange, io: &mut Io<'_>, stored: &Stored, (dialect, form): (Dialect, Form)) -> Option<()> {
    if goes_beyond(stored.dialect, stored.head.form, &stored.body) {
        return None;
    }
    let array = matches!(form, Form::Stream { array: true, .. });
    let call = relay::call_facts(exchange, array, io.unix_ms / 1000);
    let client = speaks::of(dialect);
    let foreign = dialect != stored.dialect;
    let mut target = match form {
        Form::Whole => Target::Whole(Box::default()),
        Form::Stream { .. } => Target::Stream(client.stream_writer(&call)),
    };
    let (mut bound, mut told) = (false, false);
    let out = &mut io.out.arena;
    let mut take = |event: &Event<'_>| {
        // What its provider signed means nothing in other words.
        bound |= foreign
            && matches!(
                event,
                Event::Signature { .. }
                    | Event::Began {
                        what: Began::Sealed { .. },
                        ..
                    }
            );
        // A stream whose client did not ask for it has none, and the call's is known.
        let unsaid = stored.spent.usage.filter(|_| !told && *event == Event::Ended);
        told |= matches!(event, Event::Usage(_));
        for event in unsaid.map(Event::Usage).iter().chain([event]) {
            match &mut target {
                Target::Whole(answer) => answer.take(event),
                Target::Stream(writer) => writer.write(event, out),
            }
        }
    };
    let speaks = speaks::of(stored.dialect);
    match stored.head.form {
        Form::Whole => speaks.read_answer(&stored.body, &mut take).ok()?,
        Form::Stream { .. } => {
            let mut reader = speaks.stream_reader();
            reader.feed(&stored.body, &mut take).ok()?;
            reader.end(&mut take).ok()?;
        }
    }
    if bound {
        return None;
    }
    if let Target::Whole(answer) = &target {
        client.write_answer(answer, &call, &mut io.out.arena);
    }
    Some(())
}

/// Does it say what no event carries? Such an answer is given as it came, or not at all.
fn goes_beyond(dialect: Dialect, form: Form, body: &[u8]) -> bool {
    let speaks = speaks::of(dialect);
    let is_beyond = |said: &[u8]| Node::document(said).is_ok_and(|said| speaks.goes_beyond(said));
    let mut found = false;
    let read = match (form, dialect) {
        (Form::Whole, _) => return Node::document(body).map_or(true, |said| speaks.goes_beyond(said)),
        (Form::Stream { array: true, .. }, _) => {
            let list = [b"{\"list\":", body, b"}"].concat();
            let list = Node::document(&list).ok().and_then(|all| all.get("list"));
            return list.is_none_or(|list| speaks.goes_beyond(list));
        }
        (Form::Stream { .. }, Dialect::Bedrock) => Decoder::new(body.len())
            .feed(body, |message| found |= is_beyond(message.payload))
            .is_ok(),
        (Form::Stream { .. }, _) => Splitter::new(body.len())
            .feed(body, |event| found |= is_beyond(event.data))
            .is_ok(),
    };
    found || !read
}

enum Target {
    Whole(Box<Answer>),
    Stream(Box<dyn tollgate_dialect::speak::WriteStream>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_answers_is_looked_at_one_by_one() {
        const ARRAY: Form = Form::Stream {
            usage: true,
            array: true,
        };
        for (body, beyond) in [
            (r#"[{"candidates":[{"content":{"parts":[{"text":"hi"}]}}]}]"#, false),
            (
                r#"[{},{"candidates":[{"content":{"parts":[{"inlineData":{"data":"AA=="}}]}}]}]"#,
                true,
            ),
            ("[{", true),
        ] {
            assert_eq!(goes_beyond(Dialect::Gemini, ARRAY, body.as_bytes()), beyond, "{body}");
        }
    }
}

//! Forms with a file: the model is read where it stands, large ones pass as they come.

mod rig;

use rig::{Did, Rig, dialled, document, header, reply, sent};
use tollgate_config::Document;
use tollgate_engine::{
    Input,
    exchange::{ClientFault, UpstreamFault},
    outputs::{AttemptId, Rest},
};

const PATH: &str = "POST /v1/audio/transcriptions";

fn head(more: &str) -> String {
    format!(
        "{PATH} HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\ncontent-type: multipart/form-data; boundary=xYz\n{more}"
    )
}

fn part(name: &str, content: &str) -> String {
    format!("--xYz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
}

/// The model, and the beginning of a file.
fn lead() -> String {
    part("model", "gpt") + "--xYz\r\nContent-Disposition: form-data; name=file\r\n\r\nRIF"
}

const END: &str = "--xYz--\r\n";

/// A rig whose bodies may pass from two megabytes on, and be 32 KiB where they are held.
fn rig() -> Rig {
    Rig::new(Document {
        max_body_bytes: 32 * 1024,
        max_upload_bytes: 8 * 1024 * 1024,
        ..document()
    })
}

/// Begins with a head that says more is to come than `body`, which is there.
fn begin(rig: &mut Rig, framing: &str, body: &str) -> Vec<Did> {
    rig.begin(&head(framing), body.as_bytes());
    assert_eq!(rig.feed(Input::Head), [Did::ReadPart]);
    rig.feed(Input::BodyPart)
}

const LONG: &str = "content-length: 3000000\n";

#[test]
fn a_deployment_in_the_path_is_the_model_whatever_the_form_says() {
    const AZURE: &str = "POST /openai/deployments/gpt/audio/transcriptions?api-version=2025-03-01-preview";
    let head = head("").replace(PATH, AZURE);
    // As the Python SDK sends it, as one that leaves it to the path, and as none that is known.
    let form = part("file", "RIFF") + END;
    let field = |name: &str| part("model", name);
    for (body, up) in [
        (field("gpt") + &form, field("gpt-real") + &form),
        (field("whisper") + &form, field("gpt-real") + &form),
        (form.clone(), field("gpt-real") + &form),
    ] {
        let mut rig = rig();
        let did = rig.request(&head, body.as_bytes());
        assert_eq!(dialled(&did), [("one".to_owned(), false)], "{body}");
        let (head, sent) = sent(&rig.connected(1));
        assert_eq!(sent, up);
        assert!(head.starts_with("POST /v1/audio/transcriptions"), "{head}");
        assert_eq!(header(&head, "content-length"), Some(&*up.len().to_string()));
    }
}

#[test]
fn calls_at_a_deployment_go_to_its_model() {
    for path in ["images/generations", "audio/speech", "completions"] {
        let mut rig = rig();
        let line = format!("POST /openai/deployments/gpt/{path}?api-version=1 HTTP/1.1");
        let head = format!("{line}\nhost: g\napi-key: secret-all\ncontent-type: application/json\n");
        rig.request(&head, br#"{"prompt":"a cat","model":"other"}"#);
        let (head, body) = sent(&rig.connected(1));
        assert!(head.starts_with(&format!("POST /v1/{path}")), "{head}");
        assert_eq!(body, r#"{"prompt":"a cat","model":"gpt-real"}"#);
    }
}

#[test]
fn a_small_form_is_held_and_goes_to_the_next_target_when_one_fails() {
    let mut rig = rig();
    let body = part("file", "RIFF") + &part("model", "gpt") + END;
    let did = rig.request(&head(""), body.as_bytes());
    assert_eq!(dialled(&did), [("one".to_owned(), false)]);
    let (head, up) = sent(&rig.connected(1));
    assert_eq!(up, body.replace("\r\ngpt\r\n", "\r\ngpt-real\r\n"));
    assert!(head.starts_with("POST /v1/audio/transcriptions HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "content-length"), Some(&*up.len().to_string()));
    assert_eq!(header(&head, "content-type"), Some("multipart/form-data; boundary=xYz"));
    let did = rig.answer(1, "HTTP/1.1 503 No\ncontent-length: 0\n");
    assert_eq!(dialled(&did), [("two".to_owned(), false)]);
    assert!(sent(&rig.connected(2)).1.contains("\r\ngpt-spare\r\n"));
}

#[test]
fn a_large_form_passes_as_it_comes() {
    for (framing, length) in [(LONG, Some("3000005")), ("transfer-encoding: chunked\n", None)] {
        let mut rig = rig();
        let lead = lead();
        let did = begin(&mut rig, framing, &lead);
        assert_eq!(dialled(&did), [("one".to_owned(), true)], "on a connection of its own");
        // Before anything went up another target may be tried.
        let did = rig.failed(1, UpstreamFault::Connect);
        assert_eq!(dialled(&did), [("two".to_owned(), true)]);
        let did = rig.connected(2);
        let [Did::SendUp { head, body, rest, .. }] = &did[..] else {
            panic!("{did:?}")
        };
        let expected = if length.is_some() {
            Rest::Follows
        } else {
            Rest::FollowsInChunks
        };
        assert_eq!(*rest, expected);
        assert_eq!(*body, lead.replace("\r\ngpt\r\n", "\r\ngpt-spare\r\n"));
        assert_eq!(header(head, "content-length"), length.map(|_| "3000006"));
        assert_eq!(
            header(head, "transfer-encoding"),
            length.xor(Some("")).map(|_| "chunked")
        );
        for piece in ["F and ", "on\r\n--xYz--"] {
            let passed = Did::PassUp {
                attempt: 2,
                body: piece.to_owned(),
            };
            assert_eq!(rig.feed(Input::BodyPassing(piece.as_bytes())), [passed]);
        }
        assert_eq!(rig.feed(Input::BodyPassed), [Did::EndUp { attempt: 2 }]);
        // What went up is gone: nobody else is asked.
        let did = rig.answer(2, "HTTP/1.1 503 No\ncontent-length: 0\n");
        assert_eq!(reply(&did).0, 503);
        rig.end(2);
        let record = rig.exchange.record();
        assert_eq!(record.request_body_bytes, (lead.len() + 6 + 11) as u64);
        assert_eq!((record.attempts, record.upstream_model), (2, Some("gpt-spare")));
    }
}

#[test]
fn an_upload_has_its_time_as_long_as_it_goes_on() {
    let mut rig = rig();
    begin(&mut rig, LONG, &lead());
    rig.connected(1);
    let first = rig.exchange.deadline().expect("a deadline");
    rig.now = tollgate_engine::Tick(rig.now.0 + 1_000_000_000);
    rig.feed(Input::BodyPassing(b"more"));
    assert_eq!(rig.exchange.deadline().expect("a deadline").0, first.0 + 1_000_000_000);
    let did = rig.expire();
    assert_eq!(did[0], Did::Abandon { attempt: 1 });
    assert_eq!(reply(&did).0, 504);
    assert_eq!(dialled(&did), [], "it is not begun again elsewhere");
}

#[test]
fn a_second_model_is_refused_however_late_it_comes() {
    let second = "\r\n".to_owned() + &part("model", "gpt-4-secret") + END;
    let body = lead() + &second;
    let did = rig().request(&head(""), body.as_bytes());
    assert_eq!(reply(&did).0, 400);
    assert!(reply(&did).2.contains("'model' is given twice"), "{did:?}");
    // While it passes, and while the connection is made.
    for connected_first in [true, false] {
        let mut rig = rig();
        let lead = lead();
        begin(&mut rig, LONG, &lead);
        let did = if connected_first {
            rig.connected(1);
            rig.feed(Input::BodyPassing(second.as_bytes()))
        } else {
            rig.set_body((lead + &second).as_bytes());
            rig.connected(1)
        };
        assert_eq!(did[0], Did::Abandon { attempt: 1 });
        let (status, _, body) = reply(&did);
        assert!(status == 400 && body.contains("'model' is given twice"), "{did:?}");
        assert!(
            !did.iter()
                .any(|did| matches!(did, Did::EndUp { .. } | Did::PassUp { .. }))
        );
    }
}

#[test]
fn a_model_behind_a_file_is_waited_for_within_bounds() {
    let mut rig = rig();
    let file = part("file", &"x".repeat(20_000));
    assert_eq!(begin(&mut rig, LONG, &file[..10_000]), [Did::ReadPart]);
    rig.set_body(file.as_bytes());
    assert_eq!(rig.feed(Input::BodyPart), [Did::ReadPart]);
    rig.set_body((file.clone() + &part("model", "gpt") + END).as_bytes());
    assert_eq!(dialled(&rig.feed(Input::BodyPart)), [("one".to_owned(), true)]);

    let mut rig = self::rig();
    let did = begin(&mut rig, LONG, &part("file", &"x".repeat(33_000)));
    let (status, _, body) = reply(&did);
    assert!(
        status == 400 && body.contains("'model' must come before the file in a form of more than 32768 bytes"),
        "{body}"
    );
}

#[test]
fn what_is_wrong_with_a_form_is_said() {
    let refused = |head: &str, body: &str, status: u16, why: &str| {
        let did = rig().request(head, body.as_bytes());
        let (was, _, said) = reply(&did);
        assert!(was == status && said.contains(why), "{was} {said}");
    };
    let form = part("model", "gpt") + END;
    refused(
        &head(""),
        &(part("file", "x") + END),
        400,
        "'model' is missing in the form",
    );
    refused(
        &head(""),
        &(part("model", "") + END),
        400,
        "must be a text that is not empty",
    );
    refused(&head(""), &(part("model", "nix") + END), 404, "There is no model 'nix'");
    refused(&head("content-length: 9000000\n"), &form, 413, "8388608 bytes");
    refused(
        &head("content-encoding: gzip\n"),
        &form,
        400,
        "without a content-encoding",
    );
    refused(
        &head(""),
        "--xYz\r\nname: model\r\n\r\ngpt\r\n--xYz--",
        400,
        "no content-disposition",
    );
    let no_boundary = head("").replace("; boundary=xYz", "");
    refused(&no_boundary, &form, 400, "names no boundary");
    let narrow = head("").replace("secret-all", "secret-few");
    refused(
        &narrow,
        &(part("model", "same") + END),
        403,
        "may not use the model 'same'",
    );
    refused(
        &head(""),
        &(part("model", "sonnet") + END),
        501,
        "No target of the model 'sonnet'",
    );
}

#[test]
fn a_client_that_falters_takes_its_upload_with_it() {
    for (input, status) in [
        (Input::ClientGone, 499),
        (Input::ClientFault(ClientFault::Timeout), 408),
        (Input::ClientFault(ClientFault::TooLarge), 413),
    ] {
        let mut rig = rig();
        begin(&mut rig, "transfer-encoding: chunked\n", &lead());
        rig.connected(1);
        let did = rig.feed(input);
        assert_eq!(did[0], Did::Abandon { attempt: 1 });
        assert_eq!(rig.exchange.record().status, status);
    }
}

#[test]
fn an_early_refusal_is_passed_on_while_the_client_still_sends() {
    let mut rig = rig();
    begin(&mut rig, LONG, &lead());
    rig.connected(1);
    let did = rig.answer(1, "HTTP/1.1 413 Too Large\ncontent-length: 2\n");
    assert_eq!(reply(&did).0, 413);
    assert!(matches!(
        rig.feed(Input::BodyPassing(b"more"))[..],
        [Did::PassUp { .. }]
    ));
    rig.body(1, "no");
    assert_eq!(rig.end(1), [Did::Settle, Did::End]);
    assert_eq!(rig.feed(Input::BodyPassing(b"more")), []);
    assert_eq!(rig.feed(Input::UpstreamEnd(AttemptId(1))), []);
}

#[test]
fn json_is_taken_where_the_api_takes_it() {
    let head = head("")
        .replace("multipart/form-data; boundary=xYz", "application/json")
        .replace(PATH, "POST /v1/images/edits");
    let mut rig = rig();
    let did = rig.request(&head, br#"{"model":"gpt","prompt":"a hat"}"#);
    assert_eq!(dialled(&did), [("one".to_owned(), false)]);
    assert_eq!(sent(&rig.connected(1)).1, r#"{"model":"gpt-real","prompt":"a hat"}"#);
}

/// More than is held of a form that need not be held.
fn long_file() -> String {
    let part = part("file", &"x".repeat(1_100_000));
    part[..part.len() - 2].to_owned()
}

/// A rig in which every model of the API lies at the provider `one`, and a form whose model has not come yet goes there.
fn late(key: &str) -> Rig {
    let mut rig = Rig::new(Document {
        max_body_bytes: 32 * 1024 * 1024,
        ..document()
    });
    let head = head(LONG).replace("secret-all", key);
    rig.begin(&head, long_file().as_bytes());
    assert_eq!(rig.feed(Input::Head), [Did::ReadPart]);
    assert_eq!(dialled(&rig.feed(Input::BodyPart)), [("one".to_owned(), true)]);
    rig
}

fn passed(did: &[Did]) -> String {
    let texts = did.iter().map(|did| match did {
        Did::PassUp { body, .. } => body.as_str(),
        _ => "",
    });
    texts.collect()
}

#[test]
fn a_form_whose_models_lie_at_one_provider_goes_there_before_it_names_one() {
    let tail =
        "\r\n".to_owned() + &part("stream", "false") + &part("model", "one/whisper") + &part("model2", "gpt") + END;
    let expected = tail.replace("one/whisper", "whisper");
    for (held, piece) in (0..tail.len())
        .map(|held| (held, 1 + held % 7))
        .chain([(0, 1000), (0, 1), (0, 3)])
    {
        let mut rig = late("secret-all");
        // Some of it comes while the connection is made.
        rig.set_body((long_file() + &tail[..held]).as_bytes());
        let did = rig.connected(1);
        let [Did::SendUp { head, body, rest, .. }] = &did[..] else {
            panic!("{did:?}")
        };
        assert_eq!(*rest, Rest::FollowsInChunks);
        assert_eq!(
            (header(head, "content-length"), header(head, "transfer-encoding")),
            (None, Some("chunked"))
        );
        let mut up = body.strip_prefix(&long_file()).expect("the file").to_owned();
        for piece in tail.as_bytes()[held..].chunks(piece) {
            up += &passed(&rig.feed(Input::BodyPassing(piece)));
        }
        assert_eq!(up, expected, "{held} bytes before, then {piece} at a time");
        assert_eq!(rig.feed(Input::BodyPassed), [Did::EndUp { attempt: 1 }]);
        let (_, lines, _) = reply(&rig.answer(1, "HTTP/1.1 200 OK\ncontent-length: 0\n"));
        assert_eq!(header(&lines, "x-tollgate-model"), Some("whisper"));
        rig.end(1);
        let record = rig.exchange.record();
        assert_eq!(record.model.map(|(_, name)| name), Some("one/*"));
        assert_eq!((record.upstream_model, record.attempts), (Some("whisper"), 1));
    }
}

#[test]
fn a_late_name_is_judged_like_any_other() {
    for (key, tail, status, why) in [
        ("secret-few", part("model", "same"), 403, "may not use the model 'same'"),
        ("secret-all", part("model", "nix"), 404, "There is no model 'nix'"),
        (
            "secret-all",
            part("model", "sonnet"),
            501,
            "No target of the model 'sonnet'",
        ),
        ("secret-all", part("model", ""), 400, "must be a text that is not empty"),
        (
            "secret-all",
            part("model", "gpt") + &part("model", "gpt"),
            400,
            "'model' is given twice",
        ),
        (
            "secret-all",
            part("modell", "gpt"),
            400,
            "'model' is missing in the form",
        ),
    ] {
        let tail = "\r\n".to_owned() + &tail + END;
        for piece in [1, 1000] {
            let mut rig = late(key);
            rig.connected(1);
            let mut did = Vec::new();
            for piece in tail.as_bytes().chunks(piece) {
                did.extend(rig.feed(Input::BodyPassing(piece)));
            }
            did.extend(rig.feed(Input::BodyPassed));
            let (was, _, said) = reply(&did);
            assert!(was == status && said.contains(why), "{was} {said}");
            assert!(
                did.contains(&Did::Abandon { attempt: 1 }) && !did.contains(&Did::EndUp { attempt: 1 }),
                "{did:?}"
            );
        }
    }
}

#[test]
fn a_form_that_may_go_to_several_providers_waits_for_its_model() {
    let mut document = document();
    document.max_body_bytes = 32 * 1024 * 1024;
    document.models.push(rig::model("other", &[("two", "whisper")]));
    let mut rig = Rig::new(document);
    rig.begin(&head(LONG), long_file().as_bytes());
    assert_eq!(rig.feed(Input::Head), [Did::ReadPart]);
    assert_eq!(rig.feed(Input::BodyPart), [Did::ReadPart]);
    rig.set_body((long_file() + "\r\n" + &part("model", "other") + END).as_bytes());
    assert_eq!(dialled(&rig.feed(Input::BodyPart)), [("two".to_owned(), true)]);
}

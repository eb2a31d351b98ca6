//! Embeddings, rerank and token counts through the request machine: to targets of another dialect, in parts where the
//! provider takes less at once, counted here where nobody else counts; and what of them is recorded.

mod rig;

use rig::{Did, Rig, dialled, header, model, reply, sent};
use serde_json::{Value, json};
use tollgate_config::{Document, catalogue, document::OnUnsupported};
use tollgate_engine::{
    exchange::UpstreamFault,
    record::{AttemptOutcome, Outcome},
};

const JSON_HEAD: &str = "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\n";
const TITAN: &str = "amazon.titan-embed-text-v2:0";

/// The rig's six; `titan`, `embed` and `rerank` at Bedrock.
fn six() -> Document {
    let mut document = rig::six();
    document.models.extend([
        model("titan", &[("bedrock", TITAN)]),
        model("embed", &[("bedrock", "cohere.embed-v4:0")]),
        model("rerank", &[("bedrock", "cohere.rerank-v3-5:0")]),
        model("spare", &[("bedrock", TITAN), ("openai", "real-model")]),
    ]);
    document
}

fn post(rig: &mut Rig, path: &str, body: &Value) -> Vec<Did> {
    let head = format!("POST {path} HTTP/1.1\nhost: gate\nauthorization: Bearer secret-all\n");
    rig.request(&head, body.to_string().as_bytes())
}

fn embeddings(rig: &mut Rig, model: &str, input: Value) -> Vec<Did> {
    post(
        rig,
        "/v1/embeddings",
        &json!({"model": model, "input": input, "encoding_format": "float"}),
    )
}

fn tree(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|bad| panic!("{bad}: {text}"))
}

/// The request line and the body that went up.
fn asked(did: &[Did]) -> (String, Value) {
    let (head, body) = sent(did);
    assert_eq!(header(&head, "content-length"), Some(&*body.len().to_string()));
    (head.lines().next().unwrap_or_default().to_owned(), tree(&body))
}

fn answered(rig: &mut Rig, attempt: u16, head: &str, body: &Value) -> Vec<Did> {
    assert_eq!(rig.answer(attempt, head), []);
    let text = body.to_string();
    // In two pieces: nothing goes out before it is whole.
    let (first, rest) = text.split_at(text.len() / 2);
    assert_eq!(rig.body(attempt, first), []);
    assert_eq!(rig.body(attempt, rest), []);
    rig.end(attempt)
}

#[test]
fn every_target_is_asked_at_its_own_path_and_answers_in_the_clients_shape() {
    for (model, line, answer) in [
        (
            "gemini",
            "POST /v1/models/real-model:batchEmbedContents HTTP/1.1",
            json!({"embeddings": [{"values": [0.5]}], "usageMetadata": {"promptTokenCount": 7}}),
        ),
        (
            "cohere",
            "POST /v1/embed HTTP/1.1",
            json!({"embeddings": {"float": [[0.5]]}, "meta": {"billed_units": {"input_tokens": 7}}}),
        ),
        (
            "titan",
            "POST /v1/model/amazon.titan-embed-text-v2%3A0/invoke HTTP/1.1",
            json!({"embedding": [0.5], "inputTextTokenCount": 7}),
        ),
        (
            "embed",
            "POST /v1/model/cohere.embed-v4%3A0/invoke HTTP/1.1",
            json!({"embeddings": {"float": [[0.5]]}, "meta": {"billed_units": {"input_tokens": 7}}}),
        ),
    ] {
        let mut rig = Rig::new(six());
        let did = embeddings(&mut rig, model, json!("hi"));
        assert_eq!(dialled(&did).len(), 1, "{model}: {did:?}");
        let (went, _) = asked(&rig.connected(1));
        assert_eq!(went, line);
        let did = answered(&mut rig, 1, JSON_HEAD, &answer);
        let (status, lines, body) = reply(&did);
        assert_eq!(status, 200, "{body}");
        assert_eq!(header(&lines, "x-tollgate-estimated"), None);
        let down = tree(&body);
        assert_eq!(
            down["data"],
            json!([{"object": "embedding", "index": 0, "embedding": [0.5]}]),
            "{model}"
        );
        assert_eq!(down["usage"], json!({"prompt_tokens": 7, "total_tokens": 7}), "{model}");
        assert_eq!(did[did.len() - 2..], [Did::Settle, Did::End]);
        let record = rig.exchange.record();
        assert_eq!((record.outcome, record.status), (Outcome::Complete, 200));
        assert_eq!(record.usage.and_then(|usage| usage.input), Some(7), "{model}");
    }
}

#[test]
fn clients_of_gemini_and_cohere_reach_openais_embeddings() {
    let parts = json!({"content": {"parts": [{"text": "hi"}]}, "taskType": "CLUSTERING"});
    for (path, body, dropped) in [
        (
            "/v1beta/models/openai-responses:embedContent",
            parts.clone(),
            "taskType",
        ),
        (
            "/v1beta/models/openai:batchEmbedContents",
            json!({"requests": [parts]}),
            "taskType",
        ),
        (
            "/v2/embed",
            json!({"model": "openai", "texts": ["hi"], "input_type": "clustering"}),
            "input_type",
        ),
    ] {
        let mut rig = Rig::new(six());
        let did = post(&mut rig, path, &body);
        assert_eq!(dialled(&did).len(), 1, "{path}: {did:?}");
        let (went, up) = asked(&rig.connected(1));
        assert_eq!(went, "POST /v1/embeddings HTTP/1.1", "{path}");
        assert_eq!(
            up,
            json!({"model": "real-model", "input": ["hi"], "encoding_format": "base64"})
        );
        let answer = json!({"data": [{"index": 0, "embedding": "AAAAPw=="}], "usage": {"prompt_tokens": 3}});
        let (status, lines, body) = reply(&answered(&mut rig, 1, JSON_HEAD, &answer));
        assert_eq!(
            (status, header(&lines, "x-tollgate-dropped")),
            (200, Some(dropped)),
            "{path}"
        );
        assert!(body.contains("[0.5]"), "{body}");
        assert_eq!(rig.exchange.record().usage.and_then(|usage| usage.input), Some(3));
    }
}

#[test]
fn a_provider_of_one_text_is_asked_once_for_each_and_the_answers_become_one() {
    let mut rig = Rig::new(six());
    let did = embeddings(&mut rig, "titan", json!(["a", "b", "c"]));
    assert_eq!(dialled(&did), [("bedrock".to_owned(), false)]);
    for (attempt, text) in [(1, "a"), (2, "b"), (3, "c")] {
        let (_, up) = asked(&rig.connected(attempt));
        assert_eq!(up, json!({"inputText": text}));
        let answer = json!({"embedding": [attempt], "inputTextTokenCount": 10});
        let did = answered(&mut rig, attempt, JSON_HEAD, &answer);
        if attempt < 3 {
            assert_eq!(dialled(&did), [("bedrock".to_owned(), false)]);
            continue;
        }
        let (status, lines, body) = reply(&did);
        assert_eq!((status, header(&lines, "x-tollgate-attempts")), (200, Some("1")));
        let down = tree(&body);
        let vectors: Vec<&Value> = (0..3).map(|index| &down["data"][index]["embedding"]).collect();
        assert_eq!(vectors, [&json!([1]), &json!([2]), &json!([3])]);
        assert_eq!(down["usage"]["total_tokens"], 30);
    }
    assert_eq!(rig.exchange.record().usage.and_then(|usage| usage.input), Some(30));
    let ok = (5, AttemptOutcome::Ok);
    assert_eq!(rig.exchange.attempts().collect::<Vec<_>>(), [ok, ok, ok]);
}

#[test]
fn a_part_that_fails_begins_anew_at_the_next_target_or_tells_the_client() {
    for (model, goes_on) in [("spare", true), ("titan", false)] {
        let mut rig = Rig::new(six());
        embeddings(&mut rig, model, json!(["a", "b"]));
        rig.connected(1);
        let answer = json!({"embedding": [1], "inputTextTokenCount": 10});
        answered(&mut rig, 1, JSON_HEAD, &answer);
        rig.connected(2);
        let did = rig.failed(2, UpstreamFault::Closed { reused: false });
        if !goes_on {
            let (status, _, body) = reply(&did);
            assert_eq!(status, 502, "{body}");
            // The first part was used all the same.
            assert_eq!(rig.exchange.record().usage.and_then(|usage| usage.input), Some(10));
            continue;
        }
        assert_eq!(dialled(&did), [("openai".to_owned(), false)]);
        let (_, up) = asked(&rig.connected(3));
        // The client's own request: this target speaks its dialect.
        assert_eq!(up["input"], json!(["a", "b"]));
    }
}

#[test]
fn a_providers_error_in_a_part_comes_in_the_clients_words() {
    let mut rig = Rig::new(six());
    let body = json!({"model": "titan", "texts": ["a", "b"], "input_type": "search_query"});
    post(&mut rig, "/v2/embed", &body);
    rig.connected(1);
    answered(&mut rig, 1, JSON_HEAD, &json!({"embedding": [1]}));
    rig.connected(2);
    let head = "HTTP/1.1 400 Bad\ncontent-type: application/json\nx-amzn-errortype: ValidationException\ntransfer-encoding: chunked\n";
    let did = answered(&mut rig, 2, head, &json!({"message": "Too many input tokens."}));
    let (status, _, body) = reply(&did);
    assert_eq!(status, 400);
    assert!(
        tree(&body)["message"]
            .as_str()
            .is_some_and(|text| text.contains("Too many input tokens.")),
        "{body}"
    );
}

#[test]
fn tokens_come_from_bedrocks_head_or_are_counted_here_and_marked() {
    let with_tokens = format!("{JSON_HEAD}x-amzn-bedrock-input-token-count: 12\n");
    for (head, tokens, estimated) in [(with_tokens.as_str(), Some(12), None), (JSON_HEAD, None, Some("true"))] {
        let mut rig = Rig::new(six());
        embeddings(&mut rig, "embed", json!("hello, world"));
        rig.connected(1);
        let did = answered(&mut rig, 1, head, &json!({"embeddings": {"float": [[1]]}}));
        let (_, lines, body) = reply(&did);
        let said = tree(&body)["usage"]["prompt_tokens"].as_u64();
        assert_eq!(header(&lines, "x-tollgate-estimated"), estimated);
        assert!(
            said.is_some_and(|said| said > 0) && tokens.is_none_or(|tokens| said == Some(tokens)),
            "{body}"
        );
        assert_eq!(rig.exchange.record().usage.and_then(|usage| usage.input), said);
    }
}

#[test]
fn answers_that_pass_are_read_for_their_tokens_whole_and_long() {
    let long = vec![0.125; 20_000];
    let texts = json!({"model": "cohere", "texts": ["hi"], "input_type": "search_query"});
    let content = json!({"content": {"parts": [{"text": "hello, world"}]}});
    for (path, body, answer, tokens) in [
        (
            "/v2/embed",
            &texts,
            json!({"embeddings": {"float": [[1]]}, "meta": {"billed_units": {"input_tokens": 5}}}),
            Some(5),
        ),
        (
            "/v2/embed",
            &texts,
            json!({"embeddings": {"float": [long]}, "meta": {"billed_units": {"input_tokens": 5}}}),
            Some(5),
        ),
        (
            "/v1beta/models/gemini:embedContent",
            &content,
            json!({"embedding": {"values": long}, "usageMetadata": {"promptTokenCount": 6}}),
            Some(6),
        ),
        // Nothing is said, so it is counted here.
        (
            "/v1beta/models/gemini:embedContent",
            &content,
            json!({"embedding": {"values": [1]}}),
            None,
        ),
    ] {
        let mut rig = Rig::new(six());
        post(&mut rig, path, body);
        rig.connected(1);
        rig.answer(1, JSON_HEAD);
        for piece in answer.to_string().as_bytes().chunks(16_000) {
            rig.body(1, str::from_utf8(piece).expect("ASCII"));
        }
        rig.end(1);
        let used = rig.exchange.record().usage.and_then(|usage| usage.input);
        assert!(
            used.is_some_and(|used| used > 0) && tokens.is_none_or(|tokens| used == Some(tokens)),
            "{path}: {used:?}"
        );
    }
}

#[test]
fn long_answers_of_chats_that_pass_are_read_for_their_tokens_in_every_dialect() {
    let text = "word ".repeat(20_000);
    let hello = json!([{"role": "user", "content": "hi"}]);
    let chat = |model: &str| json!({"model": model, "max_tokens": 9, "messages": hello, "input": "hi"});
    let counts = json!({"input_tokens": 6, "output_tokens": 1});
    for (path, body, answer) in [
        (
            "/v1/chat/completions",
            chat("openai"),
            json!({"choices": [{"message": {"content": text}}], "usage": {"prompt_tokens": 6}}),
        ),
        (
            "/v1/responses",
            chat("openai-responses"),
            json!({"output": [text], "usage": counts}),
        ),
        (
            "/v1/messages",
            chat("anthropic"),
            json!({"content": [text], "usage": counts}),
        ),
        (
            "/v1beta/models/gemini:generateContent",
            json!({"contents": [{"parts": [{"text": "hi"}]}]}),
            json!({"candidates": [text], "usageMetadata": {"promptTokenCount": 6}}),
        ),
        (
            "/v2/chat",
            chat("cohere"),
            json!({"message": {"content": [text]}, "usage": {"billed_units": counts}}),
        ),
        (
            "/model/bedrock/converse",
            json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}),
            json!({"output": text, "usage": {"inputTokens": 6, "outputTokens": 1}}),
        ),
    ] {
        let mut rig = Rig::new(six());
        post(&mut rig, path, &body);
        rig.connected(1);
        rig.answer(1, JSON_HEAD);
        for piece in answer.to_string().as_bytes().chunks(16_000) {
            rig.body(1, str::from_utf8(piece).expect("ASCII"));
        }
        rig.end(1);
        let used = rig.exchange.record().usage.and_then(|usage| usage.input);
        assert_eq!(used, Some(6), "{path}");
    }
}

#[test]
fn geminis_batch_names_the_providers_model_wherever_it_names_one() {
    let mut rig = Rig::new(six());
    let request = |text: &str| json!({"model": "models/gemini", "content": {"parts": [{"text": text}]}});
    let body = json!({"requests": [request("a"), request("models/gemini")]});
    post(&mut rig, "/v1beta/models/gemini:batchEmbedContents", &body);
    let (line, up) = asked(&rig.connected(1));
    assert_eq!(line, "POST /v1/models/real-model:batchEmbedContents HTTP/1.1");
    for (index, text) in [(0, "a"), (1, "models/gemini")] {
        assert_eq!(up["requests"][index]["model"], "models/real-model");
        assert_eq!(up["requests"][index]["content"]["parts"][0]["text"], text);
    }
}

#[test]
fn azures_client_names_the_deployment_in_the_path() {
    let mut rig = Rig::new(six());
    let path = "/openai/deployments/gemini/embeddings?api-version=2024-10-21";
    let did = post(&mut rig, path, &json!({"model": "gemini", "input": "hi"}));
    assert_eq!(dialled(&did), [("gemini".to_owned(), false)]);
}

#[test]
fn what_no_target_can_do_is_refused_before_anybody_is_asked() {
    let texts = json!({"model": "openai", "texts": ["a"], "input_type": "clustering"});
    let rerank = |model: &str| json!({"model": model, "query": "q", "documents": ["a"]});
    let embed = |model: &str| json!({"model": model, "input": "a"});
    let mut strict = six();
    strict
        .models
        .iter_mut()
        .for_each(|(_, model)| model.on_unsupported = OnUnsupported::Error);
    for (document, path, body, status, says) in [
        (
            six(),
            "/v1/embeddings",
            embed("anthropic"),
            501,
            "No target of the model",
        ),
        (
            six(),
            "/v1/embeddings",
            embed("bedrock"),
            400,
            "amazon.titan-embed-text-*",
        ),
        (
            six(),
            "/v1/embeddings",
            json!({"model": "titan", "input": [1, 2]}),
            400,
            "token ids",
        ),
        (six(), "/v2/rerank", rerank("openai"), 501, "No target of the model"),
        (six(), "/v2/rerank", rerank("bedrock"), 400, "cohere.rerank-*"),
        (strict, "/v2/embed", texts, 400, "input_type"),
    ] {
        let mut rig = Rig::new(document);
        let did = post(&mut rig, path, &body);
        let (got, _, text) = reply(&did);
        assert_eq!(got, status, "{text}");
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn a_model_of_the_operators_own_name_is_what_it_is_like() {
    let mut document = six();
    let arn = "arn:aws:bedrock:us-east-1:1:application-inference-profile/x";
    let mut own = model("own", &[("bedrock", arn)]);
    own.1.targets[0].like = Some(TITAN.into());
    document.models.push(own);
    let mut rig = Rig::new(document);
    embeddings(&mut rig, "own", json!("a"));
    let (line, up) = asked(&rig.connected(1));
    assert!(line.contains("application-inference-profile%2Fx/invoke"), "{line}");
    assert_eq!(up, json!({"inputText": "a"}));
}

#[test]
fn answers_that_are_too_long_or_none_are_a_502() {
    let mut rig = Rig::new(six());
    embeddings(&mut rig, "cohere", json!("hi"));
    rig.connected(1);
    rig.answer(1, JSON_HEAD);
    let piece = " ".repeat(1024 * 1024);
    let did = (0..65)
        .map(|_| rig.body(1, &piece))
        .find(|did| !did.is_empty())
        .expect("it ends");
    let (status, _, text) = reply(&did);
    assert_eq!(status, 502);
    assert!(text.contains("longer than the gateway translates"), "{text}");
    let mut rig = Rig::new(six());
    embeddings(&mut rig, "cohere", json!(["a", "b"]));
    rig.connected(1);
    let did = answered(&mut rig, 1, JSON_HEAD, &json!({"embeddings": {"float": [[1]]}}));
    let (status, _, text) = reply(&did);
    assert_eq!(status, 502);
    assert!(text.contains("another number of vectors"), "{text}");
    assert_eq!(
        rig.exchange.attempts().collect::<Vec<_>>(),
        [(4, AttemptOutcome::BadAnswer)]
    );
}

#[test]
fn rerank_reaches_coheres_models_on_bedrock() {
    let mut rig = Rig::new(six());
    let body = json!({"model": "rerank", "query": "q", "documents": ["a", "b"], "priority": 1});
    post(&mut rig, "/v2/rerank", &body);
    let (line, up) = asked(&rig.connected(1));
    assert_eq!(line, "POST /v1/model/cohere.rerank-v3-5%3A0/invoke HTTP/1.1");
    assert_eq!(up, json!({"query": "q", "documents": ["a", "b"], "api_version": 2}));
    let answer = json!({"results": [{"index": 1, "relevance_score": 0.5}]});
    let (status, lines, body) = reply(&answered(&mut rig, 1, JSON_HEAD, &answer));
    assert_eq!((status, header(&lines, "x-tollgate-dropped")), (200, Some("priority")));
    assert_eq!(tree(&body)["results"], json!([{"index": 1, "relevance_score": 0.5}]));
}

#[test]
fn prompts_are_counted_here_where_the_target_speaks_another_dialect() {
    let messages = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "hello, world"}]});
    let contents = json!({"contents": [{"parts": [{"text": "hello, world"}]}]});
    let input = |model: &str| json!({"model": model, "input": "hello, world"});
    for (path, body, member) in [
        ("/v1/messages/count_tokens", messages("openai"), "input_tokens"),
        ("/v1/messages/count_tokens", messages("bedrock"), "input_tokens"),
        ("/v1beta/models/cohere:countTokens", contents, "totalTokens"),
        ("/v1/responses/input_tokens", input("anthropic"), "input_tokens"),
        // The same API, but not the dialect that counts.
        ("/v1/responses/input_tokens", input("openai"), "input_tokens"),
    ] {
        let mut rig = Rig::new(six());
        let did = post(&mut rig, path, &body);
        let (status, lines, text) = reply(&did);
        assert_eq!(
            (status, header(&lines, "x-tollgate-estimated")),
            (200, Some("true")),
            "{path}: {text}"
        );
        assert!(
            tree(&text)[member]
                .as_u64()
                .is_some_and(|tokens| (3..40).contains(&tokens)),
            "{path}: {text}"
        );
        let record = rig.exchange.record();
        assert_eq!((record.usage, record.attempts), (None, 0), "nothing was used");
    }
    for (path, body, line) in [
        (
            "/v1/messages/count_tokens",
            messages("anthropic"),
            "POST /v1/messages/count_tokens HTTP/1.1",
        ),
        (
            "/v1/responses/input_tokens",
            input("openai-responses"),
            "POST /v1/responses/input_tokens HTTP/1.1",
        ),
    ] {
        let mut rig = Rig::new(six());
        assert_eq!(dialled(&post(&mut rig, path, &body)).len(), 1, "{path}");
        assert_eq!(asked(&rig.connected(1)).0, line);
    }
}

#[test]
fn a_clouds_path_for_anothers_models_is_not_asked_to_count() {
    let mut document = six();
    let (_, bedrock) = document
        .providers
        .iter_mut()
        .find(|(name, _)| name == "anthropic")
        .expect("it is there");
    let row = catalogue::row("bedrock-anthropic").expect("a row");
    (bedrock.row, bedrock.paths) = (row, row.paths.clone());
    let mut rig = Rig::new(document);
    let body = json!({"model": "anthropic", "messages": [{"role": "user", "content": "hi"}]});
    let (status, lines, _) = reply(&post(&mut rig, "/v1/messages/count_tokens", &body));
    // Its only path answers prompts, and bills them.
    assert_eq!((status, header(&lines, "x-tollgate-estimated")), (200, Some("true")));
}

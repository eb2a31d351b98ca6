//! Lists of objects of an account that several share: an owner's whole list, and never one object of another's.

mod rig;

use std::{collections::BTreeSet, sync::Arc};

use proptest::prelude::*;
use rig::{Did, Rig, body_of, dialled, env, header, key, model, provider, reply, sent};
use serde_json::{Value, json};
use tollgate_config::{Document, document::Dialect};
use tollgate_engine::marks::Marks;

/// Two providers, of each API; `mine` and `mate` are of one team, `rival` of another, `lone` of none.
fn document(credentials: usize) -> Document {
    let with_credentials = |name: &str, dialect| {
        let mut provider = provider(name, dialect);
        provider.1.credentials = (0..credentials).map(|n| env(&format!("KEY_{name}_{n}"))).collect();
        provider
    };
    let own = |name: &str, team: Option<&str>| {
        let mut own = key(name, &[]);
        own.1.team = team.map(Into::into);
        own.1.batches = true;
        own
    };
    Document {
        max_body_bytes: 1024 * 1024,
        id_secret: Some(env("ID_SECRET_OF_THIRTY_TWO_CHARACTERS")),
        providers: vec![
            with_credentials("gpts", Dialect::OpenAi),
            with_credentials("claude", Dialect::Anthropic),
            with_credentials("spare", Dialect::OpenAi),
        ],
        models: vec![
            model("gpt", &[("gpts", "gpt-real"), ("spare", "gpt-real")]),
            model("sonnet", &[("claude", "claude-sonnet")]),
        ],
        keys: vec![
            own("mine", Some("research")),
            own("mate", Some("research")),
            own("rival", Some("sales")),
            own("lone", None),
        ],
        ..Document::default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Files,
    Batches,
    MessageBatches,
    AnthropicFiles,
    /// The same of a provider whose lists go on at a cursor of its own.
    PagedFiles,
}
use Family::{AnthropicFiles, Batches, Files, MessageBatches, PagedFiles};

impl Family {
    fn path(self) -> &'static str {
        match self {
            Files | AnthropicFiles | PagedFiles => "/v1/files",
            Batches => "/v1/batches",
            MessageBatches => "/v1/messages/batches",
        }
    }

    fn is_anthropic(self) -> bool {
        matches!(self, MessageBatches | AnthropicFiles | PagedFiles)
    }

    fn after(self) -> &'static str {
        match self {
            PagedFiles => "page",
            MessageBatches | AnthropicFiles => "after_id",
            Files | Batches => "after",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Files => "file-",
            AnthropicFiles | PagedFiles => "file_",
            Batches => "batch_",
            MessageBatches => "msgbatch_",
        }
    }
}

/// An account of the provider's, or several: what each has, the newest first.
struct World {
    rig: Rig,
    family: Family,
    /// By credential: which account it is of.
    account_of: Vec<usize>,
    accounts: Vec<Vec<String>>,
    /// Credential, raw id, sealed id and owner of what was made through the gateway.
    made: Vec<(usize, String, String, &'static str)>,
    pages_asked: usize,
}

impl World {
    fn new(family: Family, account_of: &[usize]) -> World {
        World {
            rig: Rig::new(document(account_of.len())),
            family,
            account_of: account_of.to_vec(),
            accounts: vec![Vec::new(); account_of.iter().max().expect("a credential") + 1],
            made: Vec::new(),
            pages_asked: 0,
        }
    }

    fn head(&self, line: &str, key: &str) -> String {
        let version = if self.family.is_anthropic() {
            "anthropic-version: 2023-06-01\n"
        } else {
            ""
        };
        let form = "content-type: multipart/form-data; boundary=b\n";
        let form = if matches!(self.family, Files | AnthropicFiles | PagedFiles) {
            form
        } else {
            ""
        };
        format!("{line} HTTP/1.1\nhost: g\nauthorization: Bearer secret-{key}\n{version}{form}")
    }

    /// Which credential a request went up with.
    fn credential(&self, up: &str) -> usize {
        let shown = header(up, "authorization").or_else(|| header(up, "x-api-key"));
        let number = shown.and_then(|shown| shown.rsplit('_').next()).expect("a credential");
        number.parse().expect("a number")
    }

    /// An object that nobody made through the gateway.
    fn make_elsewhere(&mut self, account: usize, name: &str) {
        self.accounts[account].insert(0, format!("{}{name}", self.family.prefix()));
    }

    fn make(&mut self, key: &'static str, name: &str) -> String {
        let raw = format!("{}{name}", self.family.prefix());
        let line = format!("POST {}", self.family.path());
        let body = match self.family {
            Batches => format!(r#"{{"input_file_id":"{}"}}"#, self.input_of(key)),
            _ => "--b--".to_owned(),
        };
        let body = if self.family == MessageBatches {
            "{}".to_owned()
        } else {
            body
        };
        let did = self.rig.request(&self.head(&line, key), body.as_bytes());
        assert_eq!(dialled(&did).len(), 1, "{did:?}");
        let (up, _) = sent(&self.rig.connected(1));
        let credential = self.credential(&up);
        let down = self.answer(1, 200, &json!({"id": raw}));
        let sealed = tree(&body_of(&down))["id"].as_str().expect("an id").to_owned();
        self.accounts[self.account_of[credential]].insert(0, raw.clone());
        self.made.push((credential, raw, sealed.clone(), owner(key)));
        sealed
    }

    /// A file of this key's, whichever: a batch is made of one.
    fn input_of(&mut self, key: &'static str) -> String {
        let family = std::mem::replace(&mut self.family, Files);
        let did = self.rig.request(&self.head("POST /v1/files", key), b"--b--");
        assert_eq!(dialled(&did).len(), 1, "{did:?}");
        self.rig.connected(1);
        let down = self.answer(1, 200, &json!({"id": "file-input"}));
        self.family = family;
        tree(&body_of(&down))["id"].as_str().expect("an id").to_owned()
    }

    fn answer(&mut self, attempt: u16, status: u16, body: &Value) -> Vec<Did> {
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} OK\ncontent-type: application/json\ncontent-length: {}\n",
            body.len()
        );
        let mut did = self.rig.answer(attempt, &head);
        for piece in body.as_bytes().chunks(100) {
            did.extend(self.rig.body(attempt, std::str::from_utf8(piece).expect("ASCII")));
        }
        did.extend(self.rig.end(attempt));
        did
    }

    /// What the provider says to a request for a page.
    fn page(&mut self, up: &str) -> Value {
        self.pages_asked += 1;
        let target = up.split(' ').nth(1).expect("a target");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        assert_eq!(path, self.family.path(), "{up}");
        let parameter = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.to_owned())
        };
        let all = &self.accounts[self.account_of[self.credential(up)]];
        let limit = parameter("limit").map_or(20, |limit| limit.parse().expect("a limit"));
        let at = |id: String| {
            let id = id.strip_prefix("page_").unwrap_or(&id);
            all.iter()
                .position(|known| *known == id)
                .expect("an id of this account")
        };
        let (range, backward) = match (parameter(self.family.after()), parameter("before_id")) {
            (Some(id), None) => (at(id) + 1..all.len(), false),
            (None, Some(id)) => (0..at(id), true),
            (None, None) => (0..all.len(), false),
            both => panic!("{both:?}"),
        };
        let shown = match backward {
            true => range.end - range.len().min(limit)..range.end,
            false => range.start..range.start + range.len().min(limit),
        };
        let has_more = range.len() > shown.len();
        let data: Vec<Value> = all[shown]
            .iter()
            .map(|id| json!({"id": id, "object": "x", "metadata": {"id": "mine"}}))
            .collect();
        if self.family == PagedFiles {
            let last = data
                .last()
                .and_then(|object| object["id"].as_str())
                .filter(|_| has_more);
            return json!({"data": data, "next_page": last.map(|id| format!("page_{id}"))});
        }
        let end = |object: Option<&Value>| object.map_or(Value::Null, |object| object["id"].clone());
        json!({"data": data, "first_id": end(data.first()), "last_id": end(data.last()), "has_more": has_more})
    }

    /// A page for the client: all of the provider's that it takes are answered.
    fn list(&mut self, key: &str, query: &str) -> Value {
        let (status, _, body) = reply(&self.list_with(key, query, |_, page| (200, page)));
        assert_eq!(status, 200, "{body}");
        tree(&body)
    }

    fn list_with(&mut self, key: &str, query: &str, answer: impl Fn(usize, Value) -> (u16, Value)) -> Vec<Did> {
        let line = format!("GET {}{query}", self.family.path());
        let mut did = self.rig.request(&self.head(&line, key), b"");
        self.pages_asked = 0;
        while !dialled(&did).is_empty() {
            let attempt = did.iter().rev().find_map(|did| match did {
                Did::Dial { attempt, .. } => Some(*attempt),
                _ => None,
            });
            let attempt = attempt.expect("an attempt");
            let (up, _) = sent(&self.rig.connected(attempt));
            let page = self.page(&up);
            let (status, page) = answer(self.pages_asked, page);
            did = self.answer(attempt, status, &page);
        }
        did
    }

    /// The ids of an owner's whole list, as a client that goes on with `last_id` sees them.
    fn walk(&mut self, key: &str, limit: usize) -> Vec<String> {
        let mut seen = Vec::new();
        let mut from = String::new();
        loop {
            let page = self.list(key, &format!("?limit={limit}{from}"));
            let ids = ids(&page);
            assert!(ids.len() <= limit);
            if let (Some(first), Some(last), true) = (ids.first(), ids.last(), self.family != PagedFiles) {
                assert_eq!((&page["first_id"], &page["last_id"]), (&json!(first), &json!(last)));
            }
            seen.extend(ids);
            let next = match self.family {
                PagedFiles => &page["next_page"],
                _ if page["has_more"] == false => &Value::Null,
                _ => &page["last_id"],
            };
            let Some(next) = next.as_str() else { return seen };
            from = format!("&{}={next}", self.family.after());
        }
    }

    /// The same from the last object towards the first.
    fn walk_back(&mut self, key: &str, limit: usize, last: &str) -> Vec<String> {
        let mut seen = vec![last.to_owned()];
        loop {
            let page = self.list(key, &format!("?before_id={}&limit={limit}", seen[0]));
            seen.splice(0..0, ids(&page));
            if page["has_more"] == false || ids(&page).is_empty() {
                return seen;
            }
        }
    }

    /// What an owner made, in the order of the lists of each credential in turn.
    fn owned(&self, key: &str) -> Vec<String> {
        let mut owned = Vec::new();
        for credential in 0..self.account_of.len() {
            for raw in &self.accounts[self.account_of[credential]] {
                let made = |made: &&(usize, String, String, &str)| {
                    made.0 == credential && made.1 == *raw && made.3 == owner(key)
                };
                owned.extend(self.made.iter().find(made).map(|made| made.2.clone()));
            }
        }
        owned
    }
}

fn owner(key: &str) -> &'static str {
    match key {
        "mine" | "mate" => "research",
        "rival" => "sales",
        _ => "lone",
    }
}

fn tree(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|bad| panic!("{bad}: {text}"))
}

fn ids(page: &Value) -> Vec<String> {
    let data = page["data"].as_array().expect("data");
    data.iter()
        .map(|object| object["id"].as_str().expect("an id").to_owned())
        .collect()
}

fn family() -> impl Strategy<Value = Family> {
    prop::sample::select(vec![Files, Batches, MessageBatches, AnthropicFiles, PagedFiles])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_owner_gets_all_of_its_own_and_nothing_else(
        family in family(),
        account_of in prop::sample::select(vec![vec![0], vec![0, 0], vec![0, 1], vec![0, 1, 0]]),
        makers in prop::collection::vec(0..5usize, 0..60),
        limit in 1..12usize,
    ) {
        let mut world = World::new(family, &account_of);
        for (n, maker) in makers.iter().enumerate() {
            // Some are one the beginning of another.
            let name = "a".repeat(n % 3) + &n.to_string();
            match maker {
                0 => world.make_elsewhere(account_of[n % account_of.len()], &name),
                maker => { world.make(["mine", "mate", "rival", "lone"][maker - 1], &name); }
            }
        }
        for key in ["mine", "mate", "rival", "lone"] {
            let owned = world.owned(key);
            prop_assert_eq!(&world.walk(key, limit), &owned, "{}", key);
            if let Some(last) = owned.last().filter(|_| matches!(family, MessageBatches | AnthropicFiles) && account_of.len() == 1) {
                prop_assert_eq!(&world.walk_back(key, limit, last), &owned);
            }
        }
        // Another process that was told what this one remembers.
        let marks = Marks::awaiting();
        world.rig.local.marks.all().for_each(|mark| assert!(marks.note(mark)));
        world.rig.local.marks = Arc::new(marks);
        let line = format!("GET {}", family.path());
        prop_assert_eq!(reply(&world.rig.request(&world.head(&line, "mine"), b"")).0, 503);
        world.rig.local.marks.completed();
        prop_assert_eq!(world.walk("rival", limit), world.owned("rival"));
    }
}

#[test]
fn no_raw_id_is_in_a_list_and_all_else_passes() {
    let mut world = World::new(Batches, &[0]);
    world.make("mine", "one");
    world.make("rival", "two");
    let did = world.list_with("mine", "", |_, mut page| {
        page["data"][1] = json!({"id": "batch_one", "input_file_id": "file-1", "output_file_id": "file-2",
            "error_file_id": null, "metadata": {"id": "batch_two"}, "a": [1, 2.5, "\u{e9}"]});
        (200, page)
    });
    let (status, lines, body) = reply(&did);
    assert_eq!(
        (status, header(&lines, "x-tollgate-provider")),
        (200, Some("gpts")),
        "{lines}"
    );
    assert_eq!(header(&lines, "content-type"), Some("application/json"));
    let page = tree(&body);
    let batch = &page["data"][0];
    assert_eq!(page["data"].as_array().map(Vec::len), Some(1), "{page}");
    assert_eq!(page["object"], "list");
    assert!(
        batch["input_file_id"]
            .as_str()
            .is_some_and(|id| id.starts_with("file-tgt1"))
    );
    let output = batch["output_file_id"].as_str().expect("an id").to_owned();
    assert_eq!(
        (&batch["metadata"]["id"], &batch["a"]),
        (&json!("batch_two"), &json!([1, 2.5, "\u{e9}"]))
    );
    // Its output is from now on a file of the same owner's.
    world.family = Files;
    world.accounts[0] = vec!["file-3".to_owned(), "file-2".to_owned(), "file-1".to_owned()];
    assert_eq!(ids(&world.list("mate", "")), [output]);
    assert_eq!(ids(&world.list("rival", "")), [""; 0]);
}

/// Objects of others' between two of one's own, more than are looked through in one call.
const MANY: usize = 12_000;

#[test]
fn behind_more_of_others_than_are_looked_through_the_list_goes_on_at_a_place_that_opens_nothing() {
    let mut world = World::new(MessageBatches, &[0]);
    let last = world.make("mine", "last");
    let others: Vec<String> = (0..MANY).map(|n| format!("msgbatch_other{n}")).collect();
    world.accounts[0].splice(0..0, others);
    let first = world.make("mine", "first");

    let page = world.list("mine", "?limit=5");
    assert_eq!((ids(&page), &page["has_more"]), (vec![first.clone()], &json!(true)));
    assert_eq!(world.pages_asked, 100);
    let page = world.list("mine", &format!("?after_id={first}"));
    assert_eq!(
        (ids(&page), &page["has_more"], &page["first_id"]),
        (vec![], &json!(true), &Value::Null)
    );
    let place = page["last_id"].as_str().expect("where to go on").to_owned();
    assert!(
        place.starts_with("msgbatch_tgt1") && !place.contains("other"),
        "{place}"
    );
    let page = world.list("mine", &format!("?after_id={place}"));
    assert_eq!((ids(&page), &page["has_more"]), (vec![last], &json!(false)));

    // It is the place behind somebody else's batch.
    for (line, key) in [
        (format!("GET /v1/messages/batches/{place}"), "mine"),
        (format!("GET /v1/messages/batches/{place}/results"), "mine"),
        (format!("POST /v1/messages/batches/{place}/cancel"), "mine"),
        (format!("DELETE /v1/messages/batches/{place}"), "mine"),
        (format!("GET /v1/messages/batches?after_id={place}"), "rival"),
        (format!("GET /v1/messages/batches?after_id={first}"), "rival"),
        ("GET /v1/messages/batches?after_id=msgbatch_first".to_owned(), "mine"),
        ("GET /v1/messages/batches?before_id=msgbatch_first".to_owned(), "mine"),
    ] {
        let head = world.head(&line, key);
        assert_eq!(reply(&world.rig.request(&head, b"")).0, 404, "{line} {key}");
    }
}

#[test]
fn ids_that_are_asked_for_are_opened_and_a_page_is_no_object() {
    let mut world = World::new(PagedFiles, &[0]);
    let first = world.make("mine", "first");
    let rivals = world.make("rival", "second");
    let third = world.make("mine", "third");
    let line = format!("GET /v1/files?ids%5B%5D={first}&ids[]={rivals}&ids[]=file_second&beta=true");
    world.rig.request(&world.head(&line, "mine"), b"");
    let (up, _) = sent(&world.rig.connected(1));
    assert!(
        up.starts_with(&format!(
            "GET /v1/files?ids%5B%5D=file_first&ids[]={rivals}&ids[]=file_second&beta=true HTTP"
        )),
        "{up}"
    );
    let found = json!({"data": [{"id": "file_first"}, {"id": "file_second"}], "next_page": null});
    let (_, _, body) = reply(&world.answer(1, 200, &found));
    assert_eq!(
        (ids(&tree(&body)), &tree(&body)["next_page"]),
        (vec![first.clone()], &Value::Null)
    );

    let page = world.list("mine", "?limit=1");
    assert_eq!(ids(&page), [third]);
    let next = page["next_page"].as_str().expect("where to go on").to_owned();
    assert!(next.starts_with("page_tgt1") && !next.contains("third"), "{next}");
    for (line, key) in [
        (format!("GET /v1/files/{next}"), "mine"),
        (format!("GET /v1/files?page={next}"), "rival"),
        (format!("GET /v1/files?page={first}"), "mine"),
        ("GET /v1/files?page=page_file_third".to_owned(), "mine"),
    ] {
        assert_eq!(
            reply(&world.rig.request(&world.head(&line, key), b"")).0,
            404,
            "{line} {key}"
        );
    }
}

#[test]
fn what_is_deleted_is_forgotten_and_what_is_read_is_known() {
    let mut world = World::new(AnthropicFiles, &[0]);
    let file = world.make("mine", "one");
    assert_eq!(world.rig.local.marks.all().count(), 1);
    let line = format!("/v1/files/{file}");
    let mut call = |method: &str, status: u16, answer: Value| {
        let head = world.head(&format!("{method} {line}"), "mine");
        world.rig.request(&head, b"");
        world.rig.connected(1);
        world.answer(1, status, &answer);
        world.rig.local.marks.all().count()
    };
    assert_eq!(call("DELETE", 500, json!({"error": {"message": "not now"}})), 1);
    assert_eq!(
        call("DELETE", 200, json!({"id": "file_one", "type": "file_deleted"})),
        0
    );
    // Made before anything was remembered, as far as this node knows.
    assert_eq!(call("GET", 200, json!({"id": "file_one", "type": "file"})), 1);
}

#[test]
fn a_provider_that_fails_on_the_way_or_says_nonsense_is_told_of_without_ids() {
    let mut world = World::new(Files, &[0]);
    for n in 0..300 {
        world.make_elsewhere(0, &n.to_string());
    }
    let fails =
        |status: u16, body: fn() -> Value| move |page: usize, ok| if page == 2 { (status, body()) } else { (200, ok) };
    for (status, expected, body) in [
        (
            404,
            404,
            (|| json!({"error": {"message": "No such file: file-290", "param": "file-290"}})) as fn() -> Value,
        ),
        (200, 502, || json!({"error": "no"})),
        (200, 502, || json!([1])),
        (
            200,
            200,
            || json!({"data": [null, 7, {"id": 7}, {"x": "file-1"}], "has_more": true}),
        ),
    ] {
        let did = world.list_with("mine", "?limit=10", fails(status, body));
        let (got, _, text) = reply(&did);
        assert_eq!(got, expected, "{text}");
        assert!(!text.contains("file-2"), "{text}");
        assert_eq!(did.last(), Some(&Did::End));
    }
    for query in ["?limit=0", "?limit=-1", "?limit=ten"] {
        assert_eq!(
            reply(&world.list_with("mine", query, |_, page| (200, page))).0,
            400,
            "{query}"
        );
    }
    let other = "GET /v1/files";
    let head = world.head(other, "mine") + "x-tollgate-provider: claude\n";
    assert_eq!(reply(&world.rig.request(&head, b"")).0, 400);
    let head = world.head(other, "mine") + "x-tollgate-provider: spare\n";
    assert_eq!(dialled(&world.rig.request(&head, b""))[0].0, "spare");
    let mut known = BTreeSet::new();
    let file = world.make("mine", "here");
    known.insert(file.clone());
    let head = world.head(&format!("GET /v1/files?after={file}"), "mine") + "x-tollgate-provider: spare\n";
    assert_eq!(reply(&world.rig.request(&head, b"")).0, 400, "it lives at another");
}

#[test]
fn a_page_too_long_to_be_held_is_no_list() {
    let mut world = World::new(Batches, &[0]);
    let long = "x".repeat(9 * 1024 * 1024);
    let head = world.head("GET /v1/batches", "mine");
    world.rig.request(&head, b"");
    world.rig.connected(1);
    let did = world.rig.answer(
        1,
        &format!(
            "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {}\n",
            long.len()
        ),
    );
    assert_eq!(did, []);
    let did: Vec<Did> = long
        .as_bytes()
        .chunks(64 * 1024)
        .flat_map(|piece| world.rig.body(1, std::str::from_utf8(piece).expect("ASCII")))
        .collect();
    let (status, _, text) = reply(&did);
    assert!(status == 502 && text.contains("limit"), "{text}");
    assert!(world.rig.exchange.held_bytes() < 1024);
}

//! What is wrong with `database`, each with its pointer.

#[allow(dead_code)] // Each test has it said in one of its ways.
mod faults;

use tollgate_config::{
    check::check,
    document::{PostgresTls, Reference},
    parse,
};

fn faults(postgres: &str) -> Vec<(String, String, String)> {
    let text = format!("version: 1\ndatabase: {{ postgres: {postgres} }}\n");
    let told = faults::problems(&text).into_iter();
    told.map(|problem| (problem.pointer, problem.wrong, problem.right))
        .collect()
}

#[test]
fn a_database_is_read() {
    let read = |postgres: &str| {
        let text = format!("version: 1\ndatabase: {{ postgres: {postgres} }}\n");
        let document = check(&parse::parse(&text).expect("YAML")).expect("a document");
        document.database.expect("a database")
    };
    let far = read("{ host: db.example.com, user: gate, name: ledger, password: env:DB_PASSWORD }");
    assert_eq!(
        (&*far.host, far.port, &*far.schema, far.connections),
        ("db.example.com", 5432, "tollgate", 5)
    );
    assert_eq!(far.password, Some(Reference::Env("DB_PASSWORD".to_owned())));
    assert!(
        matches!(far.tls, PostgresTls::Verified(_)),
        "what leaves the machine is encrypted"
    );
    for near in ["/run/postgresql", "127.0.0.1", "localhost", "\"::1\""] {
        let near = read(&format!("{{ host: {near}, user: gate, name: ledger }}"));
        assert_eq!(near.tls, PostgresTls::Off, "{}", near.host);
    }
    let said = read("{ host: db, user: g, name: l, tls: off, schema: gate_2, connections: 9, port: 6432 }");
    assert_eq!(
        (said.tls, &*said.schema, said.connections, said.port),
        (PostgresTls::Off, "gate_2", 9, 6432)
    );
    let own = read("{ host: db, user: g, name: l, tls: { ca: file:ca.pem, server_name: db.example.com } }");
    let PostgresTls::Verified(tls) = own.tls else {
        panic!("it has TLS")
    };
    assert_eq!(tls.ca, Some(Reference::File("ca.pem".to_owned())));
}

#[test]
fn each_fault_is_told_where_it_is() {
    let at = |rest: &str| format!("/database/postgres{rest}");
    let with = |more: &str| format!("{{ host: db, user: g, name: l, {more} }}");
    let table = [
        ("{ user: g, name: l }".to_owned(), at(""), "host: a name"),
        ("{ host: db, name: l }".to_owned(), at(""), "user: who to log in as"),
        ("{ host: db, user: g }".to_owned(), at(""), "name: the database"),
        (
            "{ host: \"a b\", user: g, name: l }".to_owned(),
            at("/host"),
            "an IP address",
        ),
        (
            "{ host: \"db:5433\", user: g, name: l }".to_owned(),
            at("/host"),
            "host: db, port: 5433",
        ),
        (with("port: 0"), at("/port"), "1 to 65535"),
        (with("connections: 2"), at("/connections"), "3 to 64"),
        (with("password: hunter2"), at("/password"), "env:NAME or file:PATH"),
        (with("schema: Gate"), at("/schema"), "small letters"),
        (with("schema: pg_gate"), at("/schema"), "not beginning with pg_"),
        (with("schema: \"a;b\""), at("/schema"), "small letters"),
        (with("tls: maybe"), at("/tls"), "off, or a map"),
        (with("tls: { client_key: file:k }"), at("/tls"), "client_certificate"),
        (with("tls: { sni: x }"), at("/tls/sni"), "server_name"),
        (with("passwd: env:A"), at("/passwd"), "did you mean `password`?"),
        (
            "{ host: /run/p, user: g, name: l, tls: {} }".to_owned(),
            at("/tls"),
            "no `tls`",
        ),
    ];
    for (postgres, pointer, right) in table {
        let found = faults(&postgres);
        assert_eq!(found.len(), 1, "{postgres}: {found:?}");
        assert!(
            found[0].0 == pointer && found[0].2.contains(right),
            "{postgres}: {found:?}"
        );
    }
    let missing = check(&parse::parse("version: 1\ndatabase: {}\n").expect("YAML")).expect_err("a fault");
    assert!(missing[0].right.contains("postgres"), "{missing:?}");
}

#[test]
fn a_password_in_a_url_is_not_repeated() {
    let found = faults("{ host: \"postgres://gate:hunter2@db/ledger\", user: g, name: l }");
    assert_eq!(found[0].0, "/database/postgres/host");
    assert!(
        found[0].2.contains("keys of their own") && !found[0].1.contains("hunter2"),
        "{found:?}"
    );
}

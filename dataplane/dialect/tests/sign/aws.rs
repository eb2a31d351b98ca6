//! Requests to AWS, and the credentials that sign them.

use proptest::prelude::*;
use serde_json::Value;
use tollgate_dialect::sign::{AwsCredential, AwsKeys, Payload, PayloadHash, Request, Signer, credential::Secret};

use crate::{
    suite::{SUITE_NOW, suite},
    text,
};

fn keys(access: &str, secret: &str, session: Option<&str>) -> AwsKeys {
    AwsKeys {
        access: access.into(),
        secret: secret.into(),
        session: session.map(Into::into),
        expires_unix_s: None,
    }
}

fn signed(signer: &mut Signer, request: &Request<'_>, now_unix_s: u64) -> Vec<(String, String)> {
    let mut out = Vec::new();
    signer.sign(request, now_unix_s, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(text.ends_with("\r\n"));
    let line = |line: &str| {
        line.split_once(": ")
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .unwrap()
    };
    text.trim_end().split("\r\n").map(line).collect()
}

fn value<'l>(lines: &'l [(String, String)], name: &str) -> Option<&'l str> {
    lines
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

#[test]
fn aws_s_own_vectors() {
    for vector in suite() {
        let keys = keys(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            vector.session,
        );
        let request = Request {
            method: vector.method,
            path: vector.path.as_bytes(),
            query: vector.query.as_bytes(),
            host: b"example.amazonaws.com",
            headers: vector.headers,
            payload: Payload::of(vector.body),
        };
        let lines = signed(&mut Signer::new(keys, "us-east-1", "service"), &request, SUITE_NOW);
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={}, Signature={}",
            vector.signed, vector.signature
        );
        assert_eq!(
            value(&lines, "authorization"),
            Some(expected.as_str()),
            "{}",
            vector.name
        );
        assert_eq!(value(&lines, "x-amz-date"), Some("20150830T123600Z"));
        assert_eq!(value(&lines, "x-amz-security-token"), vector.session);
    }
}

#[test]
fn requests_are_signed_as_botocore_signs_them() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("aws.json")).unwrap();
    assert!(cases.len() >= 40);
    for case in &cases {
        let headers = case["headers"].as_object().unwrap().iter();
        let headers: Vec<(&str, &[u8])> = headers
            .map(|(name, value)| (&**name, value.as_str().unwrap().as_bytes()))
            .collect();
        let body = text(case, "body").as_bytes();
        let request = Request {
            method: "POST",
            path: text(case, "path").as_bytes(),
            query: text(case, "query").as_bytes(),
            host: text(case, "host").as_bytes(),
            headers: &headers,
            payload: Payload::of(body),
        };
        let keys = keys(text(case, "access"), text(case, "secret"), case["session"].as_str());
        let mut signer = Signer::new(keys, text(case, "region"), "bedrock");
        let now = case["now_unix_s"].as_u64().unwrap();
        let expected = Some(text(case, "authorization"));
        // A signer that signed on other days, and for the day already, says the same.
        for before in [now - 86_400, now + 86_400, now, now] {
            signed(&mut signer, &request, before);
        }
        assert_eq!(value(&signed(&mut signer, &request, now), "authorization"), expected);
        let mut hash = PayloadHash::default();
        body.chunks(7).for_each(|piece| hash.update(piece));
        assert_eq!(hash.finish(), request.payload);
    }
}

#[test]
fn an_unsigned_payload_says_so() {
    let request = Request {
        method: "POST",
        path: b"/",
        query: b"",
        host: b"a",
        headers: &[],
        payload: Payload::Unsigned,
    };
    let lines = signed(&mut Signer::new(keys("A", "S", None), "r", "s3"), &request, SUITE_NOW);
    assert_eq!(value(&lines, "x-amz-content-sha256"), Some("UNSIGNED-PAYLOAD"));
    let authorization = value(&lines, "authorization").unwrap();
    assert!(
        authorization.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date,"),
        "{authorization}"
    );
}

#[test]
fn every_form_of_an_aws_credential() {
    let lent = |expires| {
        AwsCredential::Keys(AwsKeys {
            expires_unix_s: expires,
            ..keys("AKIA", "s/+", Some("t=="))
        })
    };
    for (content, expected) in [
        ("AKIA:s/+\n", AwsCredential::Keys(keys("AKIA", "s/+", None))),
        ("AKIA:s/+:t==", lent(None)),
        ("AKIA:s/+:", AwsCredential::Keys(keys("AKIA", "s/+", None))),
        (
            "ABSKQmVkcm9ja0FQSUtleS0x",
            AwsCredential::Bearer(Secret("ABSKQmVkcm9ja0FQSUtleS0x".into())),
        ),
        (
            r#"{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"s\/+","SessionToken":"t==","Expiration":"2015-08-30T12:36:00Z"}"#,
            lent(Some(SUITE_NOW)),
        ),
        (
            r#"{"Code":"Success","AccessKeyId":"AKIA","SecretAccessKey":"s/+","Token":"t==","Expiration":"2015-08-30T12:36:00Z"}"#,
            lent(Some(SUITE_NOW)),
        ),
        (
            "# mine\n[work]\naws_access_key_id = W\n[default]\naws_access_key_id = AKIA\naws_secret_access_key=s/+\nregion = x\naws_session_token = t==\n[other]\naws_access_key_id = O",
            lent(None),
        ),
    ] {
        assert_eq!(AwsCredential::read(content.as_bytes()), Ok(expected), "{content}");
    }
    for wrong in [
        "",
        " \n",
        ":s",
        "a:",
        "a b:c",
        "{",
        "{}",
        r#"{"AccessKeyId":"a"}"#,
        r#"{"AccessKeyId":"a","SecretAccessKey":"b","Expiration":"soon"}"#,
        "[default]\naws_access_key_id = a",
        "[work]\naws_access_key_id = a\naws_secret_access_key = b",
        "\u{e9}",
    ] {
        let error = AwsCredential::read(wrong.as_bytes()).expect_err(wrong);
        assert!(!error.to_string().is_empty());
    }
    assert!(AwsCredential::read(b"\xff").is_err());
    let shown = format!("{:?} {:?}", lent(None), AwsCredential::read(b"hunter2").unwrap());
    assert!(
        !shown.contains("s/+") && !shown.contains("t==") && !shown.contains("hunter2"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn nothing_that_is_sent_panics(
        path in prop::collection::vec(any::<u8>(), 0..80),
        query in prop::collection::vec(any::<u8>(), 0..80),
        value in prop::collection::vec(any::<u8>(), 0..40),
        now in 0_u64..253_402_300_799,
    ) {
        let headers = [("a", &value[..]), ("z", &value[..]), ("a", b"")];
        let request = Request {
            method: "POST", path: &path, query: &query, host: b"h", headers: &headers, payload: Payload::of(&value),
        };
        let mut out = Vec::new();
        Signer::new(keys("A", "S", Some("T")), "r", "s").sign(&request, now, &mut out);
        prop_assert!(out.ends_with(b"\r\n"));
    }

    #[test]
    fn an_order_of_pairs_and_headers_is_no_difference(
        mut pairs in prop::collection::vec(("[a-z]{0,3}", "[a-z%2]{0,4}"), 0..6),
        now in 0_u64..4_000_000_000,
    ) {
        let query = |pairs: &[(String, String)]| {
            let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            pairs.join("&")
        };
        let sign = |query: &str, headers: &[(&str, &[u8])]| {
            let request = Request {
                method: "GET", path: b"/", query: query.as_bytes(), host: b"h", headers, payload: Payload::of(b""),
            };
            signed(&mut Signer::new(keys("A", "S", None), "r", "s"), &request, now)
        };
        let before = sign(&query(&pairs), &[("b", b"1"), ("c", b"2")]);
        pairs.reverse();
        prop_assert_eq!(&before, &sign(&query(&pairs), &[("c", b" 2 "), ("b", b"1")]));
        prop_assert_ne!(&before, &sign(&query(&pairs), &[("c", b"2"), ("b", b"2")]));
    }

    #[test]
    fn no_credential_panics(content in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = AwsCredential::read(&content);
    }
}

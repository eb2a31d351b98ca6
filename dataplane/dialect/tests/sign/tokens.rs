//! Access tokens: what is asked of Google and Microsoft, what they answer.

use proptest::prelude::*;
use ring::{
    rand::SystemRandom,
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey},
};
use serde_json::Value;
use tollgate_dialect::sign::{
    azure::Application,
    credential::Secret,
    google::ServiceAccount,
    token::{AccessToken, NoToken},
};

use crate::text;

fn google() -> Value {
    serde_json::from_str(include_str!("google.json")).unwrap()
}

#[test]
fn a_service_account_signs_what_others_sign() {
    let case = google();
    let now = case["now_unix_s"].as_u64().unwrap();
    let random = SystemRandom::new();
    let account = ServiceAccount::read(case["account"].to_string().as_bytes()).unwrap();
    let assertion = account.assertion(text(&case, "scope"), now, &random).unwrap();
    assert_eq!(assertion, text(&case, "assertion"));
    let ask = account.ask(text(&case, "scope"), now, &random).unwrap();
    assert_eq!(ask.url, "https://oauth2.googleapis.com/token");
    let body = String::from_utf8(ask.body.0.clone()).unwrap();
    let expected = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
    assert_eq!(body, expected);
    let shown = format!("{account:?} {ask:?}");
    assert!(!shown.contains(&assertion), "{shown}");

    let mut pkcs1 = case["account"].clone();
    pkcs1["private_key"] = case["pkcs1"].clone();
    let account = ServiceAccount::read(pkcs1.to_string().as_bytes()).unwrap();
    assert_eq!(
        account.assertion(text(&case, "scope"), now, &random).unwrap(),
        assertion
    );
}

#[test]
fn an_assertion_is_believed_by_the_public_key() {
    use base64::{Engine as _, engine::general_purpose};
    let case = google();
    let pem = text(&case["account"], "private_key");
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let key = RsaKeyPair::from_pkcs8(&general_purpose::STANDARD.decode(body).unwrap()).unwrap();
    let account = ServiceAccount::read(case["account"].to_string().as_bytes()).unwrap();
    let assertion = account.assertion("s", 7, &SystemRandom::new()).unwrap();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let signature = general_purpose::URL_SAFE_NO_PAD.decode(signature).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    public.verify(signed.as_bytes(), &signature).unwrap();
    let claims = signed.split_once('.').unwrap().1;
    let claims: Value = serde_json::from_slice(&general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!((claims["iat"].as_u64(), claims["exp"].as_u64()), (Some(7), Some(3_607)));
}

#[test]
fn what_is_no_service_account_is_refused() {
    let account = google()["account"].clone();
    let without = |name: &str| {
        let mut account = account.clone();
        account.as_object_mut().unwrap().remove(name);
        account.to_string()
    };
    let with = |name: &str, value: &str| {
        let mut account = account.clone();
        account[name] = value.into();
        account.to_string()
    };
    for (content, said) in [
        ("AKIA".to_owned(), "it is not a service account's key in JSON"),
        (without("client_email"), "it has no `client_email`"),
        (without("private_key"), "it has no `private_key`"),
        (with("private_key", "hunter2"), "its `private_key` is no RSA key in PEM"),
        (
            with("type", "authorized_user"),
            "it is a Google credential, but not a service account's key",
        ),
        (with("token_uri", "ftp://a"), "its address for tokens is no URL"),
    ] {
        let error = ServiceAccount::read(content.as_bytes()).expect_err(said);
        assert_eq!(error.to_string(), said);
    }
    assert!(ServiceAccount::read(without("token_uri").as_bytes()).is_ok());
}

#[test]
fn an_application_asks_for_a_token() {
    let application = Application {
        authority: "https://login.microsoftonline.com",
        tenant: "acme.onmicrosoft.com",
        client_id: "3f1c",
        scope: "https://cognitiveservices.azure.com/.default",
    };
    let ask = application.ask("a&b=c ~");
    assert_eq!(
        ask.url,
        "https://login.microsoftonline.com/acme.onmicrosoft.com/oauth2/v2.0/token"
    );
    assert_eq!(
        String::from_utf8(ask.body.0).unwrap(),
        "grant_type=client_credentials&client_id=3f1c&client_secret=a%26b%3Dc%20~&\
         scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default"
    );
}

#[test]
fn tokens_are_renewed_ahead() {
    for (body, token, renew, expires) in [
        (
            r#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#,
            "ya29.x",
            2_700,
            3_599,
        ),
        (
            r#"{"token_type":"Bearer","expires_in":"3600","access_token":"e\u0079J"}"#,
            "eyJ",
            2_700,
            3_600,
        ),
        (r#"{"access_token":"a"}"#, "a", 450, 600),
        (r#"{"access_token":"a","expires_in":999999999}"#, "a", 64_800, 86_400),
        (r#"{"access_token":"a","expires_in":0}"#, "a", 0, 0),
    ] {
        let expected = AccessToken {
            token: Secret(token.into()),
            renew_unix_s: 1_000 + renew,
            expires_unix_s: 1_000 + expires,
        };
        assert_eq!(AccessToken::read(200, body.as_bytes(), 1_000), Ok(expected), "{body}");
    }
    for (status, body, why, again) in [
        (200, "{}", "the answer holds no access token", true),
        (200, "<html>", "the answer holds no access token", true),
        (200, r#"{"access_token":""}"#, "the answer holds no access token", true),
        (
            200,
            r#"{"access_token":"a\nb"}"#,
            "the answer holds no access token",
            true,
        ),
        (
            400,
            r#"{"error":"invalid_grant","error_description":"Invalid JWT\r\nSignature."}"#,
            "status 400: invalid_grant: Invalid JWTSignature.",
            false,
        ),
        (
            401,
            r#"{"error":"invalid_client"}"#,
            "status 401: invalid_client",
            false,
        ),
        (503, "busy", "status 503", true),
        (429, "", "status 429", true),
    ] {
        let expected = NoToken {
            why: why.to_owned(),
            again,
        };
        assert_eq!(
            AccessToken::read(status, body.as_bytes(), 1_000),
            Err(expected),
            "{body}"
        );
    }
}

proptest! {
    #[test]
    fn no_credential_and_no_answer_panics(content in prop::collection::vec(any::<u8>(), 0..200), status in 100_u16..600) {
        let _ = ServiceAccount::read(&content);
        let _ = AccessToken::read(status, &content, u64::MAX);
    }
}

//! AWS's Signature Version 4 test suite: requests and what they are signed with. Source: awslabs/aws-c-auth,
//! tests/aws-signing-test-suite/v4 (Apache-2.0).

/// 2015-08-30T12:36:00Z.
pub const SUITE_NOW: u64 = 1_440_938_160;
const LETTERS: &str = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SUITE_TOKEN: &str = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
const STS_TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
const FORM_HASH: &[u8] = b"9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e";

pub struct Vector {
    pub name: &'static str,
    pub method: &'static str,
    pub path: String,
    pub query: String,
    pub headers: &'static [(&'static str, &'static [u8])],
    pub body: &'static [u8],
    pub session: Option<&'static str>,
    pub signed: &'static str,
    pub signature: &'static str,
}

fn vector(name: &'static str, method: &'static str, target: &str, signature: &'static str) -> Vector {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Vector {
        name,
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers: &[],
        body: b"",
        session: None,
        signed: "host;x-amz-date",
        signature,
    }
}

/// AWS's Signature Version 4 test suite: requests and what they are signed with, those with normalized paths.
pub fn suite() -> Vec<Vector> {
    const VANILLA: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    let unreserved = format!("/{LETTERS}");
    let unreserved_query = format!("/?{LETTERS}={LETTERS}");
    let my_header = |mut vector: Vector, headers| {
        (vector.headers, vector.signed) = (headers, "host;my-header1;x-amz-date");
        vector
    };
    let with_session = |mut vector: Vector, token| {
        (vector.session, vector.signed) = (Some(token), "host;x-amz-date;x-amz-security-token");
        vector
    };
    let form = |mut vector: Vector, headers| {
        vector.headers = headers;
        vector.body = b"Param1=value1";
        vector.signed = "content-length;content-type;host;x-amz-content-sha256;x-amz-date";
        vector
    };
    vec![
        vector("get-vanilla-query", "GET", "/", VANILLA),
        vector("get-relative", "GET", "/example/..", VANILLA),
        vector("get-relative-relative", "GET", "/example1/example2/../..", VANILLA),
        vector("get-slash", "GET", "//", VANILLA),
        vector("get-slash-dot-slash", "GET", "/./", VANILLA),
        vector(
            "get-slash-pointless-dot",
            "GET",
            "/./example",
            "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
        ),
        vector(
            "get-slashes",
            "GET",
            "//example//",
            "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
        ),
        vector(
            "get-space",
            "GET",
            "/example space/",
            "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
        ),
        vector(
            "get-unreserved",
            "GET",
            &unreserved,
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        ),
        vector(
            "get-utf8",
            "GET",
            "/\u{1234}",
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        ),
        vector(
            "get-vanilla-empty-query-key",
            "GET",
            "/?Param1=value1",
            "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
        ),
        vector(
            "get-vanilla-query-order-encoded",
            "GET",
            "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
            "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
        ),
        vector(
            "get-vanilla-query-order-key-case",
            "GET",
            "/?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        vector(
            "get-vanilla-query-unreserved",
            "GET",
            &unreserved_query,
            "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        ),
        vector(
            "get-vanilla-utf8-query",
            "GET",
            "/?\u{1234}=bar",
            "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        ),
        with_session(
            vector(
                "get-vanilla-with-session-token",
                "GET",
                "/",
                "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
            ),
            SUITE_TOKEN,
        ),
        my_header(
            vector(
                "get-header-key-duplicate",
                "GET",
                "/",
                "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
            ),
            &[
                ("my-header1", b"value2"),
                ("my-header1", b"value2"),
                ("my-header1", b"value1"),
            ],
        ),
        my_header(
            vector(
                "get-header-value-order",
                "GET",
                "/",
                "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
            ),
            &[
                ("my-header1", b"value4"),
                ("my-header1", b"value1"),
                ("my-header1", b"value3"),
                ("my-header1", b"value2"),
            ],
        ),
        Vector {
            headers: &[("my-header2", b" \"a   b   c\""), ("my-header1", b" value1")],
            signed: "host;my-header1;my-header2;x-amz-date",
            ..vector(
                "get-header-value-trim",
                "GET",
                "/",
                "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            )
        },
        vector(
            "post-vanilla",
            "POST",
            "/",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        vector(
            "post-vanilla-query",
            "POST",
            "/?Param1=value1",
            "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
        ),
        my_header(
            vector(
                "post-header-key-sort",
                "POST",
                "/",
                "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
            ),
            &[("my-header1", b"value1")],
        ),
        my_header(
            vector(
                "post-header-value-case",
                "POST",
                "/",
                "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
            ),
            &[("my-header1", b"VALUE1")],
        ),
        with_session(
            vector(
                "post-sts-header-before",
                "POST",
                "/",
                "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
            ),
            STS_TOKEN,
        ),
        form(
            vector(
                "post-x-www-form-urlencoded",
                "POST",
                "/",
                "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
            ),
            &[
                ("content-type", b"application/x-www-form-urlencoded"),
                ("content-length", b"13"),
                ("x-amz-content-sha256", FORM_HASH),
            ],
        ),
        form(
            vector(
                "post-x-www-form-urlencoded-parameters",
                "POST",
                "/",
                "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
            ),
            &[
                ("content-type", b"application/x-www-form-urlencoded; charset=utf-8"),
                ("content-length", b"13"),
                ("x-amz-content-sha256", FORM_HASH),
            ],
        ),
    ]
}

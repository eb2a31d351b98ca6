//! Recognises the headers the gateway acts on, by length first. It knows names only, never values.

use crate::head::Known;

impl Known {
    /// The tag of a header name, in any case.
    pub fn of(name: &[u8]) -> Known {
        match name.len() {
            2 if is(name, b"te") => Known::Te,
            4 if is(name, b"host") => Known::Host,
            4 if is(name, b"date") => Known::Date,
            6 if is(name, b"accept") => Known::Accept,
            6 if is(name, b"cookie") => Known::Cookie,
            6 if is(name, b"server") => Known::Server,
            6 if is(name, b"origin") => Known::Origin,
            6 if is(name, b"expect") => Known::Expect,
            7 if is(name, b"api-key") => Known::ApiKey,
            7 if is(name, b"upgrade") => Known::Upgrade,
            7 if is(name, b"trailer") => Known::Trailer,
            9 if is(name, b"x-api-key") => Known::XApiKey,
            9 if is(name, b"forwarded") => Known::Forwarded,
            10 if is(name, b"connection") => Known::Connection,
            10 if is(name, b"keep-alive") => Known::KeepAlive,
            10 if is(name, b"set-cookie") => Known::SetCookie,
            10 if is(name, b"request-id") => Known::RequestId,
            11 if is(name, b"retry-after") => Known::RetryAfter,
            12 if is(name, b"content-type") => Known::ContentType,
            12 if is(name, b"x-request-id") => Known::XRequestId,
            13 if is(name, b"authorization") => Known::Authorization,
            14 if is(name, b"content-length") => Known::ContentLength,
            14 if is(name, b"openai-project") => Known::OpenaiProject,
            14 if is(name, b"x-goog-api-key") => Known::XGoogApiKey,
            15 if is(name, b"accept-encoding") => Known::AcceptEncoding,
            15 if is(name, b"idempotency-key") => Known::IdempotencyKey,
            16 if is(name, b"content-encoding") => Known::ContentEncoding,
            16 if is(name, b"proxy-connection") => Known::ProxyConnection,
            17 if is(name, b"transfer-encoding") => Known::TransferEncoding,
            17 if is(name, b"anthropic-version") => Known::AnthropicVersion,
            18 if is(name, b"proxy-authenticate") => Known::ProxyAuthenticate,
            19 if is(name, b"proxy-authorization") => Known::ProxyAuthorization,
            19 if is(name, b"openai-organization") => Known::OpenaiOrganization,
            29 if is(name, b"access-control-request-method") => Known::AccessControlRequestMethod,
            30 if is(name, b"access-control-request-headers") => Known::AccessControlRequestHeaders,
            _ => of_family(name),
        }
    }

    /// Hop-by-hop by its nature (RFC 9110 §7.6.1, and what RFC 2616 counted): never forwarded.
    pub fn is_hop(self) -> bool {
        matches!(
            self,
            Known::Connection
                | Known::KeepAlive
                | Known::ProxyAuthenticate
                | Known::ProxyAuthorization
                | Known::ProxyConnection
                | Known::Te
                | Known::Trailer
                | Known::TransferEncoding
                | Known::Upgrade
        )
    }
}

/// The families that are known by their prefix.
fn of_family(name: &[u8]) -> Known {
    match name {
        [b'x' | b'X', b'-', ..] => of_x(name),
        [b'a' | b'A', ..] if starts(name, b"anthropic-ratelimit-") => Known::XRatelimit,
        _ => Known::Other,
    }
}

fn of_x(name: &[u8]) -> Known {
    if starts(name, b"x-tollgate-") {
        if is(name, b"x-tollgate-cache") {
            Known::XTollgateCache
        } else if is(name, b"x-tollgate-tags") {
            Known::XTollgateTags
        } else if is(name, b"x-tollgate-timeout") {
            Known::XTollgateTimeout
        } else {
            Known::XTollgate
        }
    } else if starts(name, b"x-forwarded-") {
        if is(name, b"x-forwarded-for") {
            Known::XForwardedFor
        } else {
            Known::XForwarded
        }
    } else if starts(name, b"x-ratelimit-") {
        Known::XRatelimit
    } else {
        Known::Other
    }
}

/// Compares in arrays of a constant length, which the compiler turns into a few wide instructions.
#[inline(always)]
fn is<const N: usize>(name: &[u8], lower: &[u8; N]) -> bool {
    let Ok(name) = <&[u8; N]>::try_from(name) else {
        return false;
    };
    let mut different = 0u8;
    for i in 0..N {
        different |= name[i].to_ascii_lowercase() ^ lower[i];
    }
    different == 0
}

#[inline(always)]
fn starts<const N: usize>(name: &[u8], lower: &[u8; N]) -> bool {
    name.first_chunk::<N>().is_some_and(|head| is(head, lower))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_only_whole() {
        let table = [
            ("accept", Known::Accept),
            ("accept-encoding", Known::AcceptEncoding),
            ("access-control-request-headers", Known::AccessControlRequestHeaders),
            ("access-control-request-method", Known::AccessControlRequestMethod),
            ("anthropic-version", Known::AnthropicVersion),
            ("api-key", Known::ApiKey),
            ("authorization", Known::Authorization),
            ("connection", Known::Connection),
            ("content-encoding", Known::ContentEncoding),
            ("content-length", Known::ContentLength),
            ("content-type", Known::ContentType),
            ("cookie", Known::Cookie),
            ("date", Known::Date),
            ("expect", Known::Expect),
            ("forwarded", Known::Forwarded),
            ("host", Known::Host),
            ("idempotency-key", Known::IdempotencyKey),
            ("keep-alive", Known::KeepAlive),
            ("openai-organization", Known::OpenaiOrganization),
            ("openai-project", Known::OpenaiProject),
            ("origin", Known::Origin),
            ("proxy-authenticate", Known::ProxyAuthenticate),
            ("proxy-authorization", Known::ProxyAuthorization),
            ("proxy-connection", Known::ProxyConnection),
            ("request-id", Known::RequestId),
            ("retry-after", Known::RetryAfter),
            ("server", Known::Server),
            ("set-cookie", Known::SetCookie),
            ("te", Known::Te),
            ("trailer", Known::Trailer),
            ("transfer-encoding", Known::TransferEncoding),
            ("upgrade", Known::Upgrade),
            ("x-api-key", Known::XApiKey),
            ("x-forwarded-proto", Known::XForwarded),
            ("x-forwarded-host", Known::XForwarded),
            ("x-forwarded-for", Known::XForwardedFor),
            ("x-goog-api-key", Known::XGoogApiKey),
            ("x-ratelimit-limit-requests", Known::XRatelimit),
            ("anthropic-ratelimit-tokens-reset", Known::XRatelimit),
            ("x-request-id", Known::XRequestId),
            ("x-tollgate-cache", Known::XTollgateCache),
            ("x-tollgate-tags", Known::XTollgateTags),
            ("x-tollgate-timeout", Known::XTollgateTimeout),
            ("x-tollgate-other", Known::XTollgate),
            ("x-tollgate-model", Known::XTollgate),
            ("x-ratelimit-abcd", Known::XRatelimit),
        ];
        let mut tags: Vec<u8> = table.iter().map(|(_, known)| *known as u8).collect();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), Known::COUNT - 1, "a tag that no name reaches");
        for (name, known) in table {
            assert_eq!(Known::of(name.as_bytes()), known, "{name}");
            assert_eq!(Known::of(name.to_ascii_uppercase().as_bytes()), known, "{name}");
        }
        for rest in 1..40 {
            let rest = "z".repeat(rest);
            for (prefix, known) in [
                ("x-tollgate-", Known::XTollgate),
                ("X-Forwarded-", Known::XForwarded),
                ("x-ratelimit-", Known::XRatelimit),
                ("anthropic-ratelimit-", Known::XRatelimit),
            ] {
                assert_eq!(Known::of(format!("{prefix}{rest}").as_bytes()), known, "of any length");
            }
        }
        for other in [
            "",
            "x",
            "hos",
            "hosts",
            "content_length",
            "content\rlength",
            "user-agent",
            "x-stainless-lang",
            "x-amzn-requestid",
        ] {
            assert_eq!(Known::of(other.as_bytes()), Known::Other, "{other}");
        }
    }
}

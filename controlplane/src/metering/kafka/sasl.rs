//! How a connection says who it is: PLAIN (RFC 4616) and SCRAM (RFC 5802, RFC 7677). Words in, words out: knows no socket.

use std::num::NonZeroU32;

use base64::{Engine, prelude::BASE64_STANDARD};
use ring::{digest, hmac, pbkdf2};
use tollgate_config::document::Mechanism;

use super::KafkaError;

/// No broker may have us work longer; RFC 7677 asks for 4096 at least, and Kafka's own default is that.
const MAX_ITERATIONS: u32 = 1_000_000;
/// Without a channel binding: `n,,` in base64.
const NO_BINDING: &str = "biws";

/// The one word of PLAIN.
pub fn plain(user: &str, password: &[u8]) -> Vec<u8> {
    [b"\0", user.as_bytes(), b"\0", password].concat()
}

/// A conversation: `first`, then `answer` to what the server says, then `verify`.
pub struct Scram {
    kind: Kind,
    nonce: String,
    first_bare: String,
    password: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Kind {
    digest: &'static digest::Algorithm,
    hmac: hmac::Algorithm,
    pbkdf2: pbkdf2::Algorithm,
}

/// What the server must say in the end.
pub struct Expected(Vec<u8>);

impl Scram {
    /// `nonce`: random, and no comma in it.
    pub fn new(mechanism: Mechanism, user: &str, password: &[u8], nonce: String) -> Self {
        let kind = match mechanism {
            Mechanism::ScramSha512 => Kind {
                digest: &digest::SHA512,
                hmac: hmac::HMAC_SHA512,
                pbkdf2: pbkdf2::PBKDF2_HMAC_SHA512,
            },
            Mechanism::ScramSha256 | Mechanism::Plain => Kind {
                digest: &digest::SHA256,
                hmac: hmac::HMAC_SHA256,
                pbkdf2: pbkdf2::PBKDF2_HMAC_SHA256,
            },
        };
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self {
            kind,
            first_bare: format!("n={user},r={nonce}"),
            nonce,
            password: password.to_vec(),
        }
    }

    pub fn first(&self) -> Vec<u8> {
        format!("n,,{}", self.first_bare).into_bytes()
    }

    pub fn answer(&self, said: &[u8]) -> Result<(Vec<u8>, Expected), KafkaError> {
        let said = std::str::from_utf8(said).map_err(|_| KafkaError::Garbled)?;
        let part = |name: &str| {
            said.split(',')
                .find_map(|part| part.strip_prefix(name))
                .ok_or(KafkaError::Garbled)
        };
        let (nonce, salt, iterations) = (part("r=")?, part("s=")?, part("i=")?);
        // Another nonce than ours is an answer to somebody else.
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(KafkaError::Garbled);
        }
        let salt = BASE64_STANDARD.decode(salt).map_err(|_| KafkaError::Garbled)?;
        let iterations = iterations.parse::<u32>().ok().filter(|count| *count <= MAX_ITERATIONS);
        let iterations = iterations.and_then(NonZeroU32::new).ok_or(KafkaError::Garbled)?;
        let mut salted = vec![0; self.kind.digest.output_len()];
        pbkdf2::derive(self.kind.pbkdf2, iterations, &salt, &self.password, &mut salted);
        let client_key = self.sign(&salted, b"Client Key");
        let stored_key = digest::digest(self.kind.digest, client_key.as_ref());
        let without_proof = format!("c={NO_BINDING},r={nonce}");
        let all = format!("{},{said},{without_proof}", self.first_bare);
        let signature = self.sign(stored_key.as_ref(), all.as_bytes());
        let proof: Vec<u8> = client_key
            .as_ref()
            .iter()
            .zip(signature.as_ref())
            .map(|(a, b)| a ^ b)
            .collect();
        let server_key = self.sign(&salted, b"Server Key");
        let expected = self.sign(server_key.as_ref(), all.as_bytes()).as_ref().to_vec();
        let answer = format!("{without_proof},p={}", BASE64_STANDARD.encode(proof));
        Ok((answer.into_bytes(), Expected(expected)))
    }

    fn sign(&self, key: &[u8], what: &[u8]) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(self.kind.hmac, key), what)
    }
}

impl Expected {
    /// Whoever does not know the password cannot say this.
    pub fn verify(&self, said: &[u8]) -> Result<(), KafkaError> {
        let signature = said
            .strip_prefix(b"v=")
            .and_then(|text| BASE64_STANDARD.decode(text).ok());
        match signature {
            Some(signature) if signature == self.0 => Ok(()),
            _ => Err(KafkaError::Refused(
                "the broker does not know the password of `sasl` itself".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use tollgate_config::document::Mechanism;

    use super::{Scram, plain};

    const SERVER_FIRST: &[u8] =
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    /// RFC 7677, 3.
    #[test]
    fn a_conversation_goes_as_the_standard_has_it() {
        let scram = Scram::new(
            Mechanism::ScramSha256,
            "user",
            b"pencil",
            "rOprNGfwEbeRWgbNEkqO".to_owned(),
        );
        assert_eq!(scram.first(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let (answer, expected) = scram.answer(SERVER_FIRST).expect("an answer");
        assert_eq!(
            String::from_utf8(answer).expect("text"),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(
            expected
                .verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
                .is_ok()
        );
        assert!(
            expected
                .verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=")
                .is_err()
        );
        assert!(expected.verify(b"e=other-error").is_err());
    }

    #[test]
    fn what_is_no_answer_to_it_is_refused() {
        let scram = Scram::new(Mechanism::ScramSha512, "a=b,c", b"p", "mine".to_owned());
        assert_eq!(scram.first(), b"n,,n=a=3Db=2Cc,r=mine");
        for said in [
            &b"r=yours,s=AAAA,i=4096"[..],
            b"r=mine,s=AAAA,i=4096",
            b"r=mineandyours,s=*,i=4096",
            b"r=mineandyours,s=AAAA,i=0",
            b"r=mineandyours,s=AAAA,i=4000000000",
            b"s=AAAA,i=4096",
            b"\xff",
            b"",
        ] {
            assert!(scram.answer(said).is_err(), "{said:?}");
        }
        assert!(scram.answer(b"r=mineandyours,s=AAAA,i=4096").is_ok());
        assert_eq!(plain("u", b"p"), b"\0u\0p");
    }
}

//! HTTP over the control socket: what every command that talks to a running control plane uses.

use std::path::PathBuf;

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, body::Bytes, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::cli::CliError;

pub struct Client {
    socket: PathBuf,
}

/// A request in the making.
pub struct Call {
    pub method: Method,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Call {
    pub fn new(method: Method, path: impl Into<String>) -> Call {
        Call {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn get(path: impl Into<String>) -> Call {
        Call::new(Method::GET, path)
    }

    pub fn post(path: impl Into<String>) -> Call {
        Call::new(Method::POST, path)
    }

    pub fn json(mut self, body: &Value) -> Call {
        self.body = body.to_string().into_bytes();
        self
    }

    pub fn header(mut self, name: &'static str, value: Option<String>) -> Call {
        // What cannot stand in a header (a reason with line breaks) is sent as spaces.
        let clean = |value: String| value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.headers.extend(value.map(|value| (name, clean(value))));
        self
    }
}

impl Client {
    pub fn new(socket: PathBuf) -> Client {
        Client { socket }
    }

    /// The answer's JSON; any refusal becomes an error with the problem's text.
    pub async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, CliError> {
        let body = self.bytes(call).await?;
        serde_json::from_slice(&body).map_err(|e| CliError::failed(format!("the answer cannot be read: {e}")))
    }

    pub async fn bytes(&self, call: Call) -> Result<Bytes, CliError> {
        let body = self.stream(call).await?;
        let collected = body
            .collect()
            .await
            .map_err(|e| CliError::failed(format!("the answer broke off: {e}")))?;
        Ok(collected.to_bytes())
    }

    /// The body as it comes (events).
    pub async fn stream(&self, call: Call) -> Result<Incoming, CliError> {
        let unreachable = |error: &dyn std::fmt::Display| {
            let socket = self.socket.display();
            CliError::Unreachable(format!(
                "cannot reach the control socket {socket}: {error}; start `tollgate up`, or name the socket with \
                 --control-socket"
            ))
        };
        let stream = UnixStream::connect(&self.socket).await.map_err(|e| unreachable(&e))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| unreachable(&e))?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header("host", "tollgate");
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(call.body)));
        let request = request.map_err(|e| CliError::bad_input(format!("this cannot be asked: {e}")))?;
        let response = sender.send_request(request).await.map_err(|e| unreachable(&e))?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let status = response.status().as_u16();
        let body = response
            .into_body()
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        Err(CliError::refused(
            status,
            serde_json::from_slice(&body).unwrap_or_default(),
        ))
    }
}

/// A JSON pointer as the rest of a URL's path: all but unreserved characters percent-encoded.
pub fn pointer_path(pointer: &str) -> String {
    let mut path = String::with_capacity(pointer.len());
    for byte in pointer.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    #[test]
    fn pointers_survive_the_path() {
        assert_eq!(
            super::pointer_path("/models/openai~1*/a b?"),
            "/models/openai~1%2A/a%20b%3F"
        );
    }
}

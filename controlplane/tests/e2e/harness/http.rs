//! HTTP/1.1 over a plain blocking socket: small enough to send anything and to see exactly what came back.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::Value;

/// How long a read may wait before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By its framing.
    Whole,
    /// The connection ended first.
    Cut,
}

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub ended: Ended,
}

impl Response {
    /// The first header of that name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|bad| panic!("{bad} in {}: {}", self.status, self.text()))
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        assert_eq!(self.ended, Ended::Whole, "cut: {}", self.text());
        self
    }

    /// `error.code` of an OpenAI error, `error.type` of an Anthropic one.
    pub fn error_code(&self) -> String {
        let json = self.json();
        let code = json["error"]["code"].as_str().or(json["error"]["type"].as_str());
        code.unwrap_or_default().to_owned()
    }
}

pub trait Socket: Read + Write + Send {}
impl<T: Read + Write + Send> Socket for T {}

/// A connection, and the bytes read from it that are not yet used.
pub struct Client {
    pub socket: Box<dyn Socket>,
    pub buf: Vec<u8>,
}

impl Client {
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|bad| panic!("cannot connect to {address}: {bad}"))
    }

    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        Ok(Self::over(socket))
    }

    pub fn over(socket: impl Socket + 'static) -> Self {
        Self {
            socket: Box::new(socket),
            buf: Vec::new(),
        }
    }

    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) -> &mut Self {
        self.socket.write_all(bytes).expect("the peer takes what is sent");
        self
    }

    /// Reads more; `false` when the connection has ended (an end by reset counts).
    #[track_caller]
    pub fn read_more(&mut self) -> bool {
        let mut piece = [0; 64 * 1024];
        match self.socket.read(&mut piece) {
            Ok(0) => false,
            Ok(bytes) => {
                self.buf.extend_from_slice(&piece[..bytes]);
                true
            }
            Err(bad) if bad.kind() == io::ErrorKind::WouldBlock => panic!("nothing came for {PATIENCE:?}"),
            Err(_) => false,
        }
    }

    /// Reads until `needle` has arrived, and answers everything up to its end. `None`: the connection ended first.
    #[track_caller]
    pub fn read_until(&mut self, needle: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buf.windows(needle.len()).position(|window| window == needle) {
                return Some(self.buf.drain(..at + needle.len()).collect());
            }
            if !self.read_more() {
                return None;
            }
        }
    }

    /// Reads one final answer; `None` when the connection ended before any byte of it.
    #[track_caller]
    pub fn read(&mut self) -> Option<Response> {
        self.read_answer("POST")
    }

    /// The same for a connection that may end anywhere, its head included.
    pub fn read_or_cut(&mut self) -> Result<Response, String> {
        while !self.buf.windows(4).any(|window| window == b"\r\n\r\n") {
            if !self.read_more() {
                return Err(format!("closed after {} bytes of a head", self.buf.len()));
            }
        }
        self.read().ok_or("closed without an answer".to_owned())
    }

    #[track_caller]
    pub fn read_answer(&mut self, method: &str) -> Option<Response> {
        let Some(head) = self.read_until(b"\r\n\r\n") else {
            assert!(
                self.buf.is_empty(),
                "a head cut short: {}",
                String::from_utf8_lossy(&self.buf)
            );
            return None;
        };
        let head = String::from_utf8(head).expect("a head in ASCII");
        let (status, headers) = split_head(&head);
        if status == 100 {
            return self.read_answer(method);
        }
        let mut answer = Response {
            status,
            headers,
            body: Vec::new(),
            ended: Ended::Whole,
        };
        let bodiless = method == "HEAD" || status == 204 || status == 304;
        if !bodiless {
            self.read_body(&mut answer);
        }
        Some(answer)
    }

    fn read_body(&mut self, answer: &mut Response) {
        if answer
            .header("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            return self.read_chunks(answer);
        }
        let length = answer
            .header("content-length")
            .map(|value| value.parse::<usize>().expect("a length"));
        while length.is_none_or(|length| self.buf.len() < length) && self.read_more() {}
        let end = length.unwrap_or(self.buf.len()).min(self.buf.len());
        answer.body = self.buf.drain(..end).collect();
        if length.is_some_and(|length| length > end) {
            answer.ended = Ended::Cut;
        }
    }

    fn read_chunks(&mut self, answer: &mut Response) {
        answer.ended = Ended::Cut;
        loop {
            let Some(line) = self.read_until(b"\r\n") else { return };
            let line = String::from_utf8(line).expect("a chunk's size");
            let size = usize::from_str_radix(line.trim_end(), 16).expect("a chunk's size");
            while self.buf.len() < size + 2 {
                if !self.read_more() {
                    let part = self.buf.len().min(size);
                    answer.body.extend(self.buf.drain(..part));
                    return;
                }
            }
            answer.body.extend(self.buf.drain(..size));
            assert_eq!(
                self.buf.drain(..2).collect::<Vec<_>>(),
                b"\r\n",
                "a chunk ends with CRLF"
            );
            if size == 0 {
                answer.ended = Ended::Whole;
                return;
            }
        }
    }

    /// Waits for the peer to close, and answers what it sent before.
    #[track_caller]
    pub fn read_to_close(&mut self) -> Vec<u8> {
        while self.read_more() {}
        std::mem::take(&mut self.buf)
    }
}

fn split_head(head: &str) -> (u16, Vec<(String, String)>) {
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status line: {status_line:?}"));
    let headers = lines.filter_map(|line| line.split_once(':'));
    (
        status,
        headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
    )
}

/// A request as bytes. `headers` without `host` and `content-length`, which are added.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nhost: gateway.test\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() || method == "POST" || method == "PUT" {
        bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// One request on a connection of its own.
#[track_caller]
pub fn call(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut client = Client::connect(address);
    let answer = client.send(&request(method, target, headers, body)).read_answer(method);
    answer.unwrap_or_else(|| panic!("{method} {target}: closed without an answer"))
}

/// What a server of a test's own is asked: the head and the body of the next request; `None` when the connection ends first.
pub fn asked(stream: &mut impl Read) -> Option<(String, String)> {
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let bytes = stream.read(&mut piece).ok().filter(|bytes| *bytes > 0)?;
        text.extend_from_slice(&piece[..bytes]);
        let said = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = said.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}

/// One request over a Unix socket; `None` when nobody answers there.
pub fn call_unix(path: &Path, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Response> {
    let socket = UnixStream::connect(path).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut client = Client::over(socket);
    client.socket.write_all(&request(method, target, headers, body)).ok()?;
    client.read_answer(method)
}

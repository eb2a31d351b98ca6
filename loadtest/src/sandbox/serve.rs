//! A thread's connections: reads requests, has answers composed, sends them as planned.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tollgate_wire::{
    head::{Framing, Known, Method, RequestHead, RequestView},
    http1::{chunked, read},
    json::edit,
};

use super::{
    answer::{self, Answer, Call},
    arrivals::{Arrivals, Ending, Ticket},
    ask::{self, Dialect},
    fault::{Stop, Wishes},
    memo::Memo,
    openai, reply,
    scenario::{Scenario, Stage},
};

/// A request body over this is refused.
const MAX_BODY_BYTES: u64 = 64 * 1024 * 1024;
const READ_BYTES: usize = 8 * 1024;
/// A read buffer that has grown over this is given back between requests.
const KEPT_BYTES: usize = 256 * 1024;

/// What a thread serves from.
pub struct Server {
    thread: usize,
    arrivals: Arc<Arrivals>,
    stage: Arc<Stage>,
    local: RefCell<Local>,
}

#[derive(Default)]
struct Local {
    memo: Memo,
    scenario: Arc<Scenario>,
    generation: u64,
    requests: u64,
}

impl Server {
    pub fn new(thread: usize, arrivals: Arc<Arrivals>, stage: Arc<Stage>) -> Self {
        Self {
            thread,
            arrivals,
            stage,
            local: RefCell::default(),
        }
    }
}

/// Accepts for as long as the process lives.
pub async fn accept(listener: TcpListener, server: Server, tls: Option<TlsAcceptor>) {
    let server = Rc::new(server);
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // Out of descriptors, most likely: one of ours has to close first.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let server = server.clone();
        let tls = tls.clone();
        tokio::task::spawn_local(async move {
            let number = server.arrivals.connection_opened();
            // Unset, the last small write of a stream waits for an acknowledgement; failing that it is only slower.
            let _ = socket.set_nodelay(true);
            match tls {
                None => Connection::new(socket, &server, number).run().await,
                Some(tls) => {
                    if let Ok(socket) = tls.accept(socket).await {
                        Connection::new(socket, &server, number).run().await;
                    }
                }
            }
            server.arrivals.connection_closed();
        });
    }
}

/// A connection that can be ended by a reset.
trait Peer: AsyncRead + AsyncWrite + Unpin {
    fn reset_on_close(&self);
}

impl Peer for TcpStream {
    fn reset_on_close(&self) {
        // Refused only for a socket that is gone already.
        let _ = self.set_zero_linger();
    }
}

impl Peer for TlsStream<TcpStream> {
    fn reset_on_close(&self) {
        self.get_ref().0.reset_on_close();
    }
}

/// The connection is over: the peer left, or we do.
struct Over;

struct Connection<'a, P> {
    peer: P,
    server: &'a Server,
    number: u64,
    buf: Vec<u8>,
    head: RequestHead,
    /// A chunked body, decoded.
    body: Vec<u8>,
    answer: Answer,
}

impl<'a, P: Peer> Connection<'a, P> {
    fn new(peer: P, server: &'a Server, number: u64) -> Self {
        Self {
            peer,
            server,
            number,
            buf: Vec::new(),
            head: RequestHead::default(),
            body: Vec::new(),
            answer: Answer::default(),
        }
    }

    async fn run(mut self) {
        while self.exchange().await.is_ok() {}
        // Says goodbye in TLS; a peer that is gone does not mind.
        let _ = self.peer.shutdown().await;
    }

    /// One request and its answer.
    async fn exchange(&mut self) -> Result<(), Over> {
        self.read_head().await?;
        let used = self.read_body().await?;
        self.answer.clear();
        self.answer.close = !self.head.keep_alive;
        let ticket = self.compose();
        let ending = self.send().await;
        if let Some(ticket) = ticket {
            self.server.arrivals.ended(ticket, ending);
        }
        if ending != Ending::Answered || self.answer.close {
            return Err(Over);
        }
        self.buf.drain(..used);
        if self.buf.capacity() > KEPT_BYTES {
            self.buf.shrink_to(READ_BYTES);
        }
        Ok(())
    }

    async fn read_more(&mut self) -> Result<(), Over> {
        self.buf.reserve(READ_BYTES);
        match self.peer.read_buf(&mut self.buf).await {
            Ok(0) | Err(_) => Err(Over),
            Ok(_) => Ok(()),
        }
    }

    async fn read_head(&mut self) -> Result<(), Over> {
        let limits = read::Limits::default();
        loop {
            if !self.buf.is_empty() {
                match read::request(&self.buf, &limits, &mut self.head) {
                    Ok(read::Progress::Complete) => return Ok(()),
                    Ok(read::Progress::Incomplete) => {}
                    Err(bad) => return self.refuse(bad.status, bad.reason).await,
                }
            }
            self.read_more().await?;
        }
    }

    async fn refuse(&mut self, status: u16, reason: &str) -> Result<(), Over> {
        self.answer.clear();
        self.answer.close = true;
        self.answer.json(status, openai_error(status, reason).as_slice());
        // The connection ends either way.
        let _ = self.peer.write_all(&self.answer.bytes).await;
        Err(Over)
    }

    /// Reads the body, and answers where the request ends in `buf`.
    async fn read_body(&mut self) -> Result<usize, Over> {
        self.body.clear();
        let start = self.head.len;
        if self.head.expect_continue && self.buf.len() == start {
            self.peer
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await
                .map_err(|_| Over)?;
        }
        match self.head.framing {
            Framing::None | Framing::UntilClose => Ok(start),
            Framing::Length(length) if length > MAX_BODY_BYTES => {
                self.refuse(413, "the body is too large").await.map(|()| start)
            }
            Framing::Length(length) => {
                let end = start + length as usize;
                self.buf.reserve(end.saturating_sub(self.buf.len()));
                while self.buf.len() < end {
                    self.read_more().await?;
                }
                Ok(end)
            }
            Framing::Chunked => self.read_chunks(start).await,
        }
    }

    async fn read_chunks(&mut self, start: usize) -> Result<usize, Over> {
        let mut decoder = chunked::Decoder::default();
        let mut at = start;
        loop {
            match decoder.step(&self.buf[at..]) {
                Ok(chunked::Step::Data { data, consumed }) => {
                    self.body.extend_from_slice(data.of(&self.buf[at..]));
                    at += consumed;
                }
                Ok(chunked::Step::End { consumed }) => return Ok(at + consumed),
                Ok(chunked::Step::More) => {
                    at = self.buf.len();
                    self.read_more().await?;
                }
                Err(bad) => return self.refuse(400, bad.0).await.map(|()| at),
            }
            if self.body.len() as u64 > MAX_BODY_BYTES {
                return self.refuse(413, "the body is too large").await.map(|()| at);
            }
        }
    }

    /// Composes the answer; requests about the sandbox itself are not recorded.
    fn compose(&mut self) -> Option<Ticket> {
        let body = match self.head.framing {
            Framing::Length(length) => &self.buf[self.head.len..self.head.len + length as usize],
            _ => &self.body[..],
        };
        let view = RequestView {
            head: &self.head,
            buf: &self.buf,
        };
        if view.path().starts_with(b"/_sandbox/") {
            compose_own(self.server, view, body, &mut self.answer);
            return None;
        }
        let head_bytes = &self.buf[..self.head.len];
        let ticket = self
            .server
            .arrivals
            .record(self.server.thread, self.number, head_bytes, body);
        match (self.head.method, answer::dialect_of(view.path())) {
            (Method::Post, Some(dialect)) => compose_chat(self.server, dialect, view, body, &mut self.answer),
            (Method::Get | Method::Head, None) => compose_models(view, &mut self.answer),
            _ => self
                .answer
                .json(404, &openai_error(404, "the sandbox has no such path")),
        }
        if self.head.method == Method::Head {
            let end = self.answer.bytes.windows(4).position(|four| four == b"\r\n\r\n");
            self.answer.bytes.truncate(end.map_or(0, |end| end + 4));
        }
        Some(ticket)
    }

    async fn send(&mut self) -> Ending {
        if self.answer.delay_ns > 0 {
            let due = Instant::now() + Duration::from_nanos(self.answer.delay_ns);
            if self.wait(Some(due)).await.is_err() {
                return Ending::ClientGone;
            }
        }
        let length = self.answer.bytes.len();
        let limit = self.answer.stop.map_or(length, |(bytes, _)| length.min(bytes as usize));
        if self.send_pieces(limit).await.is_err() {
            return Ending::ClientGone;
        }
        match self.answer.stop {
            // An answer shorter than the fault's offset is whole.
            Some((bytes, _)) if bytes as usize > length => Ending::Answered,
            None => Ending::Answered,
            Some((_, Stop::Stall)) => {
                // Ends only by the peer's leaving.
                let _ = self.wait(None).await;
                Ending::ClientGone
            }
            Some((_, Stop::Close)) => Ending::Faulted,
            Some((_, Stop::Reset)) => {
                self.peer.reset_on_close();
                Ending::Faulted
            }
        }
    }

    async fn send_pieces(&mut self, limit: usize) -> Result<(), Over> {
        let mut due = Instant::now();
        let mut sent = 0;
        for index in 0..self.answer.pieces.len() {
            let piece = self.answer.pieces[index];
            due += Duration::from_nanos(piece.wait_ns);
            if due > Instant::now() {
                self.wait(Some(due)).await?;
            }
            let end = piece.end.min(limit);
            self.peer
                .write_all(&self.answer.bytes[sent..end])
                .await
                .map_err(|_| Over)?;
            self.peer.flush().await.map_err(|_| Over)?;
            sent = end;
            if sent == limit {
                return Ok(());
            }
        }
        self.peer
            .write_all(&self.answer.bytes[sent..limit])
            .await
            .map_err(|_| Over)?;
        self.peer.flush().await.map_err(|_| Over)
    }

    /// Waits until `due`, or for ever; `Over` as soon as the peer leaves. What it sends meanwhile is kept.
    async fn wait(&mut self, due: Option<Instant>) -> Result<(), Over> {
        loop {
            self.buf.reserve(READ_BYTES);
            let read = self.peer.read_buf(&mut self.buf);
            let Some(due) = due else {
                match read.await {
                    Ok(0) | Err(_) => return Err(Over),
                    Ok(_) => continue,
                }
            };
            tokio::select! {
                read = read => if matches!(read, Ok(0) | Err(_)) { return Err(Over) },
                () = tokio::time::sleep_until(due) => return Ok(()),
            }
        }
    }
}

fn compose_chat(server: &Server, dialect: Dialect, view: RequestView, body: &[u8], answer: &mut Answer) {
    let mut local = server.local.borrow_mut();
    let Local {
        memo,
        scenario,
        generation,
        requests,
    } = &mut *local;
    server.stage.refresh(generation, scenario);
    *requests += 1;
    let id = reply::hex((server.thread as u64) << 48 | *requests);
    let is_plain = scenario.is_empty() && view.head.keep_alive && !view.head.http_1_0 && !has_wishes(view, dialect);
    if is_plain && let Some((known, id_at)) = memo.get(dialect, body) {
        answer.bytes.extend_from_slice(known);
        answer.bytes[id_at..id_at + id.len()].copy_from_slice(&id);
        return;
    }
    let ask = ask::read(dialect, body);
    let ruled = ask.as_ref().map(|ask| scenario.wishes(&ask.model)).unwrap_or_default();
    let mut wishes = match answer::wishes(ruled, view, &ask) {
        Ok(wishes) => wishes,
        Err(reason) => {
            let call = Call {
                dialect,
                view,
                wishes: &Wishes::default(),
                request_id: &id,
            };
            return answer.error(&call, 400, &reason);
        }
    };
    server.stage.count_failure(&mut wishes);
    let is_valid = ask.is_ok();
    answer.chat(
        &Call {
            dialect,
            view,
            wishes: &wishes,
            request_id: &id,
        },
        ask,
    );
    if is_plain && is_valid && wishes == Wishes::default() {
        memo.put(dialect, body, &answer.bytes, answer.id_at);
    }
}

/// Whether headers may change the answer: wishes, or the absence of one that Anthropic requires.
fn has_wishes(view: RequestView, dialect: Dialect) -> bool {
    let asks = view.head.fields.lines.iter().any(|field| {
        field.known == Known::Other
            && field.name.len() > 10
            && field.name.of(view.buf)[..10].eq_ignore_ascii_case(b"x-sandbox-")
    });
    asks || dialect == Dialect::Anthropic && view.get(Known::AnthropicVersion).is_none()
}

fn compose_models(view: RequestView, answer: &mut Answer) {
    let mut body = Vec::new();
    let path = view.path();
    if path.ends_with(b"/models") {
        openai::models(&mut body);
        return answer.json(200, &body);
    }
    match path.windows(8).position(|eight| eight == b"/models/") {
        Some(at) => {
            let mut id = Vec::new();
            edit::write_string(&mut id, &String::from_utf8_lossy(&path[at + 8..]));
            openai::model(&mut body, &id);
            answer.json(200, &body);
        }
        None => answer.json(404, &openai_error(404, "the sandbox has no such path")),
    }
}

/// `/_sandbox/…`: what tests read and set.
fn compose_own(server: &Server, view: RequestView, body: &[u8], answer: &mut Answer) {
    match (view.head.method, view.path()) {
        (Method::Get, b"/_sandbox/arrivals") => answer.json(200, server.arrivals.report().to_string().as_bytes()),
        (Method::Post, b"/_sandbox/reset") => {
            server.arrivals.reset();
            answer.json(200, b"{}");
        }
        (Method::Put, b"/_sandbox/scenario") => match Scenario::parse(body) {
            Ok(scenario) => {
                server.stage.replace(scenario);
                answer.json(200, b"{}");
            }
            Err(reason) => answer.json(400, &openai_error(400, &reason)),
        },
        _ => answer.json(404, &openai_error(404, "the sandbox has arrivals, reset and scenario")),
    }
}

fn openai_error(status: u16, message: &str) -> Vec<u8> {
    let (mut message_json, mut body) = (Vec::new(), Vec::new());
    edit::write_string(&mut message_json, message);
    openai::error(&mut body, status, &message_json);
    body
}

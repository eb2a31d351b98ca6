//! A thread's connections: reads requests, has answers composed, sends them as planned.

use std::{cell::RefCell, path::Path, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tollgate_wire::{
    head::{Framing, Method, RequestHead, RequestView},
    http1::{chunked, read},
};

use super::{
    answer::Answer,
    arrivals::{Arrivals, Ending, Ticket},
    fault::Stop,
    provider::{Provider, plain_error},
    scenario::Scenario,
    stage::Stage,
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
    provider: RefCell<Provider>,
}

impl Server {
    pub fn new(thread: usize, arrivals: Arc<Arrivals>, stage: Arc<Stage>) -> Self {
        Self {
            thread,
            arrivals,
            stage,
            provider: RefCell::new(Provider::new(thread)),
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
        self.answer.json(status, &plain_error(status, reason));
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
        let mut provider = self.server.provider.borrow_mut();
        provider.answer(&self.server.stage, view, body, &mut self.answer);
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

/// `/_sandbox/…`: what tests read and set.
fn compose_own(server: &Server, view: RequestView, body: &[u8], answer: &mut Answer) {
    match (view.head.method, view.path()) {
        (Method::Get, b"/_sandbox/arrivals") => answer.json(200, server.arrivals.report().to_string().as_bytes()),
        (Method::Post, b"/_sandbox/reset") => {
            server.arrivals.reset();
            answer.json(200, b"{}");
        }
        (Method::Put, b"/_sandbox/scenario") => match Scenario::parse(body, Some(Path::new("."))) {
            Ok(scenario) => {
                server.stage.replace(scenario);
                answer.json(200, b"{}");
            }
            Err(reason) => answer.json(400, &plain_error(400, &reason)),
        },
        _ => answer.json(404, &plain_error(404, "the sandbox has arrivals, reset and scenario")),
    }
}

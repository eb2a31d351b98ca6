//! The ring against real sockets: every verb, and what is left when one is stopped.

#![allow(clippy::disallowed_methods)] // Plain sockets and threads stand for the other end.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    rc::Rc,
};

use super::{Event, Message, OnSent, Ring, Shared, Token, UnderWay, buffers::BUFFER_BYTES, socket};

fn pair() -> (OwnedFd, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0.into(), client)
}

/// Turns until `pick` takes an event; every turn waits for something to happen.
fn until<T>(ring: &mut Ring, mut pick: impl FnMut(&mut Ring, Event) -> Option<T>) -> T {
    for _ in 0..1_000 {
        ring.turn(0, Some(10_000_000_000)).unwrap();
        while let Some(event) = ring.next() {
            if let Some(found) = pick(ring, event) {
                return found;
            }
        }
    }
    panic!("the event never came");
}

#[test]
fn a_token_keeps_its_parts() {
    let token = Token::new(2, 0xf_ffff, u32::MAX);
    assert_eq!(
        (token.kind(), token.generation(), token.index()),
        (2, 0xf_ffff, u32::MAX)
    );
}

#[test]
fn connects_accepts_receives_and_sends() {
    let mut ring = Ring::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let client = socket::stream(&address).unwrap();
    ring.accept(listener.as_raw_fd(), Token::new(0, 0, 7));
    ring.connect(client.as_raw_fd(), &address, Token::new(2, 0, 9));
    let (mut accepted, mut connected) = (None, false);
    let server = until(&mut ring, |_, event| {
        match event {
            Event::Accepted { token, result, .. } => {
                assert_eq!(token.index(), 7);
                accepted = Some(result.unwrap());
            }
            Event::Connected { token, result } => {
                assert_eq!(token.index(), 9);
                result.unwrap();
                connected = true;
            }
            _ => {}
        }
        connected.then(|| accepted.take()).flatten()
    });
    assert!(socket::accepted(&server).unwrap().ip().is_loopback());
    ring.receive(server.as_raw_fd(), Token::new(1, 0, 1));
    ring.send(
        client.as_raw_fd(),
        Message::of(b"hello".to_vec()),
        Token::new(2, 0, 9),
        OnSent::Act,
    );
    let heard = until(&mut ring, |_, event| match event {
        Event::Received { data, .. } => Some(data.to_vec()),
        _ => None,
    });
    assert_eq!(heard, b"hello");
    ring.close(client, Token::new(2, 0, 9), UnderWay::default());
    until(&mut ring, |_, event| {
        matches!(event, Event::Closed { error: None, .. }).then_some(())
    });
}

#[test]
fn a_message_of_shared_pieces_arrives_whole_at_a_slow_reader() {
    let mut ring = Ring::new().unwrap();
    let (server, mut client) = pair();
    let body: Rc<Vec<u8>> = Rc::new((0..8 << 20).map(|i: u32| (i % 251) as u8).collect());
    let own = b"headMIDDLEtail".to_vec();
    let cuts = vec![(4, 0..5 << 20), (10, 5 << 20..8 << 20)];
    let message = Message {
        own,
        shared: Some(Shared {
            body: Rc::clone(&body),
            cuts,
        }),
    };
    let expected = [b"head", &body[..5 << 20], b"MIDDLE", &body[5 << 20..], b"tail"].concat();
    let (full, is_full) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        // Not before the socket was full: a reader that keeps up lets everything through at once.
        is_full.recv().unwrap();
        let mut all = vec![0; expected.len()];
        client.read_exact(&mut all).unwrap();
        assert!(all == expected);
    });
    ring.send(server.as_raw_fd(), message, Token::new(1, 0, 0), OnSent::Act);
    let mut partial = 0;
    until(&mut ring, |_, event| match event {
        Event::Sending { .. } => {
            partial += 1;
            full.send(()).ok();
            None
        }
        Event::Sent { result, .. } => {
            result.unwrap();
            Some(())
        }
        _ => None,
    });
    reader.join().unwrap();
    assert!(partial > 0, "8 MiB cannot fit the socket at once");
    assert_eq!(Rc::strong_count(&body), 1, "the message came back");
}

#[test]
fn a_send_nobody_waits_for_ends_a_sleep_only_when_it_did_not_fit() {
    let mut ring = Ring::new().unwrap();
    let (server, mut client) = pair();
    let token = Token::new(1, 0, 0);
    // It fits: the next event is the answer to it, and its own end is told in the same turn.
    ring.receive(server.as_raw_fd(), token);
    ring.send(
        server.as_raw_fd(),
        Message::of(b"ping".to_vec()),
        token,
        OnSent::Nothing,
    );
    let echo = std::thread::spawn(move || {
        let mut heard = [0; 4];
        client.read_exact(&mut heard).unwrap();
        client.write_all(&heard).unwrap();
        client
    });
    ring.turn(0, None).unwrap();
    let events: Vec<Event> = std::iter::from_fn(|| ring.next()).collect();
    let told = matches!(&events[..], [Event::Sent { .. }, Event::Received { .. }]);
    assert!(told, "{events:?}");
    // Nobody reads: the turn must end although nothing else ever happens.
    let client = echo.join().unwrap();
    ring.send(
        server.as_raw_fd(),
        Message::of(vec![7; 16 << 20]),
        token,
        OnSent::Nothing,
    );
    ring.turn(0, None).unwrap();
    assert!(matches!(ring.next(), Some(Event::Sending { .. })));
    drop(client);
}

#[test]
fn the_timer_stands_from_turn_to_turn_and_moves_earlier() {
    let mut ring = Ring::new().unwrap();
    let (server, mut client) = pair();
    let token = Token::new(1, 0, 0);
    ring.receive(server.as_raw_fd(), token);
    client.write_all(b"x").unwrap();
    // An hour: what was received ends this turn.
    ring.turn(0, Some(3_600_000_000_000)).unwrap();
    assert!(matches!(ring.next(), Some(Event::Received { .. })));
    // A millisecond: ends although the hour stood.
    ring.turn(0, Some(1_000_000)).unwrap();
    assert!(ring.next().is_none());
    // Armed anew after it fired.
    ring.turn(2_000_000, Some(3_000_000)).unwrap();
    assert!(ring.next().is_none());
}

#[test]
fn a_stopped_receive_ends_and_can_begin_again() {
    let mut ring = Ring::new().unwrap();
    let (server, mut client) = pair();
    let token = Token::new(1, 3, 5);
    ring.receive(server.as_raw_fd(), token);
    ring.stop_receive(token);
    until(&mut ring, |_, event| {
        matches!(event, Event::ReceiveStopped { token: t } if t == token).then_some(())
    });
    client.write_all(b"again").unwrap();
    ring.receive(server.as_raw_fd(), token);
    let heard = until(&mut ring, |_, event| match event {
        Event::Received { data, .. } => Some(data.to_vec()),
        _ => None,
    });
    assert_eq!(heard, b"again");
}

#[test]
fn every_buffer_comes_back() {
    let mut ring = Ring::new().unwrap();
    let (server, mut client) = pair();
    ring.receive(server.as_raw_fd(), Token::new(1, 0, 0));
    // Four times all the buffers there are.
    let total = 4 * 256 * BUFFER_BYTES;
    let writer = std::thread::spawn(move || client.write_all(&vec![7; total]).unwrap());
    let mut heard = 0;
    until(&mut ring, |ring, event| {
        match event {
            Event::Received { token, data, armed } => {
                heard += data.len();
                if !armed {
                    ring.receive(server.as_raw_fd(), token);
                }
            }
            Event::ReceiveStopped { token } => ring.receive(server.as_raw_fd(), token),
            _ => {}
        }
        (heard == total).then_some(())
    });
    writer.join().unwrap();
}

#[test]
fn a_refused_connect_says_so() {
    let mut ring = Ring::new().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = socket::stream(&address).unwrap();
    ring.connect(client.as_raw_fd(), &address, Token::new(2, 0, 0));
    let error = until(&mut ring, |_, event| match event {
        Event::Connected { result, .. } => result.err(),
        _ => None,
    });
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn what_is_left_of_a_closed_connections_send_reaches_nobody() {
    let mut ring = Ring::new().unwrap();
    let (server, client) = pair();
    let (number, token) = (server.as_raw_fd(), Token::new(1, 0, 0));
    let send = ring.send(number, Message::of(vec![7; 16 << 20]), token, OnSent::Act);
    // The socket took a part; its completion waits unread while the connection is closed.
    ring.turn(0, Some(0)).unwrap();
    let under_way = UnderWay {
        send: Some(send),
        ..UnderWay::default()
    };
    ring.close(server, token, under_way);
    ring.turn(0, Some(0)).unwrap();
    drop(client);
    let (stranger, mut other_end) = pair();
    // The lowest free number from there on: that of the closed connection.
    let same_number = rustix::io::fcntl_dupfd_cloexec(&stranger, number).unwrap();
    let result = until(&mut ring, |_, event| match event {
        Event::Sent { result, .. } => Some(result),
        _ => None,
    });
    assert!(result.is_err());
    ring.turn(0, Some(0)).unwrap();
    other_end.set_nonblocking(true).unwrap();
    let heard = other_end.read(&mut [0; 16]).map_err(|error| error.kind());
    assert_eq!(heard, Err(std::io::ErrorKind::WouldBlock));
    drop(same_number);
}

#[test]
fn a_receive_of_one_buffer_takes_no_more_until_it_is_armed_again() {
    let mut ring = Ring::new().unwrap();
    let (server, mut client) = pair();
    client.write_all(&[7; 3 * BUFFER_BYTES]).unwrap();
    let token = Token::new(1, 0, 0);
    for _ in 0..3 {
        ring.receive_once(server.as_raw_fd(), token);
        let mut received = Vec::new();
        until(&mut ring, |_, event| match event {
            Event::Received { data, armed, .. } => {
                received.push((data.len(), armed));
                Some(())
            }
            _ => None,
        });
        // Nothing else comes, though there is more: the next event is of another making.
        let (other, mut peer) = pair();
        peer.write_all(b"x").unwrap();
        ring.receive(other.as_raw_fd(), Token::new(1, 0, 1));
        let next = until(&mut ring, |_, event| match event {
            Event::Received { token, .. } => Some(token.index()),
            _ => None,
        });
        assert_eq!((&received[..], next), (&[(BUFFER_BYTES, false)][..], 1));
    }
}

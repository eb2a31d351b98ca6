//! Clients that call without pause in the background, and what they got.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::{
    gateway::{chat, with_key},
    http::{Client, Ended, request},
    until,
};

#[derive(Default)]
struct Counts {
    stop: AtomicBool,
    answered: AtomicU64,
    refused: AtomicU64,
    failures: Mutex<Vec<String>>,
}

pub struct Load {
    counts: Arc<Counts>,
    clients: Vec<JoinHandle<()>>,
}

/// What a load got: answers, refused connections, and everything else that was not a whole 200.
#[derive(Debug)]
pub struct Outcome {
    pub answered: u64,
    pub refused: u64,
    pub failures: Vec<String>,
}

impl Load {
    /// `clients` threads, each with a connection it keeps as long as it works.
    pub fn start(address: SocketAddr, clients: usize) -> Self {
        let counts = Arc::new(Counts::default());
        let clients = (0..clients).map(|_| {
            let counts = counts.clone();
            thread::spawn(move || {
                while !counts.stop.load(Ordering::Relaxed) {
                    one_connection(address, &counts)
                }
            })
        });
        Self {
            clients: clients.collect(),
            counts,
        }
    }

    /// Waits for `more` further answers.
    #[track_caller]
    pub fn await_answers(&self, more: u64) {
        let wanted = self.counts.answered.load(Ordering::Relaxed) + more;
        until("the load to be answered", 20, || {
            (self.counts.answered.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    }

    pub fn stop(self) -> Outcome {
        self.counts.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client of the load panicked");
        }
        Outcome {
            answered: self.counts.answered.load(Ordering::Relaxed),
            refused: self.counts.refused.load(Ordering::Relaxed),
            failures: std::mem::take(&mut self.counts.failures.lock().expect("failures")),
        }
    }
}

fn one_connection(address: SocketAddr, counts: &Counts) {
    let mut client = match Client::try_connect(address) {
        Ok(client) => client,
        Err(bad) => {
            counts.refused.fetch_add(1, Ordering::Relaxed);
            counts
                .failures
                .lock()
                .expect("failures")
                .push(format!("connect: {bad}"));
            return thread::sleep(std::time::Duration::from_millis(1));
        }
    };
    let ask = request(
        "POST",
        "/v1/chat/completions",
        &with_key(&[]),
        chat("openai/sandbox-small", "").as_bytes(),
    );
    while !counts.stop.load(Ordering::Relaxed) {
        if let Err(bad) = client.socket.write_all(&ask) {
            counts.failures.lock().expect("failures").push(format!("send: {bad}"));
            return;
        }
        match client.read_or_cut() {
            Ok(answer) if answer.status == 200 && answer.ended == Ended::Whole => {
                counts.answered.fetch_add(1, Ordering::Relaxed);
                if answer
                    .header("connection")
                    .is_some_and(|value| value.eq_ignore_ascii_case("close"))
                {
                    return;
                }
            }
            Ok(answer) => {
                counts
                    .failures
                    .lock()
                    .expect("failures")
                    .push(format!("{} {:?}", answer.status, answer.text()));
                return;
            }
            Err(reason) => return counts.failures.lock().expect("failures").push(reason),
        }
    }
}

//! The quick start's provider: `tollgate-loadtest sandbox`, started, adopted and restarted on the same port.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    sync::watch,
    task::JoinHandle,
};

use super::{
    process::{self, Process},
    remember, stopped,
};
use crate::{paths, plane::Plane, store::settings::SANDBOX};

const PROGRAM: &str = "tollgate-loadtest";
const START_TIMEOUT: Duration = Duration::from_secs(10);
const RESTART_DELAY: Duration = Duration::from_secs(1);
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// What is remembered of it between starts.
#[derive(Serialize, Deserialize)]
struct Record {
    address: SocketAddr,
    pid: u32,
}

pub struct Sandbox {
    plane: Arc<Plane>,
    watching: Option<(watch::Sender<bool>, JoinHandle<()>)>,
    is_adopted: bool,
}

impl Sandbox {
    pub fn new(plane: Arc<Plane>) -> Sandbox {
        Sandbox {
            plane,
            watching: None,
            is_adopted: false,
        }
    }

    /// Where an earlier start's sandbox listened.
    pub async fn remembered(&self) -> Option<SocketAddr> {
        Some(self.record().await?.address)
    }

    /// Adopts the one that still runs, or starts one, on the remembered port if that is free.
    pub async fn start(&mut self) -> Result<SocketAddr, String> {
        let record = self.record().await;
        let (process, address) = match record
            .as_ref()
            .and_then(|r| adopt(r).map(|process| (process, r.address)))
        {
            Some(adopted) => adopted,
            None => match launch(record.map(|r| r.address)).await {
                Ok(started) => started,
                Err(_) => launch(None).await?,
            },
        };
        self.is_adopted = !process.is_child();
        keep_record(&self.plane, address, process.pid()).await;
        let (stopping, stop) = watch::channel(false);
        let task = tokio::spawn(keep_running(self.plane.clone(), process, address, stop));
        self.watching = Some((stopping, task));
        Ok(address)
    }

    pub async fn stop(&mut self) {
        if let Some((stopping, task)) = self.watching.take() {
            stopping.send_replace(true);
            // A panic in the task leaves nothing more to do.
            let _ = task.await;
        }
    }

    /// After a start that failed: one that was adopted goes on for the data plane that uses it.
    pub async fn abandon(&mut self) {
        if !self.is_adopted {
            self.stop().await;
        }
    }

    async fn record(&self) -> Option<Record> {
        let text = self.plane.store.setting(SANDBOX).await.ok().flatten()?;
        serde_json::from_str(&text).ok()
    }
}

async fn keep_record(plane: &Plane, address: SocketAddr, pid: u32) {
    let record = serde_json::to_string(&Record { address, pid }).ok();
    remember(plane, SANDBOX, record).await;
}

fn adopt(record: &Record) -> Option<Process> {
    process::runs(record.pid, PROGRAM)
        .then(|| Process::adopt(record.pid).ok())
        .flatten()
}

/// Starts it and waits for its `ready HOST:PORT`.
async fn launch(address: Option<SocketAddr>) -> Result<(Process, SocketAddr), String> {
    let program =
        paths::program(PROGRAM).ok_or_else(|| format!("{PROGRAM} is neither beside this program nor in PATH"))?;
    let address = address.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let mut command = Command::new(program);
    command
        .args(["sandbox", "--address", &address.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let (process, stdout) =
        Process::start(&mut command).map_err(|e| format!("cannot start the sandbox provider: {e}"))?;
    let mut lines = BufReader::new(stdout.ok_or("the sandbox provider has no stdout")?).lines();
    let ready = tokio::time::timeout(START_TIMEOUT, async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(address) = line.strip_prefix("ready").and_then(ready_address) {
                return Some(address);
            }
        }
        None
    });
    match ready.await {
        Ok(Some(address)) => {
            // What else it says is read and dropped, so that it never waits for us.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            Ok((process, address))
        }
        _ => {
            process.signal(Signal::KILL);
            Err("the sandbox provider did not become ready".into())
        }
    }
}

/// The first word that is an address, with or without `http://`.
fn ready_address(rest: &str) -> Option<SocketAddr> {
    rest.split_whitespace()
        .find_map(|word| word.trim_start_matches("http://").trim_end_matches('/').parse().ok())
}

async fn keep_running(plane: Arc<Plane>, mut process: Process, address: SocketAddr, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = stopped(&mut stop) => {
                process.signal(Signal::TERM);
                if tokio::time::timeout(END_TIMEOUT, process.ended()).await.is_err() {
                    process.signal(Signal::KILL);
                }
                return;
            }
            exit = process.ended() => plane.events.tell("sandbox_ended", exit.text),
        }
        process = loop {
            match launch(Some(address)).await {
                Ok((process, _)) => break process,
                Err(error) => tracing::warn!(error, "the sandbox provider is not back yet"),
            }
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = tokio::time::sleep(RESTART_DELAY) => {}
            }
        };
        keep_record(&plane, address, process.pid()).await;
        plane.events.tell("sandbox_started", format!("again on {address}"));
    }
}

#[cfg(test)]
mod tests {
    use super::ready_address;

    #[test]
    fn the_ready_line_names_an_address() {
        for line in [" 127.0.0.1:99", " http://127.0.0.1:99", " sandbox on 127.0.0.1:99 now"] {
            assert_eq!(ready_address(line), Some(([127, 0, 0, 1], 99).into()), "{line}");
        }
        assert_eq!(ready_address(" soon"), None);
    }
}

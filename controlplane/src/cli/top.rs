//! `tollgate top`: the gateway at work, redrawn each second; q or Ctrl-C ends it. In a pipe one look is printed.

use std::{
    io::{IsTerminal, Read, Write},
    time::{Duration, Instant},
};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{CliError, Output, is_terminal, print, status::shard_rows, table};
use crate::client::{Call, Client};

const REDRAW: Duration = Duration::from_secs(1);
const MAX_MODELS: usize = 15;

/// The other screen, without a cursor; and back.
const ENTER_SCREEN: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE_SCREEN: &str = "\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

pub async fn run(client: &Client, output: Output) -> Result<(), CliError> {
    let first = look(client).await?;
    if output == Output::Json || !is_terminal() {
        // Two looks, for rates.
        tokio::time::sleep(REDRAW).await;
        let second = look(client).await?;
        match output {
            Output::Json => print(&json!({"status": second.status, "rates": rates_json(&first, &second)}).to_string()),
            Output::Text => print(&screen(&first, &second).join("\n")),
        }
        return Ok(());
    }
    let _screen = Screen::enter();
    let mut keys = keystrokes();
    let mut before = first;
    loop {
        tokio::select! {
            () = tokio::time::sleep(REDRAW) => {}
            key = keys.recv() => match key {
                Some(b'q' | b'Q' | 3) => return Ok(()),
                _ => continue,
            },
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
        let now = look(client).await?;
        draw(&screen(&before, &now));
        before = now;
    }
}

struct Look {
    at: Instant,
    status: Value,
}

async fn look(client: &Client) -> Result<Look, CliError> {
    let status = client.json(Call::get("/v1/status")).await?;
    Ok(Look {
        at: Instant::now(),
        status,
    })
}

impl Look {
    fn count(&self, pointer: &str) -> u64 {
        self.status.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    fn list(&self, field: &str) -> &[Value] {
        self.status[field].as_array().map_or(&[], Vec::as_slice)
    }
}

/// Per second between two looks; a data plane that was restarted counts from zero.
fn rate(before: &Look, now: &Look, count: impl Fn(&Look) -> u64) -> f64 {
    let seconds = now.at.duration_since(before.at).as_secs_f64().max(0.001);
    count(now).saturating_sub(count(before)) as f64 / seconds
}

fn rates_json(before: &Look, now: &Look) -> Value {
    json!({
        "requests_per_s": rate(before, now, |look| look.count("/dataplane/requests")),
        "failures_per_s": rate(before, now, |look| look.count("/dataplane/failures")),
    })
}

/// The lines of one drawing.
fn screen(before: &Look, now: &Look) -> Vec<String> {
    let mut lines = vec![format!(
        "tollgate  revision {}  data plane pid {}  {} MiB  up {} s",
        now.status["revision"],
        now.status["dataplane"]["pid"],
        now.count("/dataplane/rss_bytes") / (1024 * 1024),
        now.count("/dataplane/uptime_s"),
    )];
    if now.status["dataplane"].is_null() {
        lines.push("the data plane is not connected".into());
        return lines;
    }
    let requests = rate(before, now, |look| look.count("/dataplane/requests"));
    let failures = rate(before, now, |look| look.count("/dataplane/failures"));
    lines.push(format!("requests  {requests:.1}/s  failures {failures:.1}/s"));
    for (name, field) in [("total", "total_us"), ("gateway", "gateway_us")] {
        let quantile = |q: &str| milliseconds(now.count(&format!("/dataplane/{field}/{q}")));
        let [p50, p90, p99, p999] = ["p50", "p90", "p99", "p999"].map(quantile);
        lines.push(format!(
            "{name:<8}  p50 {p50}  p90 {p90}  p99 {p99}  p99.9 {p999}  (since start)"
        ));
    }
    lines.push(String::new());
    lines.extend(table(&shard_rows(now.list("shards"))).lines().map(str::to_owned));
    lines.push(String::new());
    lines.extend(table(&model_rows(before, now)).lines().map(str::to_owned));
    lines
}

/// The busiest models first.
fn model_rows(before: &Look, now: &Look) -> Vec<Vec<String>> {
    let heads = [
        "MODEL",
        "REQUESTS/s",
        "FAILURES/s",
        "TOKENS IN/s",
        "TOKENS OUT/s",
        "REQUESTS",
    ];
    let mut models: Vec<(f64, Vec<String>)> = Vec::new();
    for model in now.list("models") {
        let name = model["model"].as_str().unwrap_or_default();
        let count = |look: &Look, field: &str| {
            let found = look.list("models").iter().find(|m| m["model"] == name);
            found.and_then(|m| m[field].as_u64()).unwrap_or(0)
        };
        let [requests, failures, input, output] =
            ["requests", "failures", "input_tokens", "output_tokens"].map(|f| rate(before, now, |look| count(look, f)));
        let mut row = vec![name.to_owned()];
        row.extend([requests, failures, input, output].map(|rate| format!("{rate:.1}")));
        row.push(count(now, "requests").to_string());
        models.push((requests, row));
    }
    models.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(models.into_iter().take(MAX_MODELS).map(|(_, row)| row));
    rows
}

fn milliseconds(us: u64) -> String {
    format!("{}.{:02} ms", us / 1000, us % 1000 / 10)
}

fn draw(lines: &[String]) {
    let mut text = String::from(HOME);
    for line in lines {
        text.push_str(line);
        text.push_str(CLEAR_LINE);
        text.push_str("\r\n");
    }
    text.push_str(CLEAR_BELOW);
    let mut stdout = std::io::stdout().lock();
    // A terminal that is gone ends the program by its signal.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// The alternate screen with keys read one by one; dropping it restores the terminal.
struct Screen {
    former: Option<Termios>,
}

impl Screen {
    fn enter() -> Screen {
        let stdin = std::io::stdin();
        let former = if stdin.is_terminal() {
            termios::tcgetattr(&stdin).ok()
        } else {
            None
        };
        if let Some(former) = &former {
            let mut raw = former.clone();
            raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            // Without it `q` needs Enter; nothing else is lost.
            let _ = termios::tcsetattr(&stdin, OptionalActions::Now, &raw);
        }
        write_now(ENTER_SCREEN);
        Screen { former }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        write_now(LEAVE_SCREEN);
        if let Some(former) = &self.former {
            let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, former);
        }
    }
}

fn write_now(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Keys as they are pressed. The thread ends with the process: a read of a terminal cannot be called back.
fn keystrokes() -> mpsc::Receiver<u8> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        for byte in std::io::stdin().lock().bytes() {
            let Ok(byte) = byte else { return };
            if sender.blocking_send(byte).is_err() {
                return;
            }
        }
        // Standard input ended: only Ctrl-C is left. Keeping the sender keeps `recv` from answering at once.
        std::thread::park();
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, ms: u64, requests: u64) -> Look {
        let status = json!({
            "revision": 3,
            "dataplane": {"pid": 7, "requests": requests, "failures": 0, "rss_bytes": 0, "uptime_s": 9,
                          "total_us": {"p50": 1500}, "gateway_us": {"p50": 15}},
            "shards": [{"id": 0, "revision": 3, "connections": 2, "upstream_connections": 1, "in_flight": 0,
                        "requests": requests, "busy_ratio": 0.25}],
            "models": [{"model": "smart", "requests": requests, "failures": 0, "input_tokens": 0, "output_tokens": 0}],
        });
        Look {
            at: start + Duration::from_millis(ms),
            status,
        }
    }

    #[test]
    fn rates_are_differences_over_time() {
        let start = Instant::now();
        let text = screen(&at(start, 0, 100), &at(start, 2000, 300)).join("\n");
        assert!(
            text.contains("requests  100.0/s") && text.contains("p50 1.50 ms") && text.contains("25 %"),
            "{text}"
        );
        // A restarted data plane counts from zero again.
        assert!(
            screen(&at(start, 0, 300), &at(start, 1000, 5))
                .join("\n")
                .contains("requests  0.0/s")
        );
    }
}

//! Ports that are nobody's: not another test's, and not the source of any connection.

use std::{
    fs::{File, create_dir_all},
    net::TcpListener,
};

/// Below what Linux takes for the source of a connection and for port 0 (`ip_local_port_range`, 32768 up), so that
/// neither can take one away before its server is up.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A loopback port nobody listens on, and that no other call is given while this process lives: a locked file holds it.
/// Tests run as many processes at once, and a port that was free a moment ago may be what the next one is given too.
pub fn free_port() -> u16 {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("ports");
    create_dir_all(&folder).expect("a folder for the locks");
    // Tests that start together look in different places.
    let first = std::process::id() as usize * 37 % PORTS.len();
    let (before, after) = (PORTS.take(first), PORTS.skip(first));
    after
        .chain(before)
        .find(|port| {
            let file = File::create(folder.join(port.to_string())).expect("a lock's file");
            // The locks of one process are apart too: each is of the file as it was opened.
            let ours = file.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", *port)).is_ok();
            if ours {
                // Open, and so locked, until the process ends.
                std::mem::forget(file);
            }
            ours
        })
        .expect("a free port")
}

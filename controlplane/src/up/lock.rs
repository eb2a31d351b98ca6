//! What one control plane has to itself: its state directory and its control socket.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{ErrorKind, Read, Seek, Write},
    os::unix::{fs::OpenOptionsExt, fs::PermissionsExt, net::UnixStream},
    path::Path,
};

use rustix::fs::FlockOperation;
use tokio::net::UnixListener;

use crate::{cli::CliError, paths};

const LOCK_FILE: &str = "controlplane.lock";
/// Whoever may connect is asked for credentials; connecting needs the write bit.
const SOCKET_MODE: u32 = 0o660;

/// Held until dropped; the kernel lets go of it when the process dies, however that happens.
pub struct StateLock {
    _file: File,
}

impl StateLock {
    pub fn take(state_dir: &Path) -> Result<StateLock, CliError> {
        let path = state_dir.join(LOCK_FILE);
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let mut file = options.map_err(|e| CliError::failed(format!("cannot open {}: {e}", path.display())))?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            // Only for the message.
            let _ = file.read_to_string(&mut pid);
            return Err(CliError::failed(format!(
                "another tollgate (pid {}) runs on {}; stop it, or choose another --state-dir",
                pid.trim(),
                state_dir.display()
            )));
        }
        // Only for the message above; a full disk must not keep us from starting.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        Ok(StateLock { _file: file })
    }
}

/// Takes the place of a socket that nobody answers on any more.
pub fn bind_control_socket(socket: &Path) -> Result<UnixListener, CliError> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        CliError::failed(format!(
            "cannot {what} the control socket {}: {error}",
            socket.display()
        ))
    };
    if let Some(folder) = socket.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        // /run/tollgate lets a group through to a socket that was handed to it; all others are private.
        let mode = if folder == Path::new("/run/tollgate") {
            0o755
        } else {
            0o700
        };
        paths::make_folder(folder, mode).map_err(|e| failed("make the folder of", &e))?;
    }
    match UnixStream::connect(socket) {
        Ok(_) => {
            let socket = socket.display();
            return Err(CliError::failed(format!(
                "another tollgate answers on {socket}; stop it, or choose another --control-socket"
            )));
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(socket).map_err(|e| failed("replace", &e))?;
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(socket).map_err(|e| failed("open", &e))?;
    fs::set_permissions(socket, Permissions::from_mode(SOCKET_MODE)).map_err(|e| failed("protect", &e))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_has_one_control_plane() {
        let folder = tempfile::tempdir().unwrap();
        let first = StateLock::take(folder.path()).unwrap();
        let Err(CliError::Failed { text, .. }) = StateLock::take(folder.path()) else {
            panic!("two of them")
        };
        assert!(text.contains(&format!("pid {}", std::process::id())), "{text}");
        drop(first);
        StateLock::take(folder.path()).unwrap();
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("sub/control.sock");
        let first = bind_control_socket(&socket).unwrap();
        assert!(bind_control_socket(&socket).is_err());
        drop(first);
        bind_control_socket(&socket).unwrap();
        assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
    }
}

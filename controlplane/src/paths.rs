//! Where the control socket and the state are, as the contract says, and how programs find each other.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// What the rules look at, so that they can be tested without changing the process's environment.
pub struct Surroundings<'a> {
    pub is_root: bool,
    pub uid: u32,
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Surroundings<'_> {
    fn folder(&self, variable: &str) -> Option<PathBuf> {
        // An empty variable counts as unset (XDG Base Directory Specification).
        (self.variable)(variable)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }

    fn control_socket(&self) -> PathBuf {
        if let Some(socket) = self.folder("TOLLGATE_CONTROL_SOCKET") {
            return socket;
        }
        if let Some(runtime) = self.folder("XDG_RUNTIME_DIR") {
            return runtime.join("tollgate/control.sock");
        }
        if self.is_root {
            return PathBuf::from("/run/tollgate/control.sock");
        }
        let temporary = self.folder("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp"));
        temporary.join(format!("tollgate-{}", self.uid)).join("control.sock")
    }

    fn state_dir(&self) -> PathBuf {
        if let Some(state) = self.folder("XDG_STATE_HOME") {
            return state.join("tollgate");
        }
        if self.is_root {
            return PathBuf::from("/var/lib/tollgate");
        }
        self.folder("HOME")
            .unwrap_or_else(|| PathBuf::from("/"))
            .join(".local/state/tollgate")
    }
}

fn here<T>(rule: impl FnOnce(&Surroundings<'_>) -> T) -> T {
    let uid = rustix::process::geteuid();
    rule(&Surroundings {
        is_root: uid.is_root(),
        uid: uid.as_raw(),
        variable: &|name| env::var_os(name),
    })
}

pub fn control_socket(flag: Option<&Path>) -> PathBuf {
    flag.map_or_else(|| here(|s| s.control_socket()), Path::to_path_buf)
}

pub fn state_dir(flag: Option<&Path>) -> PathBuf {
    flag.map_or_else(|| here(|s| s.state_dir()), Path::to_path_buf)
}

/// Makes a folder of ours, with its parents; an existing one is left as it is.
pub fn make_folder(folder: &Path, mode: u32) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir())
    {
        fs::create_dir_all(parent)?;
    }
    fs::DirBuilder::new().mode(mode).create(folder)?;
    // The umask may have taken bits away.
    fs::set_permissions(folder, fs::Permissions::from_mode(mode))
}

/// A sister program: beside this one, else in PATH.
pub fn program(name: &str) -> Option<PathBuf> {
    let beside = env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(name)));
    if let Some(beside) = beside.filter(|path| is_program(path)) {
        return Some(beside);
    }
    in_path(name, &env::var_os("PATH")?)
}

fn in_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path)
        .map(|folder| folder.join(name))
        .find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'a>(uid: u32, variables: &'a [(&'a str, &'a str)]) -> (PathBuf, PathBuf) {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| OsString::from(value))
        };
        let surroundings = Surroundings {
            is_root: uid == 0,
            uid,
            variable: &variable,
        };
        (surroundings.control_socket(), surroundings.state_dir())
    }

    #[test]
    fn the_contract_s_order_holds() {
        for (uid, variables, socket, state) in [
            (0, &[][..], "/run/tollgate/control.sock", "/var/lib/tollgate"),
            (
                7,
                &[("HOME", "/h")],
                "/tmp/tollgate-7/control.sock",
                "/h/.local/state/tollgate",
            ),
            (
                7,
                &[("TMPDIR", "/t"), ("HOME", "/h")],
                "/t/tollgate-7/control.sock",
                "/h/.local/state/tollgate",
            ),
            (
                7,
                &[("XDG_RUNTIME_DIR", "/r"), ("XDG_STATE_HOME", "/s")],
                "/r/tollgate/control.sock",
                "/s/tollgate",
            ),
            (
                0,
                &[("TOLLGATE_CONTROL_SOCKET", "/c"), ("XDG_RUNTIME_DIR", "/r")],
                "/c",
                "/var/lib/tollgate",
            ),
            (
                0,
                &[("XDG_RUNTIME_DIR", ""), ("XDG_STATE_HOME", "")],
                "/run/tollgate/control.sock",
                "/var/lib/tollgate",
            ),
        ] {
            assert_eq!(
                with(uid, variables),
                (PathBuf::from(socket), PathBuf::from(state)),
                "{uid} {variables:?}"
            );
        }
    }

    #[test]
    fn folders_are_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/b/state");
        make_folder(&state, 0o700).unwrap();
        make_folder(&state, 0o700).unwrap();
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn programs_are_found_in_path_only_when_they_can_run() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tollgate-x"), "").unwrap();
        let path = folder.path().as_os_str();
        assert_eq!(in_path("tollgate-x", path), None);
        fs::set_permissions(folder.path().join("tollgate-x"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(in_path("tollgate-x", path), Some(folder.path().join("tollgate-x")));
    }
}

//! A PostgreSQL server of its own: the programs of Debian's package, in a temporary folder, on a Unix socket. It refuses to
//! run as root, and then runs as a user without rights.

use std::{
    fs::{self, File},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// For a start, and for an end.
const PATIENCE: Duration = Duration::from_secs(60);
pub const USER: &str = "tollgate";
pub const DATABASE: &str = "postgres";
/// For those who come by TCP; nobody asks on the socket.
pub const PASSWORD: &str = "correct horse battery staple";

pub struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    /// User and group it runs as.
    owner: Option<(u32, u32)>,
    server: Option<Child>,
    /// Of the server, beside those of a test.
    more: Vec<String>,
}

impl Postgres {
    pub fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// The same with further settings; `settings` is given a folder of the server's, and what it puts there is given to it.
    pub fn start_with(settings: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("tollgate-pg-")
            .tempdir()
            .expect("a folder");
        let owner = rustix::process::geteuid().is_root().then(unprivileged);
        if let Some((user, group)) = owner {
            chown(folder.path(), Some(user), Some(group)).expect("the folder is given away");
        }
        let mut postgres = Self {
            folder,
            programs: programs(),
            owner,
            server: None,
            more: Vec::new(),
        };
        let password = postgres.folder.path().join("password");
        fs::write(&password, PASSWORD).expect("written");
        postgres.more = settings(postgres.folder.path());
        postgres.give_away();
        let made = postgres
            .command("initdb")
            .args([
                "--no-sync",
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--wal-segsize=1",
            ])
            .arg(format!("--pwfile={}", password.display()))
            .args(["--username", USER, "--pgdata"])
            .arg(postgres.data())
            .output()
            .expect("initdb runs");
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        postgres.start_again();
        postgres
    }

    /// The folder of its socket.
    pub fn host(&self) -> &Path {
        self.folder.path()
    }

    /// As `database.postgres` of a document has it, of a schema.
    pub fn settings(&self, schema: &str) -> String {
        format!(
            "{{ \"host\": \"{}\", \"user\": \"{USER}\", \"name\": \"{DATABASE}\", \"schema\": \"{schema}\" }}",
            self.host().display()
        )
    }

    pub fn start_again(&mut self) {
        let log = self.folder.path().join("log");
        let file = File::create(&log).expect("a log");
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.host());
        for setting in [
            "listen_addresses=",
            "fsync=off",
            "full_page_writes=off",
            "shared_buffers=16MB",
            "max_connections=60",
            "max_wal_size=64MB",
        ] {
            command.args(["-c", setting]);
        }
        command.args(self.more.iter().flat_map(|setting| ["-c", setting]));
        let server = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("postgres starts");
        self.server = Some(server);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = fs::read_to_string(&log).unwrap_or_default();
            if said.contains("ready to accept connections") {
                return;
            }
            let ended = self.server.as_mut().and_then(|server| server.try_wait().expect("wait"));
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "postgres does not start: {said}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What its tables become without us: a restored copy, a hand that was quicker.
    #[allow(dead_code)] // Unit tests have connections of their own.
    pub fn run(&self, schema: &str, sql: &str) {
        let ran = self
            .command("psql")
            .args(["-v", "ON_ERROR_STOP=1", "-q", "-U", USER, "-d", DATABASE, "-h"])
            .arg(self.host())
            .args(["-c", &format!("SET search_path TO \"{schema}\"; {sql}")])
            .output()
            .expect("psql runs");
        assert!(ran.status.success(), "psql: {}", String::from_utf8_lossy(&ran.stderr));
    }

    /// Ends it with whatever is connected.
    pub fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        if let Some(pid) = rustix::process::Pid::from_raw(server.id() as i32) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        let deadline = Instant::now() + PATIENCE;
        while server.try_wait().expect("wait").is_none() {
            if Instant::now() > deadline {
                let _ = server.kill();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What lies in the folder is the server's, who wants its key for itself.
    fn give_away(&self) {
        for entry in fs::read_dir(self.folder.path()).expect("the folder").flatten() {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o600)).expect("for itself");
            if let Some((user, group)) = self.owner {
                chown(entry.path(), Some(user), Some(group)).expect("it is given away");
            }
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path()).env_remove("PGDATA");
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Debian keeps them beside each other, out of PATH.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    let found = folders.into_iter().find(|folder| folder.join("initdb").exists());
    found.expect("PostgreSQL's server is missing: .ci/tools test installs it")
}

/// The user of Debian's package, or else nobody.
fn unprivileged() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(|number| number.parse::<u32>());
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    of("postgres").or_else(|| of("nobody")).expect("a user without rights")
}

//! A wall clock that a test sets, for all programs that it starts under it: `tests/clock/clock.c`.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::PathBuf,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use super::Setup;

pub struct Clock {
    offset: File,
    folder: tempfile::TempDir,
}

impl Clock {
    pub fn at(unix_s: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let offset = File::create(folder.path().join("offset")).expect("a file");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(folder.path().join("clock.so"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clock/clock.c"))
            .status();
        assert!(made.expect("a C compiler").success());
        let clock = Self { offset, folder };
        clock.set(unix_s);
        clock
    }

    /// It goes on from there, in all of them at once.
    pub fn set(&self, unix_s: u64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let off_s = unix_s.cast_signed() - now.as_secs().cast_signed();
        self.offset.write_all_at(&off_s.to_ne_bytes(), 0).expect("written");
    }

    /// Whatever is started so has this clock.
    pub fn rules(&self, setup: &mut Setup) {
        let path = |name: &str| -> String {
            let path: PathBuf = self.folder.path().join(name);
            path.display().to_string()
        };
        setup.environment.push(("LD_PRELOAD".to_owned(), path("clock.so")));
        setup
            .environment
            .push(("TOLLGATE_TEST_CLOCK".to_owned(), path("offset")));
    }
}

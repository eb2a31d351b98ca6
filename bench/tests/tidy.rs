//! The rules of the house, read off the tree: who may use whom, how long a file may be, what must be absent where, and
//! that README and docs name what is there. Knows the rules and nothing of what the code does.

#[path = "tidy/tree.rs"]
mod tree;

use tree::{dependencies, read, root, sources};

const LINES_MOST: usize = 600;

/// Folder of each crate and the crates of ours it may depend on.
const MAY_USE: &[(&str, &[&str])] = &[
    ("config", &[]),
    ("dataplane/wire", &[]),
    ("dataplane/vector", &[]),
    ("dataplane/dialect", &["tollgate-wire"]),
    (
        "dataplane/engine",
        &[
            "tollgate-wire",
            "tollgate-config",
            "tollgate-dialect",
            "tollgate-vector",
        ],
    ),
    (
        "dataplane/shard",
        &[
            "tollgate-engine",
            "tollgate-wire",
            "tollgate-config",
            "tollgate-dialect",
            "tollgate-vector",
        ],
    ),
    (
        "dataplane/sim",
        &[
            "tollgate-engine",
            "tollgate-wire",
            "tollgate-config",
            "tollgate-dialect",
            "tollgate-vector",
        ],
    ),
    (
        "controlplane",
        &[
            "tollgate-engine",
            "tollgate-wire",
            "tollgate-config",
            "tollgate-dialect",
            "tollgate-vector",
        ],
    ),
    ("loadtest", &["tollgate-wire", "tollgate-dialect"]),
    (
        "bench",
        &[
            "tollgate-engine",
            "tollgate-wire",
            "tollgate-config",
            "tollgate-dialect",
            "tollgate-vector",
        ],
    ),
];

/// Crates that decide and never do: bytes, `now` and seeds in, decisions out.
const PURE: &[&str] = &[
    "dataplane/wire",
    "dataplane/dialect",
    "dataplane/vector",
    "dataplane/engine",
];

const NEVER_IN_PURE_DEPENDENCIES: &[&str] = &[
    "tokio",
    "glommio",
    "rustix",
    "libc",
    "mio",
    "hyper",
    "axum",
    "rand",
    "getrandom",
    "io-uring",
    "tracing",
];

const NEVER_IN_PURE_CODE: &[&str] = &[
    "std::fs",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "println!",
    "std::net::Tcp",
    "std::net::Udp",
    "std::os::unix::net",
    "std::process",
    "std::thread",
    "std::env",
    "std::time::Instant",
    "std::time::SystemTime",
    "Instant::now",
    "SystemTime::now",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "RandomState",
    "thread_local!",
    "async fn",
    "async move",
    ".await",
];

const UNSAFE_ROOMS: &[&str] = &[
    "dataplane/shard/src/sys",
    "dataplane/vector/src/kernel",
    "loadtest/src/mapped.rs",
];

/// Fails with all findings at once.
fn assert_none(rule: &str, findings: Vec<String>) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}

#[test]
fn crates_use_only_whom_they_may() {
    let mut findings = Vec::new();
    for (folder, allowed) in MAY_USE {
        for name in dependencies(folder).iter().filter(|name| name.starts_with("tollgate")) {
            if !allowed.contains(&name.as_str()) {
                findings.push(format!("{folder} may not depend on {name}"));
            }
        }
    }
    for folder in PURE {
        for name in dependencies(folder)
            .iter()
            .filter(|name| NEVER_IN_PURE_DEPENDENCIES.contains(&name.as_str()))
        {
            findings.push(format!("{folder} is pure and may not depend on {name}"));
        }
    }
    for dependency in dependencies("controlplane").iter().filter(|name| *name == "glommio") {
        findings.push(format!("controlplane may not depend on {dependency}: it runs on tokio"));
    }
    assert_none("ARCHITECTURE.md says who may use whom", findings);
}

#[test]
fn every_crate_has_a_rule() {
    let manifest = read("Cargo.toml");
    let members = manifest
        .lines()
        .find(|line| line.starts_with("members"))
        .expect("the workspace lists its members");
    let unruled = members
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|member| !MAY_USE.iter().any(|(folder, _)| folder == member));
    assert_none(
        "a new crate needs its line in MAY_USE",
        unruled.map(str::to_owned).collect(),
    );
}

#[test]
fn no_file_is_too_long() {
    let long = sources("", &[".rs", ".py", ".sh", ".toml", ".lua"])
        .into_iter()
        .filter_map(|file| {
            let lines = file.text.lines().count();
            (lines > LINES_MOST).then(|| format!("{} has {lines} lines", file.path))
        });
    assert_none("no source file over 600 lines", long.collect());
}

#[test]
fn every_file_says_what_it_is() {
    let silent = sources("", &[".rs"])
        .into_iter()
        .filter(|file| !file.text.starts_with("//!") && !file.text.starts_with("#!"));
    assert_none(
        "a file opens with `//!`: what it is, what it must never know",
        silent.map(|file| file.path).collect(),
    );
}

#[test]
fn pure_crates_fetch_nothing() {
    let mut findings = Vec::new();
    for file in PURE
        .iter()
        .flat_map(|folder| sources(folder, &[".rs"]))
        .filter(|file| !file.is_test())
    {
        for (number, line) in file.code() {
            for word in NEVER_IN_PURE_CODE.iter().filter(|word| line.contains(**word)) {
                findings.push(format!("{}:{number}: {word}", file.path));
            }
            if file.path.starts_with("dataplane/engine") && line.contains("Serialize") {
                findings.push(format!("{}:{number}: nothing in engine is Serialize", file.path));
            }
        }
    }
    assert_none(
        "no clock, randomness, socket, file, thread or async in the pure crates",
        findings,
    );
}

#[test]
fn unsafe_stays_in_its_rooms() {
    let mut findings = Vec::new();
    for file in sources("", &[".rs"]) {
        let allowed = UNSAFE_ROOMS.iter().any(|room| file.path.starts_with(room));
        if allowed || file.path.starts_with("bench/tests/tidy") {
            continue;
        }
        let words = [
            "unsafe {",
            "unsafe fn",
            "unsafe impl",
            "unsafe extern",
            "unsafe(no_mangle)",
        ];
        for (number, line) in file
            .code()
            .filter(|(_, line)| words.iter().any(|word| line.contains(word)))
        {
            findings.push(format!("{}:{number}: {}", file.path, line.trim()));
        }
    }
    assert_none(
        "`unsafe` lives in shard/sys, vector's kernels and the load tester's file mapping",
        findings,
    );
}

#[test]
fn nothing_is_left_undone() {
    let mut findings = Vec::new();
    for file in sources("", &[".rs"])
        .into_iter()
        .filter(|file| !file.path.starts_with("bench/tests/tidy"))
    {
        for (number, line) in file.text.lines().enumerate() {
            let words = ["todo!(", "unimplemented!(", "dbg!(", "TODO", "FIXME", "XXX:"];
            if words.iter().any(|word| line.contains(word)) {
                findings.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    assert_none("no stubs and no promises", findings);
}

#[test]
fn readme_names_rooms_that_exist() {
    let mut findings = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = read(document);
        let rows = text.lines().filter(|line| line.starts_with('|'));
        for path in rows
            .flat_map(|row| row.split('`').skip(1).step_by(2))
            .filter(|quoted| is_path(quoted))
        {
            if !root().join(path).exists() {
                findings.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(
        read("README.md").contains("| room |"),
        "README.md has the path-of-a-request table"
    );
    assert_none("tables name rooms of this tree", findings);
}

/// A quoted word of a table that means a place in the tree: it begins with a room of the top level.
fn is_path(quoted: &str) -> bool {
    let tops = [
        "dataplane/",
        "controlplane/",
        "config/",
        "loadtest/",
        "bench/",
        "docs/",
        ".ci/",
    ];
    tops.iter().any(|top| quoted.starts_with(top)) && !quoted.contains(' ')
}

#[test]
fn every_metric_has_a_line_in_the_docs() {
    let docs = read("docs/src/metrics.md") + &read("docs/src/operations.md");
    let names = read("dataplane/shard/src/metrics/names.rs") + &read("controlplane/src/metric_names.rs");
    let metrics: Vec<&str> = names
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|name| name.starts_with("tollgate_"))
        .collect();
    assert!(
        !metrics.is_empty(),
        "dataplane/shard/src/metrics/names.rs holds the metric names"
    );
    let missing = metrics.iter().filter(|name| !docs.contains(&format!("`{name}")));
    assert_none(
        "docs/src/metrics.md or operations.md has a line for every metric",
        missing.map(|name| (*name).to_owned()).collect(),
    );
}

#[test]
fn every_config_key_has_a_line_in_the_docs() {
    let docs = read("docs/src/configuration.md");
    let missing = tollgate_config::keys().into_iter().filter(|key| {
        let last = key.path.rsplit('.').next().unwrap_or_default();
        key.supported && !docs.contains(&format!("`{last}`")) && !docs.contains(&format!("{}`", key.path))
    });
    assert_none(
        "docs/src/configuration.md has a line for every key",
        missing.map(|key| key.path).collect(),
    );
}

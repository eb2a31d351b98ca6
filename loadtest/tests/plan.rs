//! `tollgate-loadtest plan` as a program: exit codes, what it says of bad input, and that the document shows what it
//! prints. Knows the command line only.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

const DEMAND: &str = "\
calls_per_day: 1e8
peak_factor: 4
classes:
  chat: { share: 70%, kind: buffered, prompt: 2000 tokens, answer: 300 tokens, duration: 2s }
  talk: { share: 30%, kind: stream, prompt: 4KiB, answer: 200 tokens, duration: { p50: 4s, p99: 20s } }
node: { cores: 4, memory: 16GiB, network_gbit: 10, descriptors: 1e6, disk: 100GiB }
redundancy: N+1
target_utilisation: 60%
";

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("written");
        path
    }

    fn plan(&self, demand: &str, measurements: Option<&str>, more: &[&str]) -> Output {
        let demand = self.put("demand.yaml", demand);
        let mut command = program();
        command.arg("--demand").arg(demand).args(more);
        if let Some(text) = measurements {
            command.arg("--measurements").arg(self.put("measured.json", text));
        }
        command.output().expect("the planner runs")
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate-loadtest"));
    command.arg("plan");
    command
}

/// What a refused call said; it must have ended with 2 and printed no plan.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn planned(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn planned_json(output: &Output) -> Value {
    serde_json::from_str(&planned(output)).expect("JSON")
}

fn run(name: &str, events: u64, cpu_us: f64) -> Value {
    let calls = 100_000;
    json!({"name": name, "shards": 1, "machine": "test", "report": {
        "valid": true, "seconds": 4.0, "connections": 256, "sent": calls, "answered": calls, "rate": 25_000.0,
        "stream_events": calls * events, "bytes_sent": calls * 4_000, "bytes_received": calls * (1_000 + 200 * events),
        "watched": {"cpu_us_per_request": cpu_us, "rss_mib_before": 40.0, "rss_mib_peak": 60.0},
    }})
}

fn runs() -> String {
    let idle = json!({"idle_connections": 9500, "bytes_each": 640.0, "machine": "test"});
    format!("{}\n{}\n{idle}", run("small", 0, 20.0), run("streamed", 100, 820.0))
}

fn figure(plan: &Value, name: &str) -> f64 {
    let figures = plan["figures"].as_array().expect("figures");
    let found = figures.iter().find(|figure| figure["name"] == name);
    found.and_then(|figure| figure["value"].as_f64()).expect(name)
}

#[test]
fn without_measurements_every_cost_is_a_default_and_says_so() {
    let output = Files::new().plan(DEMAND, None, &[]);
    let told = planned(&output);
    assert!(told.contains("default, 18.8 µs a call"), "{told}");
    assert!(told.contains("no run was given"), "{told}");
    assert!(!told.contains("R1"), "{told}");
}

#[test]
fn measurements_take_the_place_of_defaults_and_are_named() {
    let told = planned(&Files::new().plan(DEMAND, Some(&runs()), &[]));
    assert!(told.contains("measured in measured.json run 1 (small)"), "{told}");
    assert!(!told.contains("18.8"), "{told}");
    assert!(told.contains("2 runs were fitted with 2 terms"), "{told}");
}

#[test]
fn connections_follow_littles_law() {
    let demand = DEMAND.replace("{ p50: 4s, p99: 20s }", "10s");
    let plan = planned_json(&Files::new().plan(&demand, Some(&runs()), &["--output", "json"]));
    let rate = 1e8 / 86_400.0 * 4.0;
    let wanted = rate * (0.7 * 2.0 + 0.3 * 10.0);
    assert!((figure(&plan, "calls in flight") / wanted - 1.0).abs() < 1e-9, "{plan}");
}

#[test]
fn cpu_is_the_sum_over_the_classes_and_nodes_bear_it_with_the_redundant_ones_lost() {
    let plan = planned_json(&Files::new().plan(DEMAND, Some(&runs()), &["--output", "json"]));
    let classes = plan["classes"].as_array().expect("classes");
    let busy: f64 = classes
        .iter()
        .map(|class| class["rate"].as_f64().expect("a rate") * class["cpu_us"].as_f64().expect("a cost") / 1e6)
        .sum();
    assert!((figure(&plan, "shards that the calls fill, each alone") / busy - 1.0).abs() < 1e-9);
    // Three shards a node, ten percent less than linear, at 60 %.
    let nodes = (busy / (3.0 * 0.9 * 0.6)).ceil() + 1.0;
    assert_eq!(figure(&plan, "nodes, the redundant ones counted"), nodes);
    assert_eq!(plan["breaks_first"]["resource"], "CPU");
    let times = plan["breaks_first"]["times_peak"].as_f64().expect("a factor");
    assert!((times - (nodes - 1.0) * 2.7 / busy).abs() < 1e-9, "{times}");
}

#[test]
fn every_figure_names_a_source() {
    let plan = planned_json(&Files::new().plan(DEMAND, Some(&runs()), &["--output", "json"]));
    for list in ["figures", "memory", "resources", "classes"] {
        for one in plan[list].as_array().expect(list) {
            let sources = one["sources"].as_array().expect("sources");
            assert!(!sources.is_empty(), "{list}: {one}");
        }
    }
    for term in plan["cost"]["terms"].as_array().expect("terms") {
        assert!(
            term["sources"].as_array().is_some_and(|sources| !sources.is_empty()),
            "{term}"
        );
    }
}

#[test]
fn what_was_measured_eightfold_is_the_end_without_a_word() {
    let files = Files::new();
    let beyond = DEMAND.replace("answer: 200 tokens", "answer: 2000 tokens");
    let told = refused(&files.plan(&beyond, Some(&runs()), &[]));
    let wanted =
        "stream events a call (class talk): 2000.0 asked, 100.0 measured at most (measured.json run 2 (streamed))";
    assert!(
        told.contains(wanted) && told.contains("20.0 times") && told.contains("--extrapolate"),
        "{told}"
    );
    let told = planned(&files.plan(&beyond, Some(&runs()), &["--extrapolate"]));
    assert!(told.contains("**Extrapolated**") && told.contains(wanted), "{told}");
    let within = DEMAND.replace("answer: 200 tokens", "answer: 790 tokens");
    planned(&files.plan(&within, Some(&runs()), &[]));
}

#[test]
fn streams_are_not_planned_from_runs_without_one() {
    let told = refused(&Files::new().plan(DEMAND, Some(&run("small", 0, 20.0).to_string()), &[]));
    assert!(
        told.contains("stream events a call (class talk): 200.0 asked, none measured"),
        "{told}"
    );
}

#[test]
fn a_node_of_many_shards_is_not_planned_from_a_run_of_one() {
    let demand = DEMAND.replace("cores: 4", "cores: 10");
    let told = refused(&Files::new().plan(&demand, Some(&runs()), &[]));
    assert!(told.contains("shards on a node: 9.0 asked, 1.0 measured"), "{told}");
}

#[test]
fn sweeps_at_four_shard_counts_give_the_law() {
    let sweep = |shards: f64| {
        let rate = 40_000.0 * shards / (1.0 + 0.05 * (shards - 1.0));
        json!({"shards": shards as u32, "sweep": {"requests": [
            {"bound_ms": 1.0, "windows": [rate * 0.99, rate, rate * 1.01], "limited_by": "p99"}]}})
    };
    let sweeps: Vec<String> = [1.0, 2.0, 4.0, 8.0].map(|shards| sweep(shards).to_string()).to_vec();
    let text = format!("{}\n{}", runs(), sweeps.join("\n"));
    let demand = DEMAND.replace("cores: 4", "cores: 17");
    let plan = planned_json(&Files::new().plan(&demand, Some(&text), &["--output", "json"]));
    assert_eq!(plan["scale"]["model"], "law");
    assert!(
        (plan["scale"]["sigma"].as_f64().expect("sigma") - 0.05).abs() < 1e-6,
        "{}",
        plan["scale"]
    );
    let cpu = &plan["resources"][0];
    assert_eq!(cpu["name"], "CPU");
    assert!(
        (cpu["capacity"].as_f64().expect("shards") - 16.0 / 1.75).abs() < 1e-6,
        "{cpu}"
    );
}

fn sweeps_up_to(most: u32) -> String {
    let sweep = |shards: u32| {
        let rate = 40_000.0 * f64::from(shards);
        json!({"shards": shards, "sweep": {"requests": [{"bound_ms": 1.0, "windows": [rate], "limited_by": "p99"}]}})
    };
    (1..=most).map(|shards| sweep(shards).to_string()).collect()
}

#[test]
fn a_node_of_many_shards_is_not_planned_from_sweeps_of_few() {
    let files = Files::new();
    let demand = DEMAND.replace("cores: 4", "cores: 257").replace("16GiB", "256GiB");
    let told = refused(&files.plan(&demand, Some(&sweeps_up_to(4)), &[]));
    assert!(
        told.contains("shards on a node: 256.0 asked, 4.0 measured at most (measured.json run 4): 64.0 times"),
        "{told}"
    );
    planned(&files.plan(&demand, Some(&sweeps_up_to(4)), &["--extrapolate"]));
    // Eight times four, and without streams in a sweep none is missed.
    let within = DEMAND.replace("cores: 4", "cores: 33").replace("16GiB", "64GiB");
    planned(&files.plan(&within, Some(&sweeps_up_to(4)), &[]));
}

#[test]
fn numbers_out_of_the_ordinary_are_refused_with_line_and_bounds() {
    let more = |text: &str| {
        (
            "target_utilisation: 60%".to_owned(),
            format!("target_utilisation: 60%\n{text}"),
        )
    };
    let instead = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    for ((from, to), line, said) in [
        (instead("1e8", "1e30"), 1, "calls_per_day is 1e30; 1 to 1e15"),
        (instead("peak_factor: 4", "peak_factor: 1e9"), 2, "1 to 1000"),
        (
            instead("2000 tokens", "1e300 tokens"),
            4,
            "class 'chat': prompt is 1e300; 0 to 1e8 tokens",
        ),
        (
            instead("duration: 2s", "duration: 1e20s"),
            4,
            "duration is 1e20; 0 to 1d",
        ),
        (
            instead("prompt: 4KiB", "prompt: 1e300TiB"),
            5,
            "prompt is inf; 0 to 1GiB",
        ),
        (instead("p99: 20s", "p99: 1e300s"), 5, "class 'talk': duration"),
        (instead("cores: 4", "cores: 4000000000"), 6, "1 to 4096 cores"),
        (instead("16GiB", "1e200GiB"), 6, "node.memory"),
        (instead("network_gbit: 10", "network_gbit: 1e300"), 6, "1e5 Gbit/s"),
        (instead("descriptors: 1e6", "descriptors: 1e300"), 6, "node.descriptors"),
        (instead("100GiB", "1e300TiB"), 6, "node.disk is inf"),
        (instead("60%", "0.001%"), 8, "1% to 100%"),
        (
            more("growth: { per_year: 1000000%, years: 1000 }"),
            9,
            "growth.per_year is 10000.0; 0% to 10000%",
        ),
        (more("growth: { per_year: 10%, years: 1000 }"), 9, "0 to 20 years"),
        (
            more("growth: { per_year: 10000%, years: 20 }"),
            9,
            "calls_per_day with its growth",
        ),
        (
            more("spool: { hours: 1e20 }"),
            9,
            "spool.hours is 1e20; 0 to 8784 hours",
        ),
        (more("spool: { hours: 1, record: 1e9GiB }"), 9, "spool.record"),
        (more("keys: 1e30"), 9, "keys is 1e30; 0 to 1e9 keys"),
        (more("idle_client_connections: 1e30"), 9, "0 to 1e10 connections"),
        (more("provider_addresses: 1e30"), 9, "1 to 1e6 addresses"),
        (more("cache: { hits: 10%, size: 1e30GiB }"), 9, "cache.size"),
        (
            more("tls: { calls_per_connection: 1e30 }"),
            9,
            "tls.calls_per_connection",
        ),
        (more("scale_margin: 99.9999%"), 9, "0% to 99%"),
    ] {
        assert!(DEMAND.contains(&from), "{from}");
        let told = refused(&Files::new().plan(&DEMAND.replacen(&from, &to, 1), None, &[]));
        assert!(
            told.contains(&format!("demand.yaml:{line}:")) && told.contains(said) && told.contains("would be right"),
            "{to} at {line}: {told}"
        );
    }
}

#[test]
fn measurements_out_of_the_ordinary_are_named_and_passed_over() {
    let with = |key: &str, value: Value| {
        let mut one = run("odd", 0, 20.0);
        one["report"][key] = value;
        one
    };
    let mut resident = run("odd", 0, 20.0);
    resident["report"]["watched"]["rss_mib_before"] = json!(-40.0);
    let mut anew = run("odd", 0, 20.0);
    anew["new_connections_per_call"] = json!(-0.5);
    let swept = |shards: u32, rate: f64| json!({"shards": shards, "sweep": {"requests": [{"bound_ms": 1.0, "windows": [rate], "limited_by": "p99"}]}});
    let odd = [
        (
            json!({"idle_connections": 10, "bytes_each": -1e9}),
            "\"bytes_each\" is -1000000000.0; 0 to 64MiB",
        ),
        (
            json!({"idle_connections": 10, "bytes_each": 1e300}),
            "\"bytes_each\" is 1e300",
        ),
        (
            json!({"idle_connections": 0, "bytes_each": 640.0}),
            "\"idle_connections\" is 0.0",
        ),
        (run("odd", 0, 1e300), "\"cpu_us_per_request\" is 1e300"),
        (with("rate", json!(1e300)), "\"rate\" is 1e300"),
        (with("seconds", json!(1e-300)), "its CPU time"),
        (with("bytes_sent", json!(u64::MAX)), "\"bytes_sent\" by its calls"),
        (
            with("failed", json!({"status": u64::MAX, "cut": u64::MAX})),
            "100.0% of its calls failed",
        ),
        (resident, "\"rss_mib_before\" is -40.0"),
        (anew, "\"new_connections_per_call\" is -0.5"),
        (swept(1, -5.0), "a rate in \"windows\" is -5.0"),
        (swept(0, 5.0), "\"shards\" is 0.0; 1 to 4096"),
    ];
    for (document, why) in odd {
        let files = Files::new();
        let told = planned(&files.plan(DEMAND, Some(&format!("{document}\n{}", runs())), &[]));
        assert!(
            told.contains(&format!("measured.json run 1 passed over: {why}")),
            "{why}\n{told}"
        );
        let told = refused(&files.plan(DEMAND, Some(&document.to_string()), &[]));
        assert!(
            told.contains("nothing a plan can use") && told.contains(why),
            "{why}\n{told}"
        );
    }
}

#[test]
fn documents_that_are_of_no_use_are_named_and_passed_over() {
    let mut unanswered = run("unanswered", 0, 500.0);
    unanswered["report"]["answered"] = json!(0);
    let mut failing = run("failing", 0, 500.0);
    failing["report"]["failed"] = json!({"status": 5_000});
    let mut unwatched = run("unwatched", 0, 500.0);
    unwatched["report"]["watched"] = Value::Null;
    let others = [unanswered, failing, unwatched, json!({"hello": "world"})];
    let text = format!("[{}] {}", others.map(|one| one.to_string()).join(","), runs());
    let told = planned(&Files::new().plan(DEMAND, Some(&text), &[]));
    for said in [
        "run 1 passed over: it has no answered call",
        "run 2 passed over: 4.8% of its calls failed",
        "run 3 passed over: it has no CPU time of the gateway: run with --watch-pid",
        "run 4 passed over: it is neither a report",
        "R1: measured in measured.json run 5 (small)",
    ] {
        assert!(told.contains(said), "{said}\n{told}");
    }
}

#[test]
fn a_late_generator_voids_latencies_and_not_what_calls_cost() {
    let mut late = run("small", 0, 20.0);
    late["report"]["valid"] = json!(false);
    late["report"]["invalid_because"] = json!("the generator was late by 3 ms");
    let idle = json!({"idle_connections": 9500, "bytes_each": 640.0, "machine": "test"});
    let text = format!("{late}\n{}\n{idle}", run("streamed", 100, 820.0));
    let told = planned(&Files::new().plan(DEMAND, Some(&text), &[]));
    assert!(
        told.contains("the latencies of measured.json run 1 are void (the generator was late by 3 ms)"),
        "{told}"
    );
    assert!(told.contains("measured in measured.json run 1 (small)"), "{told}");
}

#[test]
fn bad_measurements_are_refused_with_their_place() {
    let files = Files::new();
    let told = refused(&files.plan(DEMAND, Some("{\"report\":\n {} nonsense"), &[]));
    assert!(told.contains("measured.json:2:") && told.contains("not JSON"), "{told}");
    let told = refused(&files.plan(DEMAND, Some("{\"report\": {}, \"shard\": 2}"), &[]));
    assert!(told.contains("document 1") && told.contains("`shard`"), "{told}");
    let told = refused(&files.plan(DEMAND, Some("{\"hello\": 1}"), &[]));
    assert!(
        told.contains("nothing a plan can use") && told.contains("run 1 passed over"),
        "{told}"
    );
    let told = refused(&files.plan(DEMAND, Some(""), &[]));
    assert!(told.contains("no document in it"), "{told}");
    let output = program()
        .args(["--demand", "/nowhere.yaml"])
        .output()
        .expect("the planner runs");
    assert!(refused(&output).contains("/nowhere.yaml"), "{output:?}");
}

#[test]
fn a_bad_demand_is_refused_with_line_and_remedy() {
    for (from, to, line, said) in [
        ("peak_factor: 4", "peak_facter: 4", 2, "peak_facter"),
        ("peak_factor: 4", "peak_factor: 0.5", 2, "below 1"),
        ("1e8", "0", 1, "a plan needs a call"),
        ("share: 70%", "share: 60%", 4, "sum to 90.0000%; 100% would be right"),
        ("duration: 2s", "duration: 2", 4, "250ms"),
        ("2000 tokens", "2000", 4, "'2000 tokens' or 8KiB"),
        ("duration: 2s", "duration: 2s, events: 3", 4, "only `kind: stream` has"),
        ("answer: 200 tokens", "answer: 4KiB", 5, "needs `events: NUMBER`"),
        ("p99: 20s", "p99: 2s", 5, "p50 is above p99"),
        ("16GiB", "16 apples", 6, "16GiB"),
        ("cores: 4", "cores: 1", 6, "none is left"),
        ("N+1", "plenty", 7, "N, N+1 or N+2"),
        ("60%", "160%", 8, "at most 100%"),
    ] {
        assert!(DEMAND.contains(from), "{from}");
        let told = refused(&Files::new().plan(&DEMAND.replacen(from, to, 1), None, &[]));
        assert!(
            told.contains(&format!("demand.yaml:{line}:")) && told.contains(said),
            "{to} at {line}: {told}"
        );
    }
}

#[test]
fn nodes_that_are_too_small_are_refused() {
    let told = refused(&Files::new().plan(&DEMAND.replace("16GiB", "512MiB"), None, &[]));
    assert!(told.contains("choose a larger node"), "{told}");
}

#[test]
fn the_page_stands_alone_and_says_what_breaks() {
    let files = Files::new();
    let page = files.0.path().join("plan.html");
    planned(&files.plan(DEMAND, Some(&runs()), &["--html", page.to_str().expect("a path")]));
    let html = fs::read_to_string(page).expect("a page");
    assert!(
        html.contains("<svg") && html.contains("planned peak") && html.contains("exhausted"),
        "{html}"
    );
    assert!(!html.contains("<script") && !html.contains("href=\"http") && !html.contains("src=\"http"));
    let output = files.plan(DEMAND, Some(&runs()), &["--html", "/nowhere/plan.html"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn every_ready_demand_can_be_planned() {
    let folder = root().join("config/loadtest/demand");
    let mut found = 0;
    for file in fs::read_dir(folder).expect("the folder of demands") {
        let output = program()
            .arg("--demand")
            .arg(file.expect("a file").path())
            .output()
            .expect("the planner runs");
        assert!(planned(&output).contains("**What it takes**"));
        found += 1;
    }
    assert!(found >= 3, "{found}");
}

/// `bench/plan/update.py` writes it anew.
#[test]
fn the_document_shows_what_the_planner_prints() {
    let document = fs::read_to_string(root().join("docs/capacity.md")).expect("the document");
    let (_, rest) = document.split_once("<!-- plan:begin").expect("a begin mark");
    let (_, rest) = rest.split_once("-->\n\n").expect("the mark's end");
    let (shown, _) = rest.split_once("\n<!-- plan:end -->").expect("an end mark");
    let output = program()
        .current_dir(root())
        .args(["--demand", "config/loadtest/demand/billion.yaml"])
        .args(["--measurements", "docs/performance/plan-measurements.json"])
        .output()
        .expect("the planner runs");
    assert_eq!(planned(&output), shown, "run bench/plan/update.py");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository")
}

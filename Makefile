# `make run` and `make test` work on a fresh machine: .ci/tools installs what is missing.
export PATH := $(CURDIR)/.cache/venv/bin:$(PATH)
# The interpreter, with the official SDKs, that the end-to-end tests start.
export TOLLGATE_TEST_PYTHON := $(CURDIR)/.cache/venv/bin/python
FUZZ_SECONDS ?= 60
SOAK_HOURS ?= 1

.PHONY: run build test check fmt deny advisories bench bench-check bench-scale bench-ingest bench-keys compare compare-translated fuzz soak docs

run: build
	@exec target/release/tollgate up $(ARGS)

build:
	@.ci/tools build
	cargo build --release --bins

# Everything, with a short form of each long proof; cargo-nextest comes last, so its summary closes the output.
test:
	@.ci/tools build test
	cargo build --workspace --bins
	bench/soak/soak.py --short
	cargo nextest run --workspace --profile ci

# What a change must also satisfy before it lands.
check: deny
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

deny:
	@.ci/tools deny
	cargo-deny check bans licenses sources

# Needs the advisory database, which not every network reaches.
advisories:
	@.ci/tools deny
	cargo-deny check advisories

fmt:
	cargo fmt --all

bench:
	@.ci/tools build
	cargo bench -p tollgate-bench $(ARGS)

# Instructions and shared writes, counted beside the committed baseline (ARGS=--write renews it): no noise reaches them.
bench-check:
	@.ci/tools build bench-check
	bench/check.py $(ARGS)

# System calls and ring operations of the real data plane by shards: a measurement, which needs root for its tracepoints.
bench-scale:
	@.ci/tools build bench-scale
	cargo build --release --bins
	bench/scale/syscalls.py $(ARGS)

# How many usage records one core reads into the ledger: SQLite, and a PostgreSQL server of its own.
bench-ingest:
	@.ci/tools build bench-ingest
	cargo build --release -p tollgate --bin tollgate
	bench/ingest/ingest.py $(ARGS)

# Memory and start time of a data plane by keys with limits, and one limit under up to 64 threads.
bench-keys:
	@.ci/tools build
	cargo build --release -p tollgate-dataplane
	bench/scale/keys.py $(ARGS)
	cargo run --release -p tollgate-bench --example contention

# The gateway beside nginx, HAProxy, Envoy, LiteLLM and Portkey, in one run on two cores; writes docs/performance.md.
compare:
	@.ci/tools build compare
	cargo build --release --bins
	bench/compare/run.py $(ARGS)

compare-translated:
	@.ci/tools build compare
	cargo build --release --bins
	bench/compare/translated.py $(ARGS)

fuzz:
	@.ci/tools build
	dataplane/fuzz/run.sh $(FUZZ_SECONDS)

# Resumable; appends what it really ran to bench/soak/log.jsonl.
soak:
	@.ci/tools build test
	cargo build --release --bins
	bench/soak/soak.py --hours $(SOAK_HOURS) $(ARGS)

docs:
	@.ci/tools docs
	mdbook build docs

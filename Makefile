# Every task of the project. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Cargo's directory may lie elsewhere; the program is always found in target/release.
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR
PROGRAM := target/release/jackfield
# Shown by the REST API. Only cargo sees it.
export GIT_COMMIT := $(shell git rev-parse --short=16 HEAD 2>/dev/null)

# The quickstart's directory and ports.
DIR ?= run/quickstart
BROKER_PORT ?= 9092
REST_PORT ?= 8083
ONCE ?=

.PHONY: help build run test test-long compatibility bench bench-commit bench-recovery bench-boundary clean tools

help: ## this list
	@echo 'Jackfield: a Connect worker with its own Kafka broker'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: tools ## the program (target/release/jackfield) and the shipped connectors (plugins/)
	cargo build --release --workspace --bins
	@scripts/install-program.sh "$(CARGO_TARGET_DIR)/release/jackfield" "$(PROGRAM)"
	scripts/package-plugins.sh

run: build ## the quickstart: test.txt, a topic, test.sink.txt (ONCE=1 checks and ends; DIR=, BROKER_PORT=, REST_PORT=)
	@DIR='$(DIR)' BROKER_PORT='$(BROKER_PORT)' REST_PORT='$(REST_PORT)' ONCE='$(ONCE)' scripts/quickstart.sh

test: ## everything CI checks: format, lints, all tests, documentation
	@scripts/test.sh

test-long: build ## the long forms: power cuts, kill -9, damage, torn writes, fuzzing; two hours or so
	@scripts/test-long.sh

compatibility: build ## docs/compatibility.md, from what clients and tools of others do with this build
	rm -rf "$(CARGO_TARGET_DIR)/shown"
	JF_PROGRAM=$(CURDIR)/$(PROGRAM) cargo test --release --workspace --test tests -- interop::
	UPDATE_DOCUMENT=1 cargo test --release --workspace --test tests -- --ignored --exact compatibility::the_document_is_what_the_tests_showed

bench: build ## side by side with Apache Kafka and Connect (needs a JDK and Maven; BENCH='--lines 1000000 --runs 1' is shorter)
	JF_PROGRAM=$(CURDIR)/$(PROGRAM) cargo bench --bench pipeline -- $(BENCH)

bench-commit: build ## group commit with 1, 200 and 1,000 written partitions beside Apache Kafka (COMMIT='--only rounds,jackfield' needs no JDK)
	JF_PROGRAM=$(CURDIR)/$(PROGRAM) cargo bench --bench commit -- $(COMMIT)

bench-recovery: build ## restarts and idle memory with 10 GiB in 1,000 partitions beside Apache Kafka (RECOVERY='--gib 1 --only jackfield')
	JF_PROGRAM=$(CURDIR)/$(PROGRAM) cargo bench --bench recovery -- $(RECOVERY)

bench-boundary: build ## what a record costs in process, over the C ABI and over WASM (BOUNDARY='--rounds 3')
	cargo bench --bench boundary -- $(BOUNDARY)

clean: ## removes what was built, and the quickstart's directory
	cargo clean
	rm -rf target run plugins/jackfield-*/

# What building needs beyond cargo.
tools:
	@scripts/tools.sh

#!/usr/bin/env bash
# What takes too long for every change: fuzzing every decoder, the crash runs again and again, files rotated for longer.
#
#   SECONDS_PER_TARGET=300  CRASH_RUNS=10  ROTATION_SECONDS=30
# Fuzzing needs a nightly toolchain and cargo-fuzz: cargo install cargo-fuzz --locked
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export JF_PROGRAM=$PWD/target/release/jackfield
seconds=${SECONDS_PER_TARGET:-300} runs=${CRASH_RUNS:-10}

if cargo +nightly fuzz --version > /dev/null 2>&1; then
  for target in $(cargo +nightly fuzz list); do
    echo "== fuzzing $target for $seconds s"
    cargo +nightly fuzz run "$target" -- -max_total_time="$seconds"
  done
else
  echo "fuzzing is left out: rustup toolchain install nightly && cargo install cargo-fuzz --locked" >&2
fi

for run in $(seq "$runs"); do
  echo "== crash run $run of $runs"
  cargo test --release --workspace --test tests -- crash::
done

echo "== files rotated every second for ${ROTATION_SECONDS:=30} s"
export ROTATION_SECONDS
cargo test --release --workspace --test tests -- file::rotation

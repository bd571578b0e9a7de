#!/usr/bin/env bash
# What takes too long for every change: the campaigns against durability in their long forms, files rotated for longer, and
# fuzzing of every decoder.
#
#   POWER_CUTS=200  CRASH_KILLS=50  DAMAGE_FLIPS=10000  TORN_SEEDS=20  ROTATION_SECONDS=30  SECONDS_PER_TARGET=600
#   POWER_CUT=off   leaves out what needs root, loop devices and ext4
# Fuzzing needs a nightly toolchain and cargo-fuzz: cargo install cargo-fuzz --locked
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export JF_PROGRAM=$PWD/target/release/jackfield
export POWER_CUTS=${POWER_CUTS:-200} CRASH_KILLS=${CRASH_KILLS:-50}
export DAMAGE_FLIPS=${DAMAGE_FLIPS:-10000} TORN_SEEDS=${TORN_SEEDS:-20} ROTATION_SECONDS=${ROTATION_SECONDS:-30}
seconds=${SECONDS_PER_TARGET:-600}
table=() failed=0

# run NAME COMMAND…: one row of the summary.
run() {
  local name=$1 start=$SECONDS verdict=ok; shift
  echo "== $name: $*"
  "$@" || { verdict=FAILED; failed=$((failed + 1)); }
  table+=("$(printf '%-44s %6s s  %s' "$name" $((SECONDS - start)) "$verdict")")
}
# tests FILTER…: tests of the whole program, one after the other, with what they print.
tests() { cargo test --release --test tests -- "$@" --nocapture --test-threads 1; }

if [ "${POWER_CUT:-on}" = off ]; then
  table+=("power cuts                                   LEFT OUT (POWER_CUT=off)")
else
  scripts/tools.sh mkfs.ext4=e2fsprogs mount=mount losetup=mount || exit 1
  run "$POWER_CUTS power cuts" tests power::
fi
run "$CRASH_KILLS kills in every campaign" tests crash::
run "librdkafka's own tests" env LIBRDKAFKA=long cargo test --release --workspace --test tests -- interop::librdkafka --nocapture
run "files rotated for $ROTATION_SECONDS s" tests file::rotation
run "$DAMAGE_FLIPS flipped bits, $TORN_SEEDS seeds of torn writes" \
  cargo test --release --package jackfield-log -- damage torn --nocapture

if cargo +nightly fuzz --version > /dev/null 2>&1; then
  for target in $(cargo +nightly fuzz list); do
    mkdir -p "fuzz/corpus/$target"
    run "fuzzing $target" cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
      -max_total_time="$seconds" -rss_limit_mb=1024 -malloc_limit_mb=256
  done
else
  table+=("fuzzing                                      LEFT OUT: rustup toolchain install nightly && cargo install cargo-fuzz --locked")
fi

echo
printf '%s\n' "${table[@]}"
echo "$failed failed"
[ "$failed" -eq 0 ]

#!/usr/bin/env bash
# Runs every check of the project and says how long each took: what CI runs and what a developer runs.
#
# One profile (release) and one target directory for everything, so that nothing heavy is compiled twice. The last line
# is "N passed, N failed"; every check (format, lints, documentation) counts as one test.
#
#   POWER_CUT=off   leaves out what needs root, loop devices and ext4
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-target}
logs=$target/test-logs
export JF_PROGRAM=$PWD/target/release/jackfield
passed=0 failed=0 table=()
mkdir -p "$logs"
rm -f "$logs"/*

row() { table+=("$(printf '%-28s %6s s  %s' "$1" "$2" "$3")"); printf '%s\n' "${table[-1]}"; }

# check NAME COMMAND…: one check, its output shown as it comes.
check() {
  local name=$1 start=$SECONDS; shift
  echo "== $name: $*"
  if "$@"; then
    passed=$((passed + 1)); row "$name" $((SECONDS - start)) ok
  else
    failed=$((failed + 1)); row "$name" $((SECONDS - start)) FAILED
  fi
}

# suite NAME DIRECTORY COMMAND…: a test program; its output is shown when it fails.
suite() {
  local name=$1 directory=$2 start=$SECONDS log=$logs/${1//[^a-z0-9_-]/-}.log; shift 2
  # As cargo does, for tests that compare files of the sources.
  (cd "$directory" && CARGO_MANIFEST_DIR=$PWD "$@") > "$log" 2>&1
  local code=$? good bad
  good=$(sum passed "$log") bad=$(sum failed "$log")
  if [ $code -ne 0 ]; then
    # A program that died without a verdict is a failure, too.
    [ "$bad" -gt 0 ] || bad=1
    cat "$log"
  fi
  passed=$((passed + good)) failed=$((failed + bad))
  row "$name" $((SECONDS - start)) "$good passed, $bad failed"
}
sum() { awk -v what="$1" '/^test result:/ { for (i = 2; i <= NF; i++) if ($i ~ "^" what) n += $(i - 1) } END { print n + 0 }' "$2"; }

# The directory of the package whose test program this is, as cargo would choose it.
home_of() {
  case $1 in
    jackfield_connector_*) echo "connectors/${1#jackfield_connector_}" ;;
    jackfield_*) echo "src/${1#jackfield_}" ;;
    *) echo . ;;
  esac
}

finish() {
  echo
  printf '%s\n' "${table[@]}"
  for switch in POWER_CUT BIND_MOUNT; do
    [ "${!switch:-on}" != off ] || echo "$switch=off: its tests WERE LEFT OUT"
  done
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
  exit
}

tools=(kcat=kcat curl=curl java=default-jdk-headless mvn=maven git=git bindfs=bindfs logrotate=logrotate)
# Power is cut on a file system of its own.
[ "${POWER_CUT:-on}" = off ] || tools+=(mkfs.ext4=e2fsprogs mount=mount losetup=mount)
# Clients and tools from PyPI get an environment of their own; Debian's python3 cannot make one without this package.
python3 -c 'import ensurepip, venv' 2> /dev/null || tools+=(no-such-command=python3-venv)
scripts/tools.sh "${tools[@]}" || exit 1
check format cargo fmt --all --check
check build make build
[ "$failed" -eq 0 ] || [ -x "$JF_PROGRAM" ] || finish
check lints cargo clippy --release --workspace --all-targets -- -D warnings
RUSTDOCFLAGS='-D warnings' check documentation cargo doc --release --workspace --no-deps --quiet
if cargo deny --version > /dev/null 2>&1; then
  check dependencies cargo deny --all-features check bans licenses sources
fi
check 'build of the tests' cargo test --release --workspace --no-run
[ -x "$JF_PROGRAM" ] || finish

rm -rf "$target/shown"
programs=$(cargo test --release --workspace --no-run 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')
for program in $programs; do
  crate=$(basename "$program"); crate=${crate%-*}
  [ "$crate" != tests ] || continue
  suite "unit $crate" "$(home_of "$crate")" "$(realpath "$program")"
done
# The SDK's alone: no other crate is documented by examples, and looking for them compiles everything once more.
suite 'documentation examples' . cargo test --release --package jackfield-api --doc --quiet
for program in $programs; do
  [[ $(basename "$program") == tests-* ]] || continue
  program=$(realpath "$program")
  names=$("$program" --list --format terse | sed -n 's/: test$//p')
  for module in $(cut -d: -f1 <<< "$names" | sort -u | grep -vx compatibility); do
    mapfile -t tests < <(grep -E "^$module(::|$)" <<< "$names")
    suite "program $module" . "$program" --exact "${tests[@]}"
  done
  suite 'compatibility document' . "$program" --ignored --exact compatibility::the_document_is_what_the_tests_showed
done
finish

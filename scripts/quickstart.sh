#!/usr/bin/env bash
# Kafka Connect's quickstart: lines of test.txt go to the topic connect-test and from there to test.sink.txt.
#
# Runs in DIR, which is created when it is missing and resumed when it is not. Ctrl-C stops everything.
#   DIR=run/quickstart  BROKER_PORT=9092  REST_PORT=8083
#   ONCE=1              checks that the sink file holds every line exactly once, and ends
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
program=$root/target/release/jackfield
dir=${DIR:-$root/run/quickstart} broker_port=${BROKER_PORT:-9092} rest_port=${REST_PORT:-8083}
broker=127.0.0.1:$broker_port rest=127.0.0.1:$rest_port
worker= followers=()

say() { printf '%s\n' "$*"; }
fail() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

# Exactly one signal: a second one would end the worker without an orderly stop.
stop() {
  trap - EXIT INT TERM HUP
  [ ${#followers[@]} -eq 0 ] || kill "${followers[@]}" 2> /dev/null || true
  local code=0
  if [ -n "$worker" ]; then
    kill -TERM "$worker" 2> /dev/null || true
    wait "$worker" || code=$?
  fi
  return "$code"
}
interrupted() {
  say ''
  stop && say 'stopped; `make run` resumes where it was' && exit 0
  exit 1
}
trap interrupted INT TERM HUP
trap 'code=$?; stop || true; exit $code' EXIT

# Waits up to 20 s for a command to succeed.
wait_for() {
  local what=$1; shift
  for _ in $(seq 400); do
    kill -0 "$worker" 2> /dev/null || ended
    "$@" && return
    sleep 0.05
  done
  fail "waited in vain for $what; to start afresh: rm -r $PWD"
}
ended() {
  local code=0; wait "$worker" || code=$?; worker=
  say "if a port is in use: make run BROKER_PORT=19092 REST_PORT=18083" >&2
  fail "the worker ended with exit code $code"
}

# The answer of the REST API, without needing curl.
request() {
  exec 3<> "/dev/tcp/127.0.0.1/$rest_port" || return 1
  printf '%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n' "$1" "$2" "$rest" >&3
  cat <&3
  exec 3>&-
} 2> /dev/null

answers() { request GET / > /dev/null; }
running() { [ "$(request GET "/connectors/$1/status" | grep -o '"state":"RUNNING"' | wc -l)" = 2 ]; }
# The two connectors are there, and not paused since the last time.
resumed() {
  local connector
  for connector in local-file-source local-file-sink; do
    request PUT "/connectors/$connector/resume" | grep -q '^HTTP/1.1 202' || return 1
  done
}
has_topic() { "$program" topics -b "$broker" list 2> /dev/null | grep -qx connect-test; }
# The last line may lack its newline in test.txt; the sink ends every line.
complete() { cmp -s <(sed '$a\' test.txt) test.sink.txt; }
lines() { sed '$a\' test.txt | wc -l; }
records() { "$program" topics -b "$broker" describe connect-test | awk 'NR > 1 { n += $5 } END { print n + 0 }'; }

mkdir -p "$dir"
cd "$dir"
resuming=
if [ -e test.txt ]; then
  resuming=1
  say "resuming in $PWD"
else
  printf 'hello\nworld\n' > test.txt
  say "created $PWD/test.txt with two lines"
fi
settings=()
[ "$broker_port" = 9092 ] ||
  settings+=(--set "broker.listeners=PLAINTEXT://$broker" --set "bootstrap.servers=$broker")
[ "$rest_port" = 8083 ] || settings+=(--set "listeners=http://$rest")
say "jackfield standalone config/connect-standalone.properties config/connect-file-source.properties \\"
say "    config/connect-file-sink.properties ${settings[*]}"
# A session of its own: Ctrl-C reaches this script only, which then stops the worker.
setsid "$program" standalone "$root/config/connect-standalone.properties" \
  "$root/config/connect-file-source.properties" "$root/config/connect-file-sink.properties" "${settings[@]}" &
worker=$!

wait_for 'the REST API' answers
wait_for 'the connectors' resumed
wait_for 'the source to run' running local-file-source
wait_for 'the sink to run' running local-file-sink
wait_for 'the topic connect-test' has_topic
[ -n "${ONCE:-}" ] || [ -z "$resuming" ] || complete ||
  say 'test.sink.txt differs from test.txt, which was changed since: only what is appended is followed'
[ -z "${ONCE:-}" ] && [ -n "$resuming" ] || wait_for 'every line in test.sink.txt' complete

if [ -n "${ONCE:-}" ]; then
  [ "$(records)" = "$(lines)" ] || fail "the topic holds $(records) records of $(lines) lines"
  say '--- topic connect-test'
  "$program" consume connect-test -b "$broker" --from-beginning --exit-at-end
  stop || fail "the worker did not stop cleanly"
  complete || fail "test.sink.txt differs from test.txt"
  say '--- test.sink.txt'
  cat test.sink.txt
  say "every line of test.txt is in the topic and in test.sink.txt, exactly once"
  exit 0
fi

"$program" consume connect-test -b "$broker" --from-beginning 2> /dev/null > >(sed -u 's/^/topic connect-test | /') &
followers+=($!)
tail -n +1 -F test.sink.txt 2> /dev/null > >(sed -u 's/^/test.sink.txt      | /') &
followers+=($!)
port_flag=; [ "$broker_port" = 9092 ] || port_flag=" -b $broker"
cat <<TEXT

It runs. In another terminal:
  append a line      echo 'and again' >> $PWD/test.txt
  read the topic     $program consume connect-test --from-beginning$port_flag
  any Kafka client   kcat -b $broker -C -t connect-test
  see the state      curl http://$rest/connectors/local-file-sink/status
  pause the sink     curl -X PUT http://$rest/connectors/local-file-sink/pause
Ctrl-C stops it; make run resumes it.

TEXT
code=0; wait "$worker" || code=$?
worker=
fail "the worker ended with exit code $code"

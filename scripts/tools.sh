#!/usr/bin/env bash
# Checks what building needs beyond this checkout, installs what it may, and names the rest.
#
#   tools.sh            what building needs
#   tools.sh PACKAGE…   Debian packages as COMMAND=PACKAGE, e.g. kcat=kcat mvn=maven
set -euo pipefail

# Installs the packages whose commands are missing; without root it says how to.
packages() {
  local missing=() pair
  for pair in "$@"; do
    command -v "${pair%%=*}" > /dev/null || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "installing Debian packages: ${missing[*]}"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}" > /dev/null
  else
    echo "missing: ${missing[*]}" >&2
    echo "install them with: sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
}

if [ $# -gt 0 ]; then
  packages "$@"
  exit
fi

command -v cargo > /dev/null || {
  echo "cargo is missing: install Rust from https://rustup.rs" >&2
  exit 1
}
# librdkafka, which the client commands use, is built from C and (for a part that is not used) C++.
packages cc=gcc c++=g++ make=make

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
found=$(rustc --version | cut -d' ' -f2)
if [ "$(printf '%s\n%s\n' "$wanted" "${found%%-*}" | sort -V | head -1)" != "$wanted" ]; then
  echo "Rust $wanted or newer is needed, this is $found: rustup update stable" >&2
  exit 1
fi

# Connectors are built as WASM, too.
if [ ! -d "$(rustc --print sysroot)/lib/rustlib/wasm32-wasip2" ]; then
  if command -v rustup > /dev/null; then
    rustup target add wasm32-wasip2
  else
    echo "Rust's target wasm32-wasip2 is missing: rustup target add wasm32-wasip2" >&2
    exit 1
  fi
fi

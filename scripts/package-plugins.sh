#!/usr/bin/env bash
# Builds the shipped connectors as native library and as WASM component and installs them as packages into plugins/.
#
#   scripts/package-plugins.sh [--dev] [--out DIR] [--native-only | --wasm-only]
#
# A package is one directory with plugin.toml and its artifacts. Files are replaced only when their content changed,
# and by renaming, so a running worker keeps what it has loaded. Build directory: CARGO_TARGET_DIR, as for cargo.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

profile=release
out=plugins
forms="native wasm"
while [ $# -gt 0 ]; do
  case "$1" in
    --dev) profile=dev ;;
    --out) shift; out="${1:?--out needs a directory}" ;;
    --native-only) forms=native ;;
    --wasm-only) forms=wasm ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "package-plugins: unknown argument $1 (see --help)" >&2; exit 2 ;;
  esac
  shift
done

wasm_target=wasm32-wasip2
host_target="$(rustc -vV | sed -n 's/^host: //p')"
version="$(sed -n '/^\[workspace\.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)"
contract="$(sed -n 's/^package \(jackfield:plugin@[0-9.]*\);/\1/p' src/api/wit/plugin.wit)"
abi_part() { sed -n "s/^pub const $1: u16 = \([0-9]*\);/\1/p" src/api/abi.rs; }
abi="$(abi_part ABI_MAJOR).$(abi_part ABI_MINOR)"
target_dir="${CARGO_TARGET_DIR:-target}"
profile_dir="$profile"
[ "$profile" != dev ] || profile_dir=debug
case "$host_target" in
  *-apple-*) library_suffix=dylib ;;
  *) library_suffix=so ;;
esac

digest() {
  if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1
}

# install_file FROM TO: only when changed, never half written.
install_file() {
  cmp -s "$1" "$2" && return
  mkdir -p "$(dirname "$2")"
  cp "$1" "$2.new"
  mv "$2.new" "$2"
  echo "package-plugins: wrote $2"
}

need_wasm_target() {
  local libdir
  libdir="$(rustc --print target-libdir --target "$wasm_target")"
  [ ! -d "$libdir" ] || return 0
  if ! command -v rustup >/dev/null || ! rustup target add "$wasm_target"; then
    echo "package-plugins: Rust's target $wasm_target is missing and could not be installed." >&2
    echo "package-plugins: install it with 'rustup target add $wasm_target' (https://rustup.rs)." >&2
    exit 1
  fi
}

# package CRATE NAME DESCRIPTION CLASSES: CLASSES is the [[plugin]] part of the manifest.
package() {
  local crate="$1" name="$2" description="$3" classes="$4"
  local library="${crate//-/_}" directory="$out/$name-$version" manifest
  manifest="$(mktemp)"
  {
    echo "# Written by scripts/package-plugins.sh."
    printf 'schema = 1\n\n[package]\nname = "%s"\nversion = "%s"\nlicense = "Apache-2.0"\n' "$name" "$version"
    printf 'description = "%s"\ndefault-form = "native"\n\n%s\n' "$description" "$classes"
  } >"$manifest"
  for form in $forms; do
    if [ "$form" = native ]; then
      cargo build --profile "$profile" --package "$crate" --lib
      local file="$host_target/lib$library.$library_suffix"
      install_file "$target_dir/$profile_dir/lib$library.$library_suffix" "$directory/$file"
      printf '\n[artifact.native]\nabi = "%s"\n\n[artifact.native.targets.%s]\nfile = "%s"\nsha256 = "%s"\n' \
        "$abi" "$host_target" "$file" "$(digest "$directory/$file")" >>"$manifest"
    else
      need_wasm_target
      CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS="-C strip=symbols" \
        cargo build --profile "$profile" --package "$crate" --lib --target "$wasm_target"
      install_file "$target_dir/$wasm_target/$profile_dir/$library.wasm" "$directory/connector.wasm"
      printf '\n[artifact.wasm]\nfile = "connector.wasm"\nsha256 = "%s"\ncontract = "%s"\n' \
        "$(digest "$directory/connector.wasm")" "$contract" >>"$manifest"
    fi
  done
  printf '\n[capabilities]\ndirectories = "read-write"\nclock = true\n' >>"$manifest"
  chmod 644 "$manifest"
  install_file "$manifest" "$directory/plugin.toml"
  rm -f "$manifest"
  # A package of an older version would offer the same classes twice.
  for other in "$out/$name"-[0-9]*; do
    [ "$other" = "$directory" ] || [ ! -d "$other" ] || rm -r "$other"
  done
}

package jackfield-connector-file jackfield-file "Lines of a file to a topic and back" '[[plugin]]
class = "org.apache.kafka.connect.file.FileStreamSourceConnector"
aliases = ["FileStreamSource", "FileStreamSourceConnector"]
kind = "source"

[[plugin]]
class = "org.apache.kafka.connect.file.FileStreamSinkConnector"
aliases = ["FileStreamSink", "FileStreamSinkConnector"]
kind = "sink"'

#!/usr/bin/env bash
# Puts the built program where everything looks for it, also when cargo's target directory lies elsewhere.
#
#   install-program.sh BUILT WANTED
set -euo pipefail
built=$1 wanted=$2
[ "$(realpath "$built")" = "$(realpath -m "$wanted")" ] && exit 0
mkdir -p "$(dirname "$wanted")"
# A copy, not a link: the program finds its plugins beside its real path. A rename replaces a program that runs.
cmp -s "$built" "$wanted" && exit 0
cp "$built" "$wanted.new"
mv "$wanted.new" "$wanted"

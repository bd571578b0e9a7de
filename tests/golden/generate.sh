#!/usr/bin/env bash
# Replaces tests/golden/files/ by what Apache Kafka and its Connect worker write for the tests' input.
# Needs a JDK 17 or newer, and Maven for the first run. Look at the diff before committing it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
UPDATE_GOLDEN=1 cargo test --test tests golden -- --test-threads=1 --nocapture
git status --short tests/golden/files

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# test/bench/run.sh BUILDDIR [--markdown FILE]: the bench. `run.py --help` lists the options.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -lt 1 ]; then
    echo "usage: test/bench/run.sh BUILDDIR [--markdown FILE]" >&2
    exit 2
fi
for tool in python3 taskset h2load; do
    command -v "$tool" >/dev/null || {
        echo "bench: $tool is missing; hack/deps.sh test installs it" >&2
        exit 1
    }
done
export PYTHONDONTWRITEBYTECODE=1 # no files outside of the build folder
exec python3 "$here/run.py" "$@"

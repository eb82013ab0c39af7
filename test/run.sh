#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every test, and the true sum as the last line: run.sh BUILD
# A part that ends without its own sum counts as one failure.
set -u
build=$1
export TANDEM_BUILD=$build
passed=0 failed=0

part() { # NAME COMMAND...
    local name=$1 out status line p=0 f=0 begin=$SECONDS
    shift
    out=$("$@" 2>&1)
    status=$?
    line=$(grep -E '([0-9]+) passed, ([0-9]+) failed' <<<"$out" | tail -n 1)
    if [[ $line =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
        p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]}
    fi
    if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    if [ "$status" -eq 0 ] && [ "$p" -eq 0 ]; then f=1; fi
    [ "$status" -eq 0 ] && [ "$f" -eq 0 ] || printf '%s\n' "$out"
    printf '%-8s %s passed, %s failed (%s s)\n' "$name:" "$p" "$f" $((SECONDS - begin))
    passed=$((passed + p))
    failed=$((failed + f))
}

pytest() { # FOLDER...: pytest's own summary as "N passed, N failed"
    local out status summary p=0 f=0 e=0
    out=$(build/venv/bin/python -m pytest -q -x --maxfail=20 -p no:cacheprovider "$@" 2>&1)
    status=$?
    summary=$(tail -n 1 <<<"$out")
    [[ $summary =~ ([0-9]+)\ passed ]] && p=${BASH_REMATCH[1]}
    [[ $summary =~ ([0-9]+)\ failed ]] && f=${BASH_REMATCH[1]}
    [[ $summary =~ ([0-9]+)\ error ]] && e=${BASH_REMATCH[1]}
    printf '%s\n%s passed, %s failed\n' "$out" "$p" $((f + e))
    return "$status"
}

part unit test/unit.sh "$build"
part golden "$build/golden" test/golden
part corpus test/corpus.sh "$build"
part wire pytest test/wire
part e2e pytest test/e2e --ignore=test/e2e/kube
part kube pytest test/e2e/kube

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

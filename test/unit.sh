#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the unit suites, each in a process of its own: unit.sh BUILD [SUITE]
set -u
unit="$1/unit"
passed=0 failed=0
for suite in ${2:-$("$unit")}; do
    out=$(timeout 300 "$unit" "$suite" 2>&1)
    status=$?
    line=$(tail -n 1 <<<"$out")
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        [ "$status" -eq 0 ] || [ "${BASH_REMATCH[2]}" -gt 0 ] || failed=$((failed + 1))
    else
        failed=$((failed + 1))
    fi
    if [ "$status" -ne 0 ]; then
        printf '%s\n--- %s: exit status %s\n' "$out" "$suite" "$status"
    fi
done
echo "unit: $passed passed, $failed failed"
[ "$failed" -eq 0 ]

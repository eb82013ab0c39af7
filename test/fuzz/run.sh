#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs fuzz targets, two at a time: run.sh FUZZDIR SECONDS [TARGET]
# New inputs go to build/fuzz-corpus/NAME, findings and logs to build/fuzz-findings.
set -u
dir=$1 seconds=$2 only=${3:-}
findings=build/fuzz-findings
mkdir -p "$findings"

fuzz() { # NAME
    local name=$1 scratch=build/fuzz-corpus/$1 seed=test/fuzz/corpus/$1
    local log=$findings/$1.log runs path status
    mkdir -p "$scratch"
    [ ! -d "$seed" ] || cp -f "$seed"/* "$scratch"/
    "$dir/$name" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 \
        -print_final_stats=1 -artifact_prefix="$findings/$name-" "$scratch" >"$log" 2>&1
    status=$?
    if [ "$status" -eq 0 ]; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        echo "fuzz $name: ok (${runs:-0} runs)"
        return 0
    fi
    path=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    tail -n 60 "$log"
    echo "fuzz $name: FINDING ${path:-$log}"
    return 1
}

names=()
for source in test/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    name=${name#fuzz_}
    if [ -z "$only" ] || [ "$only" = "$name" ]; then names+=("$name"); fi
done
if [ ${#names[@]} -eq 0 ]; then
    echo "no fuzz target '$only'"
    exit 1
fi

found=0
for ((i = 0; i < ${#names[@]}; i += 2)); do
    pids=()
    for name in "${names[@]:i:2}"; do
        fuzz "$name" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || found=1
    done
done
exit "$found"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Replays the committed inputs of every fuzz target: corpus.sh BUILD
# Each input counts as one. A folder that ends a target badly is run again file by file, so that
# the sum and the names are true.
set -u
build=$1
passed=0 failed=0

run() { # TARGET PATH: "N inputs" as inputs, what was said as out
    out=$(timeout 120 "$build/replay/$1" "$2" 2>&1)
    status=$?
    inputs=0
    if [[ $(tail -n 1 <<<"$out") =~ ^([0-9]+)\ inputs$ ]]; then inputs=${BASH_REMATCH[1]}; fi
    [ "$status" -eq 0 ] && [ "$inputs" -gt 0 ]
}

for source in test/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    name=${name#fuzz_}
    folder=test/fuzz/corpus/$name
    if [ ! -x "$build/replay/$name" ] || [ ! -d "$folder" ]; then
        echo "corpus $name: no program or no inputs"
        failed=$((failed + 1))
        continue
    fi
    if run "$name" "$folder"; then
        passed=$((passed + inputs))
        continue
    fi
    whole=$out bad=0
    for file in "$folder"/*; do
        if run "$name" "$file"; then
            passed=$((passed + 1))
        else
            bad=$((bad + 1))
            printf '%s\n--- corpus %s: exit status %s\n' "$out" "$file" "$status"
        fi
    done
    if [ "$bad" -eq 0 ]; then
        bad=1
        printf '%s\n--- corpus %s: fails only as a whole\n' "$whole" "$folder"
    fi
    failed=$((failed + bad))
done
echo "corpus: $passed passed, $failed failed"
[ "$failed" -eq 0 ]

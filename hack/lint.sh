#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Format, static analysis, include rules and shell scripts: lint.sh BUILD
set -u
build=$1
failed=0
say() { printf 'lint: %s\n' "$*"; }
mapfile -t sources < <(git ls-files -co --exclude-standard '*.c' '*.h')
# The analyzer does not know that CUnit's _FATAL checks return, so tests are left out of it.
mapfile -t units < <(printf '%s\n' "${sources[@]}" | grep '\.c$' | grep -v '^test/')
mapfile -t scripts < <(git ls-files -co --exclude-standard '*.sh' .ci/run)

if ! clang-format --dry-run -Werror "${sources[@]}"; then
    say "clang-format: run make format"
    failed=1
fi
if ! printf '%s\n' "${units[@]}" | xargs -P 2 -I{} clang-tidy --quiet {} -- -std=gnu17 -I. -Ibuild/gen -D_GNU_SOURCE 2>"$build/tidy.err" >"$build/tidy.out"; then
    cat "$build/tidy.out"
    say "clang-tidy found something"
    failed=1
fi
hack/includes.sh "$build" || failed=1
shellcheck "${scripts[@]}" || failed=1
if long=$(wc -l "${sources[@]}" | awk '$1 > 600 && $2 != "total" {print $2 ": " $1 " lines"}') && [ -n "$long" ]; then
    say "files over 600 lines: $long"
    failed=1
fi
[ "$failed" -eq 0 ] && say "clean"
exit "$failed"

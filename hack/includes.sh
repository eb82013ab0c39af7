#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who may include whom, checked on what the compiler really read (its .d files): includes.sh BUILD
# The rules are those of docs/architecture.md.
set -u
build=$1

# Whether a file of module $1 may see a header of module $2.
may_see() {
    local from=$1 to=$2
    [ "$from" = "$to" ] && return 0
    case "$to" in
    shared) return 0 ;;
    esac
    case "$from" in
    shared) return 1 ;;
    controller/translate) [[ $to =~ ^controller/(store|res)$ ]] ;;
    controller*) [[ $to == controller* ]] ;;
    dataplane | dataplane/proxy) [[ $to == dataplane* ]] ;;
    dataplane/admin) [[ $to =~ ^dataplane(/(conf|policy|route|upstream|obs|codec|net|llm))?$ ]] ;;
    dataplane/conf) [[ $to =~ ^dataplane(/(policy|route|upstream|obs|codec|net|llm))?$ ]] ;;
    dataplane/llm) [[ $to =~ ^dataplane(/(conf|policy|route|upstream|obs|codec|net))?$ ]] ;;
    dataplane/policy) [[ $to =~ ^dataplane(/(codec|route))?$ ]] ;;
    dataplane/codec | dataplane/net | dataplane/route | dataplane/obs) [ "$to" = dataplane ] ;;
    dataplane/upstream) [[ $to =~ ^dataplane(/(codec|net|obs))?$ ]] ;;
    *) return 0 ;;
    esac
}

module_of() {
    case "$1" in
    shared/*) echo shared ;;
    dataplane/*/* | controller/*/*) dirname "$1" ;;
    dataplane/*) echo dataplane ;;
    controller/*) echo controller ;;
    esac
}

bad=0
while read -r dep; do
    source=${dep#"$build"/}
    source=${source%.d}.c
    from=$(module_of "$source")
    [ -n "$from" ] || continue
    # Directly included headers only: what a header includes is that header's affair.
    while read -r header; do
        to=$(module_of "$header")
        [ -n "$to" ] || continue
        grep -q "^$header:" "$dep" || continue
        if ! may_see "$from" "$to"; then
            echo "lint: $source must not include $header"
            bad=1
        fi
    done < <(sed -nE 's/^#include "([^"]+)".*/\1/p' "$source")
done < <(find "$build/shared" "$build/controller" "$build/dataplane" -name '*.d')

# translate/ is pure: of shared/ it sees only these.
for source in controller/translate/*.[ch]; do
    while read -r header; do
        case "$header" in
        shared/ir.h | shared/err.h | shared/str.h | shared/arena.h | shared/vec.h | shared/map.h | shared/json.h | shared/schema.h | shared/provider.h | shared/cel.h) ;;
        shared/*)
            echo "lint: $source must not include $header (translate is pure)"
            bad=1
            ;;
        esac
    done < <(sed -nE 's/^#include "([^"]+)".*/\1/p' "$source")
done
exit "$bad"

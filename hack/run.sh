#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Starts the demo servers, the controller and a data plane on 127.0.0.1, waits until they serve,
# prints commands to copy, and tells what edits of the folder do. Ctrl-C stops everything.
#   run.sh BUILD
# Variables: FOLDER, PORT (traffic), ADMIN_PORT, PUSH_PORT, CONTROLLER_ADMIN_PORT, DEMO_PORT, DEMO_MODEL_PORT,
# STATE (folder for state and logs).
set -u
build=$1
: "${FOLDER:=examples/quickstart}" "${PORT:=8080}" "${ADMIN_PORT:=9090}" "${PUSH_PORT:=18443}"
: "${CONTROLLER_ADMIN_PORT:=18080}" "${DEMO_PORT:=9001}" "${DEMO_MODEL_PORT:=9002}" "${STATE:=build/run}"

fail() {
    printf '\n%s\n' "$*" >&2
    exit 1
}

port_is_used() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

check_ports() {
    local pair name port
    for pair in PORT:$PORT ADMIN_PORT:$ADMIN_PORT PUSH_PORT:$PUSH_PORT \
        CONTROLLER_ADMIN_PORT:$CONTROLLER_ADMIN_PORT DEMO_PORT:$DEMO_PORT \
        DEMO_MODEL_PORT:$DEMO_MODEL_PORT; do
        name=${pair%%:*} port=${pair##*:}
        [[ $port =~ ^[0-9]+$ ]] || fail "$name must be a port number, not '$port'"
        if port_is_used "$port"; then
            fail "port $port is in use on 127.0.0.1; choose another one: make run $name=$((port + 10000 < 65536 ? port + 10000 : port - 1000))"
        fi
    done
}

pids=()
stopping=no
stop() {
    [ "$stopping" = no ] || return
    stopping=yes
    printf '\nstopping\n'
    local pid i
    # The data plane first: it finishes what is under way while the others still serve it.
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        pid=${pids[i]}
        kill -TERM "$pid" 2>/dev/null
        for _ in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.05
        done
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
}
trap 'stop; exit 0' INT TERM
trap stop EXIT

start() { # NAME COMMAND...
    local name=$1
    shift
    # Their own session: the terminal's Ctrl-C is for this script, which ends them in order.
    setsid "$@" >"$STATE/$name.out" 2>"$STATE/$name.log" </dev/null &
    pids+=($!)
}

wait_until() { # SECONDS WHAT COMMAND...
    local tries=$(($1 * 20)) what=$2 i pid
    shift 2
    for ((i = 0; i < tries; i++)); do
        "$@" >/dev/null 2>&1 && return
        for pid in "${pids[@]}"; do
            kill -0 "$pid" 2>/dev/null || fail "a program ended: $(tail -n 3 "$STATE"/*.log 2>/dev/null)"
        done
        sleep 0.05
    done
    fail "$what did not come up: $(tail -n 3 "$STATE"/*.log 2>/dev/null)"
}

mkdir -p "$STATE/controller" "$STATE/dataplane"
if [ "$DEMO_MODEL_PORT" != 9002 ] && [ "$FOLDER" = examples/quickstart ]; then
    # The quickstart names the model server's port; with another port a copy is served.
    mkdir -p "$STATE/objects"
    for file in "$FOLDER"/*.yaml; do
        sed "s/127\.0\.0\.1:9002/127.0.0.1:$DEMO_MODEL_PORT/" "$file" >"$STATE/objects/${file##*/}"
    done
    FOLDER=$STATE/objects
fi
chmod 700 "$STATE" "$STATE/controller" "$STATE/dataplane"
check_ports

start demo "$build/tandem-demo" --plain "127.0.0.1:$DEMO_PORT" --model "127.0.0.1:$DEMO_MODEL_PORT"
start controller "$build/tandem-controller" --source "dir:$FOLDER" --state "$STATE/controller" \
    --listen "127.0.0.1:$PUSH_PORT" --admin "127.0.0.1:$CONTROLLER_ADMIN_PORT" \
    --endpoint "default/web=127.0.0.1:$DEMO_PORT"
wait_until 10 "the controller" curl -fsS "http://127.0.0.1:$CONTROLLER_ADMIN_PORT/healthz"
start dataplane "$build/tandem-dataplane" --controller "127.0.0.1:$PUSH_PORT" \
    --bootstrap "$STATE/controller" --state "$STATE/dataplane" --bind 127.0.0.1 \
    --port-map "8080=$PORT" --explain on --admin "127.0.0.1:$ADMIN_PORT" --access-log "$STATE/access.log"
wait_until 10 "the data plane" curl -fsS "http://127.0.0.1:$ADMIN_PORT/ready"

cat <<TEXT

Tandem serves the objects of $FOLDER. Copy any of these:

  curl http://127.0.0.1:$PORT/hello

  curl http://127.0.0.1:$PORT/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model":"fast","messages":[{"role":"user","content":"Say hello."}]}'

  curl -N http://127.0.0.1:$PORT/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model":"fast","stream":true,"messages":[{"role":"user","content":"Say hello."}]}'

  curl http://127.0.0.1:$PORT/v1/models

  curl http://127.0.0.1:$ADMIN_PORT/metrics
  TANDEM_ADMIN=127.0.0.1:$CONTROLLER_ADMIN_PORT $build/tandemctl get

TEXT
if [ -n "${OPENAI_API_KEY:-}" ]; then
    echo "The models gpt-*, o3, o4-mini and the alias gpt go to OpenAI with your OPENAI_API_KEY."
else
    echo "The models gpt-*, o3, o4-mini and gpt go to OpenAI once OPENAI_API_KEY is set; the demo answers demo-*, fast and smart."
fi
cat <<TEXT
Edit a file in $FOLDER: what it did is told here. Logs: $STATE/*.log, access log: $STATE/access.log. Ctrl-C stops.

TEXT

# What edits do, as the controller logs it; polled, so that no child outlives this script.
count_lines() { wc -l <"$STATE/controller.log" 2>/dev/null || echo 0; }
seen=$(count_lines)
while sleep 0.2; do
    now=$(count_lines)
    if [ "$now" -gt "$seen" ]; then
        sed -n "$((seen + 1)),${now}p" "$STATE/controller.log" |
            sed -nE -e 's/.*"mod":"source","msg":"applied","file":"([^"]*)","added":([0-9]+),"changed":([0-9]+),"removed":([0-9]+).*/applied  \1: \2 added, \3 changed, \4 removed/p' \
                -e 's/.*"mod":"source","msg":"refused".*"err":"(([^"\\]|\\.)*)".*/refused  \1/p'
        seen=$now
    fi
    for pid in "${pids[@]}"; do
        kill -0 "$pid" 2>/dev/null || fail "a program ended: $(tail -n 3 "$STATE"/*.log)"
    done
done

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real Kubernetes API without a node: etcd and kube-apiserver of build.sh as plain processes on
# loopback, with certificates and RBAC of their own. Nothing is durable: data is not synced to disk.
#   apiserver.sh up DIR           start both, wait until ready, write the kubeconfig DIR/admin.conf
#   apiserver.sh down DIR         end both and remove DIR
#   apiserver.sh stop DIR NAME    end one (etcd, kube-apiserver), abruptly after 5 s
#   apiserver.sh kill DIR NAME    end one abruptly
#   apiserver.sh start DIR NAME   start it again with the same port and data, wait until ready
# With AUDIT=1 in the environment of `up`, DIR/log/audit.log has a line for each write (who, what).
# DIR/pid/NAME and DIR/log/NAME.log are what they say. No controllers run: nobody makes the default
# ServiceAccounts, EndpointSlices or addresses of a Service of type LoadBalancer.
set -euo pipefail

BIN=${KUBE_HOME:-$HOME/.cache/tandem/kube}/bin
READY_S=60
SERVICES=10.96.0.0/16
# Never dialled (no endpoint is reconciled), but the API server wants one that is not loopback.
ADVERTISED=192.0.2.1

say() { echo "apiserver: $*" >&2; }
die() {
    say "$*"
    exit 1
}

# PORT... below the ephemeral range that nobody listens on
free_ports() {
    local n=$1 port taken
    taken=$(ss -ltnH | awk '{sub(/.*:/, "", $4); print $4}')
    while [ "$n" -gt 0 ]; do
        port=$((20000 + SRANDOM % 12000))
        if ! grep -qx "$port" <<<"$taken"; then
            taken+=$'\n'$port
            echo "$port"
            n=$((n - 1))
        fi
    done
}

certificates() {
    local ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes) names=DNS:localhost,IP:127.0.0.1 name
    cd "$DIR/pki"
    openssl req -x509 "${ec[@]}" -days 30 -subj /CN=test-ca -keyout ca.key -out ca.crt 2>/dev/null
    openssl ecparam -genkey -name prime256v1 -noout -out sa.key
    openssl ec -in sa.key -pubout -out sa.pub 2>/dev/null
    for name in kubernetes kubernetes.default kubernetes.default.svc; do names+=",DNS:$name"; done
    sign apiserver /CN=kube-apiserver "$names,IP:10.96.0.1"
    sign admin /O=system:masters/CN=admin DNS:admin
    cd "$OLDPWD"
}

sign() { # NAME SUBJECT ALTERNATIVES
    openssl req "${ec[@]}" -subj "$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" \
        -extfile <(printf 'extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=%s\n' "$3") 2>/dev/null
}

kubeconfig() {
    cat <<Y
apiVersion: v1
kind: Config
clusters:
- name: test
  cluster:
    server: https://127.0.0.1:$PORT
    certificate-authority-data: $(base64 -w0 "$DIR/pki/ca.crt")
users:
- name: admin
  user:
    client-certificate-data: $(base64 -w0 "$DIR/pki/admin.crt")
    client-key-data: $(base64 -w0 "$DIR/pki/admin.key")
contexts:
- name: test
  context: {cluster: test, user: admin}
current-context: test
Y
}

# NAME CMD...: keeps the command line, so that it can be started again
component() {
    local name=$1
    shift
    {
        echo '#!/bin/bash'
        printf 'echo $$ >%q\n' "$DIR/pid/$name"
        printf 'exec'
        printf ' %q' "$@"
        echo
    } >"$DIR/cmd/$name"
    chmod +x "$DIR/cmd/$name"
}

components() {
    local peer audit
    { read -r PORT && read -r ETCD_PORT && read -r peer; } < <(free_ports 3)
    echo "PORT=$PORT ETCD_PORT=$ETCD_PORT" >"$DIR/ports"
    component etcd "$BIN/etcd" --data-dir "$DIR/etcd" --unsafe-no-fsync --log-level warn \
        --listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
        --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
        --initial-cluster "default=http://127.0.0.1:$peer"
    audit=()
    if [ -n "${AUDIT:-}" ]; then
        audit_policy >"$DIR/audit.yaml"
        audit=(--audit-policy-file="$DIR/audit.yaml" --audit-log-path="$DIR/log/audit.log")
    fi
    component kube-apiserver "$BIN/kube-apiserver" --etcd-servers="http://127.0.0.1:$ETCD_PORT" \
        --bind-address=127.0.0.1 --secure-port="$PORT" --advertise-address=$ADVERTISED --endpoint-reconciler-type=none \
        --service-cluster-ip-range=$SERVICES --authorization-mode=RBAC \
        --client-ca-file="$DIR/pki/ca.crt" --tls-cert-file="$DIR/pki/apiserver.crt" --tls-private-key-file="$DIR/pki/apiserver.key" \
        --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$DIR/pki/sa.pub" \
        --service-account-signing-key-file="$DIR/pki/sa.key" --cert-dir="$DIR/pki" "${audit[@]}"
}

audit_policy() {
    cat <<Y
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, verbs: [create, update, patch, delete]}
- {level: None}
Y
}

is_running() { # NAME: by its pid, if that is still a program of this folder
    local pid
    pid=$(cat "$DIR/pid/$1" 2>/dev/null) && grep -qaF "$DIR/" "/proc/$pid/cmdline" 2>/dev/null
}

# The kernel forgets a command line before it closes the sockets.
is_there() {
    local port=$PORT
    [ "$1" != etcd ] || port=$ETCD_PORT
    is_running "$1" || [ -n "$(ss -ltnH "sport = :$port")" ]
}

is_ready() {
    local url=https://127.0.0.1:$PORT/readyz
    [ "$1" != etcd ] || url=http://127.0.0.1:$ETCD_PORT/health
    curl -sfo /dev/null --max-time 5 --cacert "$DIR/pki/ca.crt" --cert "$DIR/pki/admin.crt" --key "$DIR/pki/admin.key" "$url"
}

start() {
    local end=$((SECONDS + READY_S)) child
    ! is_running "$1" || die "$1 runs already in $DIR"
    rm -f "$DIR/pid/$1"
    setsid "$DIR/cmd/$1" >>"$DIR/log/$1.log" 2>&1 </dev/null &
    child=$! # a job of a script leads no group, so setsid does not fork
    until is_ready "$1"; do
        if [ $SECONDS -ge $end ] || ! kill -0 $child 2>/dev/null; then
            tail -n 5 "$DIR/log/$1.log" >&2
            die "$1 is not ready; see $DIR/log/$1.log"
        fi
        sleep 0.05
    done
}

stop() { # NAME SIGNAL: an API server with open watches takes a minute to leave by itself
    local pid i
    is_running "$1" || return 0
    pid=$(cat "$DIR/pid/$1")
    kill "-$2" "$pid"
    for ((i = 0; i < 250; i++)); do
        is_there "$1" || return 0
        [ $i -ne 100 ] || kill -KILL "$pid" 2>/dev/null || true
        sleep 0.05
    done
    die "$1 (pid $pid) does not end"
}

up() {
    local name
    for name in etcd kube-apiserver kubectl; do
        [ -x "$BIN/$name" ] || die "no $name in $BIN: run hack/kube/build.sh apiserver first"
    done
    [ ! -e "$DIR/cmd" ] || die "$DIR is in use: run 'apiserver.sh down $DIR' first"
    mkdir -p "$DIR"/{pki,log,pid,cmd}
    chmod 700 "$DIR/pki"
    certificates
    components
    start etcd
    start kube-apiserver
    (umask 077 && kubeconfig >"$DIR/admin.conf")
}

down() {
    [ -d "$DIR/cmd" ] || die "$DIR is not a folder of this script"
    stop kube-apiserver KILL
    stop etcd KILL
    rm -rf "$DIR"
}

usage() {
    sed -n '5,9p' "$0" >&2
    exit 2
}

[ $# -ge 2 ] || usage
DIR=$(readlink -m "$2")
if [ -e "$DIR/ports" ]; then read -r PORT ETCD_PORT < <(sed 's/[A-Z_]*=//g' "$DIR/ports"); fi
case "$1 ${3:-}" in
"up " | "down ") "$1" ;;
"stop etcd" | "stop kube-apiserver") stop "$3" TERM ;;
"kill etcd" | "kill kube-apiserver") stop "$3" KILL ;;
"start etcd" | "start kube-apiserver") start "$3" ;;
*) usage ;;
esac

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what Tandem needs, and says what it did.
#   hack/deps.sh build   what `make run` needs: compiler and libraries, from Debian packages
#   hack/deps.sh test    also what tests, lint, fuzzing and the bench need: Debian packages, Python
#                        clients from PyPI into build/venv, and a Kubernetes API server, which is
#                        built with Go (hack/kube/build.sh)
# It does nothing where everything is there already. A stamp in build/ makes the second run free.
set -euo pipefail
cd "$(dirname "$0")/.."

build_packages=(gcc make pkg-config libc6-dev ca-certificates curl
    libcurl4-openssl-dev libyaml-dev libjansson-dev libwebsockets-dev libnghttp2-dev libssl-dev
    libc-ares-dev zlib1g-dev libboost-context-dev openssl)
test_packages=(libcunit1-dev libhttp-parser-dev clang clang-format clang-tidy libclang-rt-14-dev llvm
    shellcheck nginx-light haproxy nghttp2-client python3 python3-venv procps iproute2
    util-linux)
# Client packages are pinned: a newer client is a change that somebody decides.
venv_packages=("openai==3.57.*" "pytest==8.*" "websockets==17.4" "grpcio==1.85.3" "h2==4.4.1")

say() { printf 'deps: %s\n' "$*"; }

missing_of() {
    local name
    for name in "$@"; do
        dpkg-query -W -f='${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed || printf '%s\n' "$name"
    done
}

# Debian's nginx and haproxy packages start a system service; the bench runs its own copies.
without_services() {
    local policy=/usr/sbin/policy-rc.d made=no status=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made=yes
    fi
    "$@" || status=$?
    [ "$made" = no ] || rm -f "$policy"
    return "$status"
}

install_packages() {
    local -a missing
    mapfile -t missing < <(missing_of "$@")
    if [ "${#missing[@]}" -eq 0 ]; then
        say "Debian packages: all there"
        return
    fi
    if [ "$(id -u)" -ne 0 ]; then
        say "these Debian packages are missing and only root can install them:"
        say "  apt-get install ${missing[*]}"
        exit 1
    fi
    say "installing Debian packages: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    without_services apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    say "installed ${#missing[@]} Debian packages"
}

install_venv() {
    if [ -x build/venv/bin/python ] && build/venv/bin/python -c 'import openai, pytest, websockets, grpc, h2' 2>/dev/null; then
        say "build/venv: all there"
        return
    fi
    say "installing ${venv_packages[*]} into build/venv"
    mkdir -p build
    python3 -m venv build/venv
    build/venv/bin/pip install --quiet --disable-pip-version-check "${venv_packages[@]}"
    say "build/venv is ready"
}

stamp() {
    mkdir -p build
    sha256sum hack/deps.sh >"build/.deps-$1"
}

case "${1:-}" in
build)
    install_packages "${build_packages[@]}"
    stamp build
    ;;
test)
    install_packages "${build_packages[@]}" "${test_packages[@]}"
    install_venv
    hack/kube/build.sh apiserver
    hack/kube/build.sh h2spec
    stamp build
    stamp test
    ;;
*)
    echo "usage: hack/deps.sh build|test" >&2
    exit 2
    ;;
esac

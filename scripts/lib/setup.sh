# Shared by the scripts: packages and builds. Sourced, not run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"

# Debian's interpreter, because Debian's python3-h2 and python3-pytest belong to it.
python=/usr/bin/python3

build_packages=(build-essential cmake ninja-build pkg-config libssl-dev libevent-dev
    libcurl4-openssl-dev libnghttp2-dev libjansson-dev libinih-dev libexpat1-dev libsystemd-dev uthash-dev)
lab_packages=(python3 python3-h2 nginx-light openssl curl)
test_packages=(libcmocka-dev python3-pytest squid tinyproxy krb5-kdc krb5-admin-server krb5-user
    nghttp2-client jose python3-jwcrypto)
bench_packages=(nghttp2-proxy libnginx-mod-http-echo)

# fail WHY: one line, and out.
fail() {
    printf '%s: %s\n' "$(basename "$0")" "$1" >&2
    exit 1
}

# need_packages NAME...: installs what is missing; says and does nothing when nothing is.
need_packages() {
    local missing=() name
    for name in "$@"; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) == installed ]] ||
            missing+=("$name")
    done
    ((${#missing[@]})) || return 0

    local as_root=()
    if ((EUID != 0)); then
        command -v sudo >/dev/null || fail "needs root or sudo to install: ${missing[*]}"
        as_root=(sudo)
    fi
    printf 'installing %s\n' "${missing[*]}" >&2

    # The lab starts servers of its own: keep the packages from starting theirs.
    local policy=/usr/sbin/policy-rc.d placed=
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
        placed=yes
    fi
    local log status=0
    log=$(mktemp)
    {
        "${as_root[@]}" apt-get update &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y --no-install-recommends "${missing[@]}"
    } >"$log" 2>&1 </dev/null || status=$?
    [[ -z $placed ]] || "${as_root[@]}" rm -f "$policy"
    if ((status)); then
        tail -n 20 "$log" >&2
        fail "apt-get failed, see $log"
    fi
    rm -f "$log"
}

# build PRESET: configures and builds; silent unless it fails.
build() {
    local preset=$1 log=build/$1.log
    mkdir -p build
    if ! { cmake --preset "$preset" && cmake --build --preset "$preset"; } >"$log" 2>&1; then
        grep -nE 'error|warning|FAILED' "$log" | head -n 20 >&2 || true
        tail -n 20 "$log" >&2
        fail "the $preset build failed, all of it in $log"
    fi
    if grep -q 'warning:' "$log"; then
        grep 'warning:' "$log" >&2
        fail "the $preset build has warnings"
    fi
}

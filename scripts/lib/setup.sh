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
    nghttp2-client jose python3-cryptography python3-jwcrypto prometheus)
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

# need_npm: the lab's programs for Node.js, exactly those of tests/lab/node/package-lock.json, in
# build/npm; says and does nothing when they are there. CMG_NPM names another folder that has them.
need_npm() {
    local lock=$root/tests/lab/node/package-lock.json
    need_node
    if [[ -n ${CMG_NPM-} ]]; then
        [[ -d $CMG_NPM/node_modules/oidc-provider && -d $CMG_NPM/node_modules/azurite &&
            -d $CMG_NPM/node_modules/jose ]] ||
            fail "CMG_NPM=$CMG_NPM lacks node_modules with azurite, oidc-provider and jose"
        return 0
    fi
    export CMG_NPM=$root/build/npm
    # The stamp comes last: what was cut short is done again.
    ! cmp -s "$lock" "$CMG_NPM/installed.lock" || return 0

    echo 'installing npm packages in build/npm' >&2
    mkdir -p "$CMG_NPM"
    rm -f "$CMG_NPM/installed.lock"
    cp "${lock%-lock.json}.json" "$lock" "$CMG_NPM"
    if ! npm ci --prefix "$CMG_NPM" --ignore-scripts --no-audit --no-fund \
        >build/npm.log 2>&1 </dev/null; then
        tail -n 5 build/npm.log >&2
        fail "npm ci failed (is the registry in reach?), see build/npm.log; CMG_NPM may name a folder that has the packages"
    fi
    cp "$lock" "$CMG_NPM/installed.lock"
}

# need_node: Node.js with npm, of whatever origin; Debian's when there is none.
need_node() {
    local version
    command -v node >/dev/null || need_packages nodejs npm
    version=$(node --version)
    [[ $(printf '%s\n' 18.20 "${version#v}" | sort --version-sort | head -n 1) == 18.20 ]] ||
        fail "needs Node.js 18.20 or newer with npm, this is $version: $(command -v node)"
    command -v npm >/dev/null || need_packages npm
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

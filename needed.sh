#!/bin/sh
# Is there what the build needs, wherever it is installed? If not, one sentence
# says what is missing and how Debian calls it, and the exit code is 1.
set -u
CC=${CC:-cc} PYTHON=${PYTHON:-python3}

missing=
need() { # DEBIAN'S-PACKAGE, what it is called elsewhere, a command that finds it
    package=$1 name=$2
    shift 2
    "$@" >/dev/null 2>&1 || missing="$missing, $name (Debian: $package)"
}
tool() { need "$1" "$2" command -v "$2"; }
library() { need "$1" "$2" pkg-config --exists "$2"; }

tool gcc "${CC%% *}"
tool binutils objcopy
tool protobuf-c-compiler protoc-c
tool pkgconf pkg-config
headers=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')
need python3-dev "Python.h of $PYTHON" test -e "$headers/Python.h"
if command -v pkg-config >/dev/null; then
    library libjansson-dev jansson
    library libsodium-dev libsodium
    library libprotobuf-c-dev libprotobuf-c
    library zlib1g-dev zlib
    library libcurl4-openssl-dev libcurl
fi
[ -n "$missing" ] || exit 0
echo "flameprof: it cannot be built, since here is no ${missing#, }." >&2
exit 1

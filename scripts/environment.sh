# What does this machine need before anything can be built? Sourced by the other scripts (POSIX sh).
#
# Leaves PYTHON (absolute path of the chosen interpreter), PYTHON_VERSION (X.Y), PYO3_PYTHON and CARGO_TARGET_DIR: one
# target directory for each interpreter version, so that switching between them does not build everything anew.

set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
rust_needed=1.88

say() {
    printf '\n==> %s\n' "$*"
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Installs Debian packages when this is Debian and we are root; otherwise says what is missing and ends.
# $1: what is missing, in words; the rest: the packages that have it.
install_packages() {
    missing=$1
    shift
    command -v apt-get >/dev/null || fail "$missing. Install it with your system's package manager and try again."
    [ "$(id -u)" = 0 ] || fail "$missing. Run: sudo apt-get install $*"
    say "$missing: installing $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$@"
}

need_compiler() {
    command -v cc >/dev/null || install_packages 'There is no C compiler (cc)' build-essential
}

need_rust() {
    command -v cargo >/dev/null || PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    command -v cargo >/dev/null ||
        fail "There is no Rust (cargo). Install Rust $rust_needed or later, for instance from https://rustup.rs"
    rust=$(cargo --version | cut -d ' ' -f 2)
    [ "$(printf '%s\n' "$rust_needed" "$rust" | sort -V | head -n 1)" = "$rust_needed" ] ||
        fail "Rust $rust is too old; Funicorn needs $rust_needed or later. With rustup: rustup update stable"
}

need_python() {
    PYTHON=${PYTHON:-python3}
    if ! command -v "$PYTHON" >/dev/null; then
        [ "$PYTHON" = python3 ] || fail "There is no Python at $PYTHON"
        install_packages 'There is no Python (python3)' python3 python3-dev python3-venv
    fi
    if ! "$PYTHON" "$root/scripts/describe_python.py" debian >/dev/null; then
        # Debian's own interpreter lacks something that Debian packages separately.
        install_packages 'Python lacks what Funicorn needs to be built or tested' python3-dev python3-venv
    fi
    PYTHON_VERSION=$("$PYTHON" "$root/scripts/describe_python.py" version) || exit 1
    PYTHON=$("$PYTHON" "$root/scripts/describe_python.py" executable)
    PYO3_PYTHON=$PYTHON
    CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/py$PYTHON_VERSION
    export PYTHON PYTHON_VERSION PYO3_PYTHON CARGO_TARGET_DIR
}

# Makes the virtual environment $1 with the requirements of file $2 in it, unless it is there and up to date.
virtual_environment() {
    wanted=$(printf '%s\n' "$PYTHON" && cat "$2")
    [ "$wanted" = "$(cat "$1/made-for" 2>/dev/null)" ] && return
    say "making the virtual environment $1"
    "$PYTHON" -m venv --clear "$1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$2"
    printf '%s\n' "$wanted" >"$1/made-for"
}

cd "$root"
need_compiler
need_rust
need_python

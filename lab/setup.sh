#!/bin/sh
# Makes .venv and node_modules with what is wanted: `lab` to run the desk, `test` to test it, `check` to check the code.
# Each step runs only when its lock file changed. PYTHON=/path/to/python chooses the interpreter; VENV=dir another place
# for the environment.
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
wanted=${1:-check}

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

works() {
    # A name on the PATH may be a shim that starts nothing: only an answer counts.
    "$1" -c 'import sys; sys.exit(not sys.version_info >= (3, 11))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        works "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.11 or later."
        echo "$PYTHON"
        return
    fi
    for version in 3.13 3.12 3.11; do
        for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
            if works "$candidate"; then
                echo "$candidate"
                return
            fi
        done
    done
    for candidate in python3 python; do
        if works "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or later is needed and none was found: install it from https://www.python.org/downloads/ or your package manager, or say PYTHON=/path/to/python."
}

find_node() {
    command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 ||
        fail "Node.js 20 or later is needed (with npm) for the storage emulator and none was found: install it from https://nodejs.org/."
    node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' ||
        fail "Node.js 20 or later is needed for the storage emulator; this one is $(node --version): install a newer one from https://nodejs.org/."
}

same() {
    # Whether what was installed is what the lock file says.
    cmp -s "$1" "$2" 2>/dev/null
}

case $wanted in
lab) requirements=requirements-lab.txt modules=azurite ;;
test) requirements=requirements-dev.txt modules=all ;;
check) requirements=requirements-dev.txt modules=all ;;
*) fail "there is no '$wanted' to set up: say lab, test or check." ;;
esac

python_ready() {
    # The packages for tests and checks hold those of the lab.
    [ -x "$venv/bin/python" ] || return 1
    same "$requirements" "$venv/installed.txt" || same requirements-dev.txt "$venv/installed.txt"
}

node_ready() {
    same package-lock.json "node_modules/installed-$modules.json" || same package-lock.json node_modules/installed-all.json
}

install_node() {
    omit=
    [ "$modules" = all ] || omit=--omit=dev
    npm ci $omit --no-audit --no-fund --loglevel=error || return 1
    cp package-lock.json "node_modules/installed-$modules.json"
}

install_python() {
    if ! [ -x "$venv/bin/python" ]; then
        "$python" -m venv "$venv" 2>"${TMPDIR:-/tmp}/deskbridge-venv.$$" || {
            cat "${TMPDIR:-/tmp}/deskbridge-venv.$$" >&2
            rm -rf "$venv"
            fail "$python cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv."
        }
        rm -f "${TMPDIR:-/tmp}/deskbridge-venv.$$"
    fi
    # The lock names every package, so pip need not look for more; and Python compiles what it imports.
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes -r "$requirements" ||
        fail "the Python packages could not be installed: see above."
    cp "$requirements" "$venv/installed.txt"
}

# Both are looked for first, so that a missing one is said before anything long begins.
[ -x "$venv/bin/python" ] || python=$(find_python)
find_node

# npm waits for the network while pip unpacks, so both work at once.
npm=
if ! node_ready; then
    echo "setup: installing the storage emulator, Azurite, with npm"
    install_node &
    npm=$!
fi
if ! python_ready; then
    echo "setup: installing the locked Python packages into $venv"
    install_python
fi
[ -z "$npm" ] || wait "$npm" || fail "Azurite could not be installed: see above."

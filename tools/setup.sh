#!/bin/sh
# Make .venv and install Portulan in it, exactly as requirements.lock says. Safe to run again.
# Works for any user with Python >= 3.11; where ensurepip is missing (Debian without python3-venv)
# the system's own pip fills the environment.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
STAMP=.venv/.lock-installed
if [ -f "$STAMP" ] && cmp -s requirements.lock "$STAMP"; then exit 0; fi
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "setup: $PYTHON is $("$PYTHON" -V 2>&1), Portulan needs Python >= 3.11 - set PYTHON=/path/to/python3" >&2
    exit 2
}
rm -rf .venv
if "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
    "$PYTHON" -m venv .venv
    PIP=".venv/bin/python -m pip"
elif "$PYTHON" -m pip --version >/dev/null 2>&1; then
    "$PYTHON" -m venv --without-pip .venv
    PIP="$PYTHON -m pip --python .venv/bin/python"
else
    echo "setup: $PYTHON has neither ensurepip nor pip - install python3-venv or python3-pip" >&2
    exit 2
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1
$PIP install --quiet --require-hashes -r requirements.lock
$PIP install --quiet --no-deps --no-build-isolation --editable .
.venv/bin/portulan --version >/dev/null
cp requirements.lock "$STAMP"

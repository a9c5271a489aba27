#!/bin/sh
# Make .venv and install Portulan in it, exactly as requirements.lock says. Safe to run again.
# Works for any user with Python >= 3.11; where ensurepip is missing (Debian without python3-venv)
# the system's own pip fills the environment.
set -eu
cd "$(dirname "$0")/.."
STAMP=.venv/.lock-installed
# Where PYTHONDONTWRITEBYTECODE is set, or the checkout is another user's, Python would compile
# all of it again at every start (0.1 s): so compile it here, once a change.
compiled() {
    .venv/bin/python -m compileall -q portulan 2>/dev/null || true
}
if [ -x .venv/bin/portulan ] && cmp -s requirements.lock "$STAMP"; then
    compiled
    exit 0
fi

runs() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
fills() { "$1" -c 'import ensurepip' 2>/dev/null || "$1" -m pip --version >/dev/null 2>&1; }

# The first python3 on PATH may be another user's, too old, or without pip: look further then.
found=''
unfilled=''
for each in ${PYTHON:-python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11}; do
    runs "$each" || continue
    if fills "$each"; then found=$each; break; fi
    unfilled=${unfilled:-$each}
done
if [ -z "$found" ] && [ -n "$unfilled" ]; then
    echo "setup: $unfilled has neither ensurepip nor pip - install python3-venv or python3-pip" >&2
    exit 2
elif [ -z "$found" ]; then
    echo "setup: ${PYTHON:-python3} is no Python >= 3.11 - set PYTHON=/path/to/python3" >&2
    exit 2
fi

echo "setup: making .venv with $("$found" -c 'import sys; print(sys.executable, sys.version.split()[0])')" >&2
rm -rf .venv
if "$found" -c 'import ensurepip' 2>/dev/null; then
    "$found" -m venv .venv
    pip=".venv/bin/python -m pip"
else
    "$found" -m venv --without-pip .venv
    pip="$found -m pip --python .venv/bin/python"
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
$pip install --quiet --require-hashes -r requirements.lock
$pip install --quiet --no-deps --no-build-isolation --editable .
compiled
.venv/bin/portulan --version >/dev/null
cp requirements.lock "$STAMP"

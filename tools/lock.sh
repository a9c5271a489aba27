#!/bin/sh
# Rewrite requirements.lock from pyproject.toml: every version pinned with hashes, no registry named.
set -eu
cd "$(dirname "$0")/.."
exec uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
    --no-emit-index-url --no-emit-find-links --no-annotate --group dev pyproject.toml -o requirements.lock

#!/bin/sh
# Portulan beside its peers, in one run: bench/run.sh [--write] [--rounds N] [scan16 frames connect startup local]
cd "$(dirname "$0")/.." || exit 2
exec .venv/bin/python -m bench "$@"

# setup demo test check bench fuzz docs clean - each does what it needs on a fresh machine.
BIN := .venv/bin
#: What `make fuzz` takes in all, shared by the files: make fuzz SECONDS=600
SECONDS ?= 60

.PHONY: setup demo test check bench fuzz docs clean

setup:
	@tools/setup.sh

demo: setup
	@tools/demo.sh

test: setup
	@$(BIN)/python -m pytest -n 2

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup
	@bench/run.sh

fuzz: setup
	@set -- fuzz/fuzz_*.py; each=$$(( ($(SECONDS) + $$# - 1) / $$# )); \
	for file; do echo "$$file ($$each s)"; $(BIN)/python "$$file" --seconds "$$each" || exit; done

docs: setup
	@$(BIN)/python tools/make_reference.py

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

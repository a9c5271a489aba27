# setup demo test check bench fuzz docs clean - each does what it needs on a fresh machine.
BIN := .venv/bin

.PHONY: setup demo test check bench fuzz docs clean

setup:
	@tools/setup.sh

test: setup
	@$(BIN)/python -m pytest -n 2

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

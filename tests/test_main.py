from __future__ import annotations

import subprocess
import sys

import pytest

import portulan

LOADED = "import sys, portulan.__main__ as m; m.main(); print(*sorted(sys.modules))"
HEAVY = {"click", "rich", "rich_click", "numpy", "msgspec", "duckdb", "asyncio"}

HELP = """
import sys
from portulan.cli import main
try:
    main()
finally:
    print(*sys.modules)
"""


def python(*words):
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, stdin=-3)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_version_asked_answers_without_any_library(word):
    said, loaded = python("-c", LOADED, word).splitlines()
    assert said == f"portulan {portulan.__version__}"
    assert not HEAVY & set(loaded.split())


def test_package_imported_loads_nothing_behind_it():
    loaded = python("-c", "import sys, portulan; print(*sys.modules)").split()
    assert not HEAVY & set(loaded)
    assert [name for name in loaded if name.startswith("portulan")] == ["portulan"]


@pytest.mark.parametrize(
    "before", ["pass", "from portulan.scan.sweep import Sweep", "portulan.scan"])
def test_scan_is_the_function_whatever_was_imported_before(before):
    code = f"import portulan\n{before}\nprint(portulan.scan is portulan.api.scan)"
    assert python("-W", "error", "-c", code) == "True\n"


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_asked_imports_no_verb_and_no_arrays(word):
    loaded = set(python("-c", HELP, word).splitlines()[-1].split())
    assert not loaded & {"numpy", "duckdb", "portulan.api", "portulan.cli.scan"}


def test_every_public_name_is_found_and_strangers_are_not():
    assert all(hasattr(portulan, name) for name in portulan.__all__)
    assert dir(portulan) == sorted(portulan.__all__)
    with pytest.raises(AttributeError, match="no attribute 'chart'"):
        portulan.chart  # noqa: B018 - the look is the test

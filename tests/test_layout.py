"""The repository keeps its own rules."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "portulan"
SOURCES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))

#: Source files without a test file of their own yet. This list only shrinks.
UNTESTED: set[str] = set()
#: `__init__` files that say something and re-export, tested through what they export.
DOORS = {path for path in SOURCES if path.name == "__init__.py"}

#: What runs what it reads, or gives it to a shell.
FORBIDDEN_CALLS = {"eval", "exec", "os.system", "os.popen", "yaml.load", "marshal.loads"}
#: Places of one machine, and registries by name: a clone works anywhere or not at all.
MACHINE = re.compile(
    r"(?<![\w.])/(?:work|root|opt/pypi|opt/wheels|home/(?!me/|you/)\w+)\b"
    r"|\b(?:pypi\.org|pythonhosted\.org|npmjs\.org|deb\.debian\.org)\b"
)


def home_of_test(source: Path) -> Path:
    name = "main" if source.name == "__main__.py" else source.stem
    return Path("tests") / source.parent / f"test_{name}.py"


def tracked() -> list[Path]:
    """Return the repository's text files, without the lock of hashes and pictures."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = [name for name in listed.stdout.split("\0") if name]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


@pytest.mark.parametrize("source", sorted(set(SOURCES) - DOORS), ids=str)
def test_source_file_has_its_test_file(source):
    there = (ROOT / home_of_test(source)).exists()
    listed = source.as_posix() in UNTESTED
    assert there or listed, f"write {home_of_test(source)}"
    assert not (there and listed), f"take {source} off UNTESTED: it has its test file"


def test_untested_names_files_that_exist():
    assert {path.as_posix() for path in SOURCES} >= UNTESTED


@pytest.mark.parametrize("source", sorted(DOORS), ids=str)
def test_room_says_what_it_is(source):
    doc = ast.get_docstring(ast.parse((PACKAGE / source).read_text()))
    assert doc and doc.splitlines()[0].endswith((".", ":"))


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_source_file_never_runs_what_it_reads(source):
    tree = ast.parse((PACKAGE / source).read_text())
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not names & {"pickle", "marshal", "shelve", "dill"}, f"line {node.lineno}"
        elif isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in FORBIDDEN_CALLS, f"line {node.lineno}"
            shell = [each.value for each in node.keywords if each.arg == "shell"]
            assert not any(ast.unparse(value) == "True" for value in shell), f"line {node.lineno}"


def test_no_tracked_file_names_this_machine_or_a_registry():
    mine = Path(__file__).resolve()
    found = [
        f"{path.relative_to(ROOT)}: {hit[0]}"
        for path in tracked() if path != mine
        for hit in MACHINE.finditer(text_of(path))
    ]
    assert not found


def test_lock_pins_every_version_with_hashes():
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text().strip())
    pinned = [block for block in blocks if not block.startswith("#")]
    assert len(pinned) > 20
    assert not [block for block in pinned if "==" not in block or "--hash=sha256:" not in block]


@pytest.mark.parametrize("path", sorted((ROOT / "fuzz").glob("fuzz_*.py")), ids=lambda p: p.name)
def test_fuzz_file_begins_with_its_invariant(path):
    first = text_of(path).splitlines()[0]
    assert re.match(r'"""\S.{20,}', first)
    assert "--seconds" in text_of(path), "make fuzz shares its time out by --seconds"


def rooms() -> set[str]:
    names = {path.parts[0] for path in SOURCES}
    return {name.removesuffix(".py") for name in names} - {"__init__", "__main__"}


def contracts() -> list[dict]:
    laws = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return laws["tool"]["importlinter"]["contracts"]


def test_layers_name_every_room_once():
    layers = next(each for each in contracts() if each["type"] == "layers")["layers"]
    named = [room.strip() for layer in layers for room in layer.split("|")]
    assert sorted(named) == sorted(rooms())


def test_duckdb_is_forbidden_to_every_room_but_store():
    law = next(each for each in contracts() if each["name"].startswith("DuckDB"))
    named = {name.removeprefix("portulan.") for name in law["source_modules"]}
    assert named == rooms() - {"store"}


def test_architecture_names_every_room():
    page = (ROOT / "ARCHITECTURE.md").read_text()
    missing = [room for room in rooms() if not re.search(rf"`{room}(/|\.py)?`", page)]
    assert not missing


def reference():
    path = ROOT / "tools" / "make_reference.py"
    spec = importlib.util.spec_from_file_location("make_reference", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_is_what_the_code_says():
    # In a process of its own: other tests declare headers, which join the registry.
    done = subprocess.run(
        [sys.executable, "tools/make_reference.py", "--check"], cwd=ROOT, capture_output=True,
        text=True, check=False,
    )
    assert not done.returncode, f"run: make docs\n{done.stdout}{done.stderr}"


def test_every_event_field_has_its_sentence():
    rows = [
        line for line in reference().events()
        if line.startswith("| `") and line.rstrip().endswith("|  |")
    ]
    assert not rows


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/howto/python-api.md"])
def test_examples_in_a_page_hold(name, tmp_path):
    # In a process of their own: headers that a page declares would enter our registry.
    done = subprocess.run(
        [sys.executable, "-m", "doctest", str(ROOT / name)], capture_output=True, text=True,
        check=False, stdin=-3, env=os.environ | {"PORTULAN_HOME": str(tmp_path)})
    assert done.returncode == 0, done.stdout


def test_standards_page_names_files_that_exist():
    page = (ROOT / "docs" / "rfc.md").read_text()
    named = set(re.findall(r"`([a-z0-9_/]+\.py)`", page))
    assert named
    assert not [name for name in named if not (PACKAGE / name).is_file()]


@pytest.mark.parametrize("name", ["wire", "scan", "target", "link"])
def test_standards_page_names_every_rfc_of_the_room(name):
    page = re.sub(r"\s+", " ", (ROOT / "docs" / "rfc.md").read_text())
    told = set(re.findall(r"\b\d{3,4}\b", page))
    used = {
        number for path in (PACKAGE / name).glob("*.py") if not path.stem.endswith("_data")
        for number in re.findall(r"RFC (\d+)", path.read_text())
    }
    assert not used - told


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")),
                         ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target


def test_picture_loads_nothing_from_outside():
    picture = (ROOT / "docs" / "picture" / "scan.svg").read_text()
    assert "<text" in picture
    assert not re.search(r"url\(\s*[\"']?(?!#)|@import|xlink:href|<image|<script", picture)
    assert set(re.findall(r"https?://[^\s\"'<)]+", picture)) <= {"http://www.w3.org/2000/svg"}

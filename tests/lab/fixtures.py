"""Labs for the tests of every room: import `harbour` or `make_lab` from here.

A fixture skips with its reason where namespaces are not allowed, or where nft is missing.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from portulan.lab import Lab, best_mode, load


def skip_reason(scenario: str) -> str:
    """Return why a scenario cannot be built with namespaces here; empty if it can."""
    if best_mode() == "local":
        return "no right to make network namespaces (CAP_SYS_ADMIN or user namespaces)"
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    if load(scenario).has_rules and not shutil.which("nft", path=path):
        return "the scenario has firewall rules: apt-get install nftables"
    return ""


@pytest.fixture
def loopback_to_ourselves() -> Iterator[None]:
    """Wait until no other test has a local lab: they all serve on the same addresses."""
    path = Path(tempfile.gettempdir()) / f"portulan-tests-{os.getuid()}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def make_lab(tmp_path, monkeypatch) -> Iterator[Callable[..., Lab]]:
    """Build labs by scenario: `lab = make_lab("lossy")`; each ends with the test."""
    monkeypatch.setenv("PORTULAN_HOME", str(tmp_path / "home"))
    with ExitStack() as stack:

        def make(scenario: str = "harbour", **words) -> Lab:
            if reason := "" if words.get("local") else skip_reason(scenario):
                pytest.skip(reason)
            # Labs are found by name: tests that run side by side must not share one.
            words.setdefault("name", f"test-{secrets.token_hex(6)}")
            return stack.enter_context(Lab.up(scenario, **words))

        yield make


@pytest.fixture
def harbour(make_lab) -> Lab:
    """The default lab, up for one test."""
    return make_lab("harbour")

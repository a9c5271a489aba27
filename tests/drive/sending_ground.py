"""Two namespaces joined by a veth pair for live tests of sending: `near` asks, `far` answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.link.namespace import _has_right, run


class Ground(NamedTuple):
    near: str
    far: str


def make_ground() -> Iterator[Ground]:
    if not (_has_right(12) and _has_right(13) and _has_right(21)) or not Path(
            "/usr/sbin/ip").exists():
        pytest.skip("needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN and iproute2")
    near, far = f"ptl-send-{os.getpid()}-a", f"ptl-send-{os.getpid()}-b"
    try:
        for name in (near, far):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", near, "link", "add", "va", "type", "veth", "peer", "name", "vb",
            "netns", far)
        for name, end, last in ((near, "va", 1), (far, "vb", 2)):
            run("ip", "-n", name, "addr", "add", f"10.9.0.{last}/24", "dev", end)
            run("ip", "-n", name, "addr", "add", f"fd00::{last}/64", "dev", end, "nodad")
            run("ip", "-n", name, "link", "set", end, "up")
        run("ip", "-n", far, "route", "add", "local", "10.8.0.0/16", "dev", "lo")
        run("ip", "-n", near, "route", "add", "10.8.0.0/16", "via", "10.9.0.2")
        yield Ground(near, far)
    finally:
        for name in (near, far):
            if Path(f"/run/netns/{name}").exists():
                run("ip", "netns", "del", name)


ground = pytest.fixture(scope="module")(make_ground)

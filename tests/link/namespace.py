"""A network namespace of our own for live link tests: a veth pair `va`, `vb`, quiet and up."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Run the block with this thread in the namespace; sockets made there stay there."""
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{name}") as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    name = f"ptl-link-{os.getpid()}"
    if not (_has_right(12) and _has_right(21)) or not Path("/usr/sbin/ip").exists():
        pytest.skip("needs CAP_NET_ADMIN, CAP_SYS_ADMIN and iproute2 to make a namespace")
    run("ip", "netns", "add", name)
    try:
        # Neighbour discovery of IPv6 would put frames of its own between ours.
        run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "link", "add", "va", "type", "veth", "peer", "name", "vb")
        for end in ("va", "vb"):
            run("ip", "-n", name, "link", "set", end, "up")
        yield name
    finally:
        run("ip", "netns", "del", name)


def _has_right(bit: int) -> bool:
    status = Path("/proc/self/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    return bool(int(mask, 16) >> bit & 1)

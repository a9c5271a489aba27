"""`scan -O` against stacks that can be run here: this kernel in many settings, lwIP, libslirp."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.fixtures import harbour, make_lab  # noqa: F401

from .lwip_host import ADDRESS, GATEWAY, OPEN_PORT
from .scanning import scan

pytestmark = pytest.mark.live

#: Settings that change what a kernel of Linux shows.
SETTINGS = [
    "net.ipv4.tcp_timestamps=0", "net.ipv4.tcp_sack=0", "net.ipv4.tcp_window_scaling=0",
    "net.ipv4.ip_default_ttl=128", "net.ipv4.tcp_ecn=0", "net.ipv4.ip_no_pmtu_disc=1",
    "net.ipv4.icmp_echo_ignore_all=1",
]


def families(found) -> dict[str, str]:
    assert found.code == 0, found.stderr
    return {event["addr"]: event["family"] for event in found.of("os")}


@pytest.mark.parametrize("scenario", ["harbour", "ipv6"])
def test_every_host_of_the_lab_is_linux(make_lab, scenario):  # noqa: F811
    lab = make_lab(scenario)
    targets = "fd83::10 fd83::11" if scenario == "ipv6" else "10.77.0.10 10.77.0.11"
    found = scan(lab, "-O", "-p", "1-100", targets=targets)
    assert families(found) == dict.fromkeys(targets.split(), "Linux")
    for event in found.of("os"):
        assert event["evidence"]
        assert event["confidence"] >= 0.7
        assert len(event["frames"]) >= 6


def test_settings_of_a_kernel_do_not_hide_its_family(harbour):  # noqa: F811
    for setting in SETTINGS:
        name, _, value = setting.partition("=")
        read = harbour.run(["sysctl", "-n", name], host="web", stdout=-1, text=True)
        before = read.stdout.strip()
        assert before != value
        harbour.run(["sysctl", "-qw", setting], host="web")
        try:
            found = scan(harbour, "-O", "-p", "22,81", targets="10.77.0.10")
        finally:
            harbour.run(["sysctl", "-qw", f"{name}={before}"], host="web")
        assert families(found) == {"10.77.0.10": "Linux"}, setting


def test_a_host_that_shows_nothing_has_no_family(harbour):  # noqa: F811
    nobody = "10.77.0.9"
    found = scan(harbour, "-O", "-Pn", "-p", "22,80", targets=f"{nobody} 10.77.0.10")
    assert nobody not in found.up
    assert families(found) == {"10.77.0.10": "Linux"}


def test_a_firewalled_host_is_told_by_what_it_lets_out(make_lab):  # noqa: F811
    lab = make_lab("firewalls")
    found = scan(lab, "-O", "-p", "20-100")
    assert set(families(found)) <= found.up
    assert set(families(found).values()) == {"Linux"}


@contextmanager
def lwip(lab) -> Iterator[None]:
    """Run lwIP on a tap of the scanner's."""
    scanner = lab.scenario.scanner
    for words in (
        ["tuntap", "add", "ptllwip", "mode", "tap"],
        ["addr", "add", f"{GATEWAY}/24", "dev", "ptllwip"],
        ["link", "set", "ptllwip", "up"],
    ):
        assert lab.run(["ip", *words]).returncode == 0
    process = lab.exec(
        scanner, [sys.executable, "-m", "tests.live.lwip_host"], stdin=-1, stdout=-1, stderr=-1,
        env=os.environ | {"PRECONFIGURED_TAPIF": "ptllwip"}, cwd=Path(__file__).parents[2])
    with process:
        try:
            assert any(line == b"up\n" for line in process.stdout)
            yield
        finally:
            process.kill()
            lab.run(["ip", "link", "del", "ptllwip"])


@pytest.mark.skipif(not ctypes.util.find_library("lwip") and not list(
    Path("/usr/lib").glob("*/liblwip.so.0")), reason="needs lwIP (Debian: liblwip0)")
@pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs /dev/net/tun")
def test_lwip_is_told_with_and_without_an_open_port(harbour):  # noqa: F811
    with lwip(harbour):
        found = scan(harbour, "-O", "-p", f"{OPEN_PORT},8081", targets=ADDRESS)
        assert families(found) == {ADDRESS: "lwIP"}
        found = scan(harbour, "-O", "-p", "8081-8083", targets=ADDRESS)
        assert families(found) == {ADDRESS: "lwIP"}


@pytest.mark.skipif(not shutil.which("slirp4netns"), reason="needs slirp4netns")
@pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs /dev/net/tun")
def test_libslirp_is_told(harbour):  # noqa: F811
    """Its gateway passes connections on to this machine's loopback, where a server of ours is."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        holder = subprocess.Popen(["unshare", "-n", "sleep", "60"])
        read, write = os.pipe()
        slirp = subprocess.Popen(
            ["slirp4netns", "--configure", "--ready-fd", str(write), str(_child_in_net(holder)),
             "tap0"], pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            os.close(write)
            assert _ready(read)
            found = subprocess.run(
                ["nsenter", "-t", str(holder.pid), "-n", sys.executable, "-m", "portulan", "scan",
                 "10.0.2.2", "-O", "-p", f"{port},{port - 1}", "--json", "--no-keep"],
                capture_output=True, text=True, timeout=60, check=True)
        finally:
            os.close(read)
            for process in (slirp, holder):
                process.send_signal(signal.SIGKILL)
                process.wait()
    assert '"family":"libslirp"' in found.stdout


def _child_in_net(holder: subprocess.Popen[bytes]) -> int:
    """Wait until the process has a network of its own."""
    ours = os.readlink("/proc/self/ns/net")
    for _ in range(500):
        if os.readlink(f"/proc/{holder.pid}/ns/net") != ours:
            break
        threading.Event().wait(0.01)
    return holder.pid


def _ready(read: int) -> bool:
    return os.read(read, 1) == b"1"

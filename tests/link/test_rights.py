from __future__ import annotations

import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from portulan.errors import PrivilegeError
from portulan.link import rights as room
from portulan.link.rights import Rights, grant, methods, require, rights

CHILD = """
import dataclasses, json
from portulan.link.rights import grant, methods, rights
held = rights()
print(json.dumps({
    "rights": dataclasses.asdict(held), "grant": grant(held),
    "methods": {method.name: method.allowed for method in methods(held)},
}))
"""

NONE = Rights(
    net_raw=False, net_admin=False, net_bind_service=False, packet_sockets=False,
    ping_sockets=False, ping_groups=(1, 0), files_soft=1024, files_hard=4096,
    unprivileged_port_start=1024, ephemeral_ports=(32768, 60999), foreign_network=False,
    net_raw_bounded=False, no_new_privileges=False, interpreter="/usr/bin/python3.11",
    interpreter_nosuid=False,
)
ALL = dataclasses.replace(NONE, net_raw=True, net_admin=True, packet_sockets=True)


def child(*prefix: str, python: str = sys.executable, **options: Any) -> Any:
    if prefix and not shutil.which(prefix[0]):
        pytest.skip(f"needs {prefix[0]} of util-linux")
    done = subprocess.run(
        [*prefix, python, "-c", CHILD], capture_output=True, text=True, check=False, **options,
    )
    if done.returncode and prefix and done.stderr.startswith(prefix[0]):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def allowed(held: Rights) -> dict[str, bool]:
    return {method.name: method.allowed for method in methods(held)}


def test_rights_of_this_process_agree_with_the_sockets_it_can_open() -> None:
    held = rights()
    assert held.net_raw <= held.packet_sockets or sys.platform != "linux"
    assert (held.files_soft, held.files_hard) == resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 0 < held.ephemeral_ports[0] < held.ephemeral_ports[1] < 65536
    assert held.interpreter == os.path.realpath(sys.executable)


def test_rights_leave_no_descriptor_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    rights()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.live
def test_rights_with_all_capabilities_dropped_are_none_although_root() -> None:
    if os.geteuid() != 0 or not rights().net_raw:
        pytest.skip("needs root with CAP_NET_RAW, to show that root is not what counts")
    seen = child("setpriv", "--bounding-set", "-all", "--inh-caps", "-all")
    assert not seen["rights"]["net_raw"]
    assert not seen["rights"]["packet_sockets"]
    assert seen["rights"]["net_raw_bounded"]
    assert seen["methods"]["connect"]
    assert not seen["methods"]["syn"]
    assert "--cap-add=NET_RAW" in seen["grant"]


@pytest.mark.live
def test_rights_in_a_user_namespace_on_a_foreign_network_are_none() -> None:
    seen = child("unshare", "-Ur")
    assert seen["rights"]["foreign_network"]
    assert not seen["rights"]["net_raw"]
    assert not seen["rights"]["net_admin"]
    assert not seen["methods"]["syn"]
    assert "user namespace" in seen["grant"]


@pytest.mark.live
def test_rights_in_a_user_namespace_on_its_own_network_are_full() -> None:
    seen = child("unshare", "-Urn")
    assert not seen["rights"]["foreign_network"]
    assert seen["rights"]["net_admin"]
    assert all(seen["methods"].values())


@pytest.mark.live
def test_rights_with_no_new_privileges_ask_to_leave_the_sandbox() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to take root's capabilities away")
    seen = child(
        "setpriv", "--no-new-privs", "--securebits", "+noroot", "--inh-caps", "-all",
    )
    assert not seen["rights"]["net_raw"]
    assert "no_new_privs" in seen["grant"]


@pytest.mark.live
def test_grant_command_run_gives_the_interpreter_the_right(tmp_path: Path) -> None:
    if not shutil.which("setcap") or os.geteuid() != 0:
        pytest.skip("needs root and setcap of libcap")
    python = tmp_path / "python copy"
    shutil.copy(os.path.realpath(sys.executable), python)
    place = {"env": {
        "PYTHONHOME": sys.base_prefix, "PYTHONPATH": os.pathsep.join(sys.path[1:] or [""]),
    }, "cwd": Path(__file__).parents[2]}
    as_user = ("setpriv", "--securebits", "+noroot", "--inh-caps", "-all")
    before = child(*as_user, python=str(python), **place)
    if before["rights"]["interpreter_nosuid"]:
        pytest.skip("the temporary folder is on a nosuid file system")
    assert not before["rights"]["net_raw"]
    assert before["grant"].startswith("sudo setcap ")
    command = before["grant"].removeprefix("sudo ")
    done = subprocess.run(command, shell=True, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"setcap does not work here: {done.stderr.strip()}")
    after = child(*as_user, python=str(python), **place)
    assert after["rights"]["net_raw"]
    assert not after["rights"]["net_admin"]
    assert all(after["methods"].values())


def test_methods_without_rights_leave_connect() -> None:
    assert allowed(NONE) == {
        "connect": True, "syn": False, "ping": False, "arp": False, "capture": False,
    }
    for method in methods(NONE):
        assert method.allowed or (method.grant == grant(NONE) and "CAP_NET_RAW" in method.reason)


def test_methods_with_all_rights_grant_nothing_more() -> None:
    assert all(method.allowed and not method.grant for method in methods(ALL))


def test_ping_in_the_group_range_needs_no_capability() -> None:
    held = dataclasses.replace(NONE, ping_sockets=True)
    (ping,) = [method for method in methods(held) if method.name == "ping"]
    assert ping.allowed
    assert "datagram" in ping.reason


def test_ping_outside_the_group_range_says_who_may() -> None:
    reasons = [
        next(m.reason for m in methods(dataclasses.replace(NONE, ping_groups=groups))
             if m.name == "ping")
        for groups in ((1, 0), (100, 200))
    ]
    assert reasons[0].endswith("nobody")
    assert reasons[1].endswith("groups 100 to 200")


def test_raw_without_packet_sockets_still_has_syn() -> None:
    held = dataclasses.replace(ALL, packet_sockets=False)
    assert allowed(held)["syn"]
    assert not allowed(held)["arp"]
    assert "no packet sockets" in next(m.reason for m in methods(held) if m.name == "arp")


@pytest.mark.parametrize(("change", "words"), [
    ({}, "sudo setcap cap_net_raw+ep /usr/bin/python3.11"),
    ({"interpreter": "/opt/my python/bin/python"}, "'/opt/my python/bin/python'"),
    ({"interpreter_nosuid": True}, "sudo "),
    ({"no_new_privileges": True}, "sandbox"),
    ({"net_raw_bounded": True, "no_new_privileges": True}, "--cap-add=NET_RAW"),
    ({"foreign_network": True, "net_raw_bounded": True}, "user namespace"),
])
def test_grant_fits_what_stands_in_the_way(change: dict[str, Any], words: str) -> None:
    assert words in grant(dataclasses.replace(NONE, **change))


def test_grant_on_nosuid_is_no_setcap() -> None:
    assert "setcap" not in grant(dataclasses.replace(NONE, interpreter_nosuid=True))


def test_connections_leave_descriptors_for_ourselves_and_are_never_none() -> None:
    assert NONE.connections == 4096 - room.FILES_RESERVED
    assert dataclasses.replace(NONE, files_hard=16).connections == 1


def test_require_raises_only_for_what_is_missing() -> None:
    require(NONE, "connect")
    require(ALL, "syn")
    with pytest.raises(PrivilegeError, match=r"syn: needs CAP_NET_RAW - sudo setcap"):
        require(NONE, "syn")


def test_rights_without_proc_claim_no_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(room.Path, "read_text", absent)
    held = rights()
    assert not held.net_raw
    assert held.ephemeral_ports == (32768, 60999)


def test_unlimited_files_are_a_number() -> None:
    assert room._limit(resource.RLIM_INFINITY) == 1 << 20
    assert room._limit(7) == 7

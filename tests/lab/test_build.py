from __future__ import annotations

import json
import subprocess
import sys

import pytest

from portulan.errors import UsageError
from tests.lab.fixtures import make_lab  # noqa: F401

pytestmark = pytest.mark.live

LINKS = """
import json
from pyroute2 import IPRoute
with IPRoute() as netlink:
    print(json.dumps({link.get("ifname"): [link.get("address"), link.get("mtu")]
                      for link in netlink.get_links()}))
"""
SMALL = """
about = "Three on a switch, two on a wire."
targets = ["10.90.0.0/24"]
ports = "80"
[links.wire]
mtu = 1400
static_neighbours = true
[hosts.scanner]
links = { lan = ["10.90.0.1/24"], wire = ["10.90.1.1/30"] }
[hosts.a]
links = { lan = ["10.90.0.2/24"], wire = ["10.90.1.2/30"] }
[hosts.b]
links = { lan = ["10.90.0.3/24"] }
"""


def links(lab, host: str) -> dict[str, list]:
    with lab.exec(host, [sys.executable, "-c", LINKS], stdout=subprocess.PIPE) as process:
        return json.loads(process.stdout.read())


def small(tmp_path, text: str = SMALL) -> str:
    path = tmp_path / "small.toml"
    path.write_text(text)
    return str(path)


def test_interfaces_are_named_after_links_and_have_steady_macs(make_lab, tmp_path):  # noqa: F811
    lab = make_lab(small(tmp_path))
    assert links(lab, "scanner") == {
        "lo": ["00:00:00:00:00:00", 65536],
        "lan": ["02:70:74:6c:01:00", 1500], "wire": ["02:70:74:6c:01:01", 1400],
    }
    assert set(links(lab, "switch lan")) == {"lo", "bridge", "scanner", "a", "b"}


@pytest.mark.parametrize(("change", "says"), [
    (("[hosts.b]", "[hosts.b]\nsysctls = { 'net.ipv4.none' = 1 }"), "hosts.b.sysctls: .*none"),
    (("[hosts.b]", "[hosts.b]\nroutes = ['default dev moat']"), "hosts.b.routes: no such link"),
    (("[hosts.b]", "[hosts.b]\nroutes = ['default via 9.9.9.9']"), "hosts.b: the kernel refuses"),
])
def test_what_the_kernel_refuses_is_one_line_and_leaves_nothing(make_lab, tmp_path, change, says):  # noqa: F811
    with pytest.raises(UsageError, match=says):
        make_lab(small(tmp_path, SMALL.replace(*change)), name="refused")
    assert make_lab(small(tmp_path), name="refused").run(["true"]).returncode == 0


def test_no_address_of_a_fresh_lab_is_still_being_checked(make_lab, tmp_path):  # noqa: F811
    lab = make_lab(small(tmp_path))
    with lab.exec("scanner", ["cat", "/proc/net/if_inet6"], stdout=subprocess.PIPE) as process:
        rows = [line.split() for line in process.stdout.read().decode().splitlines()]
    tentative = [row for row in rows if int(row[4], 16) & 0x40]
    assert len(rows) == 3 and not tentative

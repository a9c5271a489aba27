from __future__ import annotations

import re
from pathlib import Path

import pytest

from portulan.errors import UsageError
from portulan.lab.scenario import bundled, load, parse

GOOD = """
about = "Two."
targets = ["10.0.0.2/32"]
ports = "80"
[hosts.scanner]
links = { lan = ["10.0.0.1/24"] }
[hosts.web]
links = { lan = ["10.0.0.2/24"] }
services = [{ kind = "http", port = 80 }]
"""


def test_bundled_scenarios_are_all_there_and_sound():
    assert {"harbour", "anyip16", "lossy", "firewalls", "router", "ipv6"} <= set(bundled())
    for name in bundled():
        assert load(name).name == name


def test_a_file_reads_and_is_named_after_itself(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    assert load(str(path)).name == "mine"
    assert load(str(path)).hosts["web"].addresses == ("10.0.0.2",)


@pytest.mark.parametrize(("change", "says"), [
    (("about =", "abuot ="), "abuot"),
    (('about = "Two."', 'about = "Two'), "line 2"),
    (('kind = "http"', 'kind = "htpp"'), r"htpp.*hosts.*services\[0\]|services\[0\].*kind"),
    (("port = 80", "port = 70000"), "hosts.web: a port is 1 to 65535: '70000'"),
    (("port = 80 }", "port = 80 }, { kind = 'echo', port = 80 }"), "two services on one port"),
    (("10.0.0.2/24", "10.0.0.256/24"), r"hosts.web.links: .*10.0.0.256"),
    (("10.0.0.2/32", "10.0.0.2/24"), "targets: .*host bits"),
    (('ports = "80"', 'ports = "80-x"'), "ports: not a port"),
    (("hosts.scanner", "hosts.skanner"), "no host of the scanner's name: 'scanner'"),
    (("hosts.web", "hosts.web_server_1"), "letters, digits and '-'"),
    (("{ lan = [\"10.0.0.2", "{ lam = [\"10.0.0.2"), "a link needs two hosts: 'lan'"),
    (("services =", "loss = 1.5\nservices ="), "loss is a share from 0 to 1"),
    (("services =", "routes = ['default']\nservices ="), "routes: not `NETWORK via"),
    (("services =", "behind = ['gate']\nservices ="), "behind: unknown host: 'gate'"),
    (("services =", "rules = [{ action = 'limit' }]\nservices ="), "has a rate"),
    (("services =", "rules = [{ action = 'limit', rate = '5/s' }]\nservices ="), "as 20/second"),
    (("services =", "rules = [{ action = 'drop', ports = 'x' }]\nservices ="), "rules: not a port"),
    (("http\"", "command\""), "only `command` has a command"),
    (('http"', 'http", protocol = "udp"'), "not a UDP service: 'http'"),
    (("[hosts.scanner]", "[links.moat]\n[hosts.scanner]"), "no host is on this link: 'moat'"),
])
def test_a_mistake_is_one_line_with_its_place(change, says):
    assert change[0] in GOOD
    with pytest.raises(UsageError, match=says) as error:
        parse(GOOD.replace(*change), where="mine.toml")
    assert str(error.value).startswith("mine.toml: ") and "\n" not in str(error.value)


def test_an_unknown_name_lists_the_bundled_ones():
    with pytest.raises(UsageError, match=r"no such scenario: 'harbor'.*harbour"):
        load("harbor")


def test_an_unreadable_file_says_why(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        load(str(tmp_path / "folder.toml"))


def test_the_scenario_in_the_documentation_is_sound():
    page = Path(__file__).parents[2] / "docs" / "howto" / "lab.md"
    (text,) = re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    assert set(parse(text, where="lab.md").hosts) == {"scanner", "gate", "web"}

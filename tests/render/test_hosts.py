from __future__ import annotations

from portulan.record import Host
from portulan.render.hosts import host_lines

UP = Host(addr="192.0.2.9", state="up", reason="arp-response", mac="02:00:00:00:00:01",
          rtt_us=1500, names=["a\x1b[31m.example"])


def test_hosts_are_sorted_and_text_of_strangers_is_visible():
    lines = list(host_lines([UP, Host(addr="192.0.2.10", state="up", reason="echo-reply")]))
    assert lines[1].startswith("192.0.2.9 ")
    assert "\\x1b[31m.example" in lines[1]
    assert lines[2].endswith("by echo-reply")
    assert lines[-1] == "2 of 2 addresses answer"


def test_long_names_are_cut_at_the_width():
    long = Host(addr="192.0.2.9", state="up", reason="arp-response", names=["n" * 253])
    assert max(map(len, host_lines([long], width=80))) <= 80


def test_nobody_is_said_in_one_line():
    down = Host(addr="192.0.2.9", state="down", reason="no-response")
    assert list(host_lines([down])) == ["0 of 1 address answer"]

from __future__ import annotations

from portulan.cli.interface_option import interface_missing


def test_complaint_names_the_interfaces_there_are():
    said = str(interface_missing())
    assert said.startswith("-e: say on which interface - there are: ") and "lo" in said
    assert len(said.splitlines()) == 1

from __future__ import annotations

import re

from portulan.target.services_data import SERVICES

LINE = re.compile(r"[a-z0-9_.+-]{1,30} [0-9]{1,5}/[tus]{1,3}( [a-z0-9_.+-]{1,30})*")


def test_each_line_is_a_service():
    lines = SERVICES.splitlines()
    assert len(lines) > 500
    assert [line for line in lines if not LINE.fullmatch(line)] == []


def test_no_port_has_two_first_names():
    at = [(port, letter) for line in SERVICES.splitlines()
          for port, _, letters in [line.split()[1].partition("/")] for letter in letters]
    assert len(at) == len(set(at))
    assert all(0 < int(port) < 65_536 for port, _ in at)

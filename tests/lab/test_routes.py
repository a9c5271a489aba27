from __future__ import annotations

import pytest

from portulan.lab.routes import Route


@pytest.mark.parametrize(("text", "route"), [
    ("default via 10.0.0.1", Route("0.0.0.0/0", 4, "10.0.0.1")),
    ("default via fd00::1 metric 5", Route("::/0", 6, "fd00::1", "", 5)),
    ("default dev lan", Route("0.0.0.0/0", 4, "", "lan")),
    ("10.1.0.0/16 via 10.0.0.1 dev lan", Route("10.1.0.0/16", 4, "10.0.0.1", "lan")),
    ("fd01::/64 dev lan", Route("fd01::/64", 6, "", "lan")),
])
def test_a_route_reads_as_written(text, route):
    assert Route.parse(text) == route


@pytest.mark.parametrize("text", [
    "", "default", "10.0.0.0/8", "10.0.0.1/8 via 10.0.0.2", "default via", "default via x",
    "default metric 3", "default via 10.0.0.1 colour red", "default via 10.0.0.1 metric x",
])
def test_nonsense_is_refused(text):
    with pytest.raises(ValueError):
        Route.parse(text)

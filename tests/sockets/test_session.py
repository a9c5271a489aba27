from __future__ import annotations

import pytest

from portulan.sockets.proxyproto import Proxied, parse
from portulan.sockets.session import Given, header_bytes


@pytest.mark.parametrize("version", [1, 2])
def test_header_of_each_version_names_the_client(version):
    proxied = Proxied("192.0.2.1", 5, "192.0.2.2", 80)
    found = parse(header_bytes(proxied, version))
    assert found is not None and found.proxied == proxied
    assert header_bytes(proxied, version).startswith(b"PROXY") == (version == 1)


def test_end_carries_its_reason():
    given = Given("tls", "wrong certificate")
    assert (given.why, given.error) == ("tls", "wrong certificate")

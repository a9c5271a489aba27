from __future__ import annotations

import pytest

from .dissecting import over_udp, told


@pytest.mark.parametrize(("body", "values"), [
    (b"\0\1boot.img\0octet\0", {"file": "boot.img", "mode": "octet"}),
    (b"\0\3\0\7data", {"block": 7}), (b"\0\5\0\1no such file\0", {"error": "no such file"}),
], ids=["read", "data", "error"])
def test_message_is_told(body, values):
    found = over_udp(69, body)
    assert (told(found, "tftp"), found.defect) == (values, "")


def test_string_that_is_not_ended_is_a_defect():
    assert "not ended" in over_udp(69, b"\0\1boot").defect

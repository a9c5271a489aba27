from __future__ import annotations

import portulan.wire as wire


def test_cooked_headers_have_their_published_sizes_and_type_places():
    one = (wire.LinuxSLL() / wire.IPv6()).pack()
    two = (wire.LinuxSLL2(interface=3) / wire.IPv6()).pack()
    assert (len(one) - 40, one[14:16]) == (16, b"\x86\xdd")
    assert (len(two) - 40, two[:2], two[4:8]) == (20, b"\x86\xdd", b"\0\0\0\3")

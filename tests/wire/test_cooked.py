from __future__ import annotations

import portulan.wire as wire
from portulan.wire.columns import columns, texts
from portulan.wire.frames import Frames


def test_cooked_headers_have_their_published_sizes_and_type_places():
    one = (wire.LinuxSLL() / wire.IPv6()).pack()
    two = (wire.LinuxSLL2(interface=3) / wire.IPv6()).pack()
    assert (len(one) - 40, one[14:16]) == (16, b"\x86\xdd")
    assert (len(two) - 40, two[:2], two[4:8]) == (20, b"\x86\xdd", b"\0\0\0\3")


def test_cooked_sender_is_an_ethernet_address_where_it_has_six_octets():
    head = wire.LinuxSLL.parse(bytes.fromhex("0000 0001 0006 02005e100001 0000 0800"))
    assert (str(head.address), head.address_rest) == ("02:00:5e:10:00:01", 0)
    found = columns(Frames.of([head.pack() + bytes(20)], link_type=113), ["linuxsll.address"])
    assert texts("linuxsll.address", found["linuxsll.address"]) == ["02:00:5e:10:00:01"]

"""An independent flow table: one packet after the other, from bytes, by the RFCs' layouts."""

from __future__ import annotations

from ipaddress import ip_address


def reference_flows(packets):
    """Return the flows of (octets of Ethernet, time_ns, wire length), in order of first packet."""
    flows = {}
    for octets, time_ns, length in packets:
        ends = endpoints(octets)
        if ends is None:
            continue
        vlan, protocol, src, dst = ends
        forward, backward = (vlan, protocol, src, dst), (vlan, protocol, dst, src)
        side = "rev" if backward in flows and forward not in flows else "fwd"
        flow = flows.setdefault(backward if side == "rev" else forward, {
            "src": str(ip_address(src[0])), "dst": str(ip_address(dst[0])),
            "sport": src[1], "dport": dst[1],
            "protocol": {6: "tcp", 17: "udp"}.get(protocol, protocol),
            "packets_fwd": 0, "packets_rev": 0, "bytes_fwd": 0, "bytes_rev": 0,
            "start_ns": time_ns, "end_ns": time_ns})
        flow[f"packets_{side}"] += 1
        flow[f"bytes_{side}"] += length
        flow["start_ns"] = min(flow["start_ns"], time_ns)
        flow["end_ns"] = max(flow["end_ns"], time_ns)
    return list(flows.values())


def endpoints(octets):
    at, vlan = 12, None
    while octets[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
        vlan = int.from_bytes(octets[at + 2 : at + 4]) & 0xFFF if vlan is None else vlan
        at += 4
    kind, at = octets[at : at + 2], at + 2
    if kind == b"\x08\x00":
        protocol, src, dst = octets[at + 9], octets[at + 12 : at + 16], octets[at + 16 : at + 20]
        later = int.from_bytes(octets[at + 6 : at + 8]) & 0x1FFF
        at += (octets[at] & 15) * 4
    elif kind == b"\x86\xdd":
        protocol, src, dst = octets[at + 6], octets[at + 8 : at + 24], octets[at + 24 : at + 40]
        later, at = 0, at + 40
    else:
        return None
    ports = (0, 0)
    if protocol in (6, 17) and not later:
        ports = tuple(int.from_bytes(octets[at + n : at + n + 2]) for n in (0, 2))
    return vlan or 0, protocol, (src, ports[0]), (dst, ports[1])

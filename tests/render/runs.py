"""Runs that the tests of every format render, and the strings that strangers send."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from portulan.record import (
    AnyEvent,
    End,
    Heard,
    Hop,
    Host,
    Missed,
    Note,
    Os,
    Port,
    Progress,
    Run,
    Service,
)

RUN = Run(
    schema=1, id="20261121-100000-abcd", version="0.1.0",
    argv=["portulan", "scan", "10.0.0.0/29", "-p", "1-1000"],
    started="2026-11-21T10:00:00+00:00", seed=7, targets=["10.0.0.0/29", "www.example.org"],
    probes=8000, method="syn", why="CAP_NET_RAW is here, so half-open probes are fastest",
    hosts=8, ports="1-1000",
)
END = End(
    reason="done", hosts_up=3, open=4, sent=8123, received=3012, drops=0, elapsed_s=0.871,
    missed=Missed(estimate=0.1, low=0, high=1.2),
)


PATH = [
    Hop(target="10.0.0.2", ttl=1, addr="192.0.2.1", state="expired", rtt_us=250),
    Hop(target="10.0.0.2", ttl=2, addr="", state="silent", loss=1.0),
    Hop(target="10.0.0.2", ttl=3, addr="192.0.2.3", state="expired", name="a<b"),
    Hop(target="10.0.0.2", ttl=4, addr="10.0.0.2", state="reached", rtt_us=900),
]


def opened(addr: str, port: int, *frames: int, ttl: int = 64, rtt_us: int = 421) -> Port:
    return Port(
        addr=addr, port=port, protocol="tcp", state="open", reason="syn-ack", ttl=ttl,
        rtt_us=rtt_us, tries=1, frames=list(frames),
    )


SMALL: list[AnyEvent] = [
    RUN,
    opened("10.0.0.2", 22, 11, 12, ttl=128, rtt_us=1421),
    Host(
        addr="10.0.0.1", state="up", reason="arp-response", names=["gw.example.org"],
        mac="52:54:00:12:34:56", vendor="QEMU", rtt_us=420, hops=1,
    ),
    opened("10.0.0.1", 443, 7, 9, rtt_us=12503),
    opened("10.0.0.1", 22, 3, 4),
    opened("10.0.0.1", 80, 5, 6, rtt_us=503),
    Progress(done=0.5, sent=10, received=5, rate_pps=1000, eta_s=3),
    Service(
        addr="10.0.0.1", port=22, protocol="tcp", name="ssh", product="OpenSSH", version="9.2p1",
        info="Debian-2+deb12u3", cpe="cpe:2.3:a:openbsd:openssh:9.2p1:*:*:*:*:*:*:*",
        confidence=0.98, banner="SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
    ),
    Service(
        addr="10.0.0.1", port=443, protocol="tcp", name="http", product="nginx", version="1.22.1",
        tls=True, confidence=0.9,
    ),
    Os(addr="10.0.0.1", family="Linux", vendor="Debian", generation="6.x", confidence=0.9),
    Note(
        addr="10.0.0.1", text="443/tcp shows a certificate that expired on 2026-01-01",
        level="warning",
    ),
    Host(addr="10.0.0.2", state="up", reason="reset", rtt_us=1200),
    Port(
        addr="10.0.0.2", port=53, protocol="udp", state="open|filtered", reason="no-response",
        tries=3,
    ),
    Host(
        addr="10.0.0.1", state="up", reason="arp-response",
        rest={"tcp": {"closed": 995, "filtered": 2}},
    ),
    Host(addr="10.0.0.2", state="up", reason="reset", rest={"tcp": {"closed": 999}}),
    Host(addr="10.0.0.3", state="down", reason="no-response"),
    Host(addr="10.0.0.4", state="up", reason="echo-reply", rest={"tcp": {"filtered": 1000}}),
    END,
]
KILLED = SMALL[:-1]


def wide(count: int) -> list[AnyEvent]:
    """A run of `count` hosts that all have one open port."""
    events: list[AnyEvent] = [replace(RUN, hosts=count, targets=["10.79.0.0/16"], ports="80")]
    for i in range(count):
        addr = f"10.79.{i >> 8}.{i & 255}"
        events.append(opened(addr, 80, 2 * i + 1, 2 * i + 2))
        events.append(Host(addr=addr, state="up", reason="syn-ack", rtt_us=300))
    end = replace(END, hosts_up=count, open=count, sent=count, received=count)
    return [*events, end]


def hostile(text: str) -> list[AnyEvent]:
    """A run that has `text` in every field that a stranger fills."""
    addr = "10.0.0.1"
    return [
        Run(
            schema=1, id=text, version="0.1.0", argv=["portulan", text], started=text, seed=0,
            targets=[text], probes=1, method="syn", why=text, hosts=1, ports=text,
        ),
        Host(addr=addr, state="up", reason=text, names=[text, text], mac=text, vendor=text),
        opened(addr, 80, 1, 2),
        Service(
            addr=addr, port=80, protocol="tcp", name=text, vendor=text, product=text,
            version=text, info=text, cpe=text, rule=text, banner=text, confidence=0.5,
            os=text, device=text,
            heard=[Heard(probe=text, data=text.encode("utf-8", "surrogatepass"))],
        ),
        Os(addr=addr, family=text, vendor=text, product=text, generation=text, evidence=[text]),
        Note(addr=addr, text=text, level="warning"),
        Note(addr=text, text=text),
        End(
            reason="error", hosts_up=1, open=1, sent=1, received=1, drops=0, elapsed_s=1.0,
            error=text,
        ),
    ]


ATTACKS = [
    *map(chr, range(256)),
    *(bytes([b]).decode("utf-8", "surrogateescape") for b in range(128, 256)),
    "\ud800", "\udfff", "\ufffe", "\uffff", "\ufeff", "\U000e0001", "\U0010ffff",
    *map(chr, [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]),
    "\u2028", "\u2029", "]]>", "<!--", "-->", "--", "&", "&amp;", "&#0;", "%s%n", '"', "'", "\\",
    "\\x1b", "\\u202e", "\x1b[2J", "\x1b]0;pwned\x07", "\x1b]8;;http://evil.example\x1b\\x",
    "\x1b]52;c;aGk=\x07", "\x9b2J", "\r\nHost: x", "a\rb", "a\b\b", "\x7f\x7f",
    "[red]x[/red]", "[link=http://evil.example]x[/link]", "[/]", "[bold", ":smile:",
    "<script>window.__pwned=1</script>", "<img src=x onerror=window.__pwned=1>",
    '"><svg/onload=window.__pwned=1>', "'><iframe src=//evil.example>", "</style><script>1",
    "javascript:alert(1)", "[x](javascript:alert(1))", "![x](http://evil.example/x.png)",
    "<http://evil.example>", "http://evil.example/", "www.evil.example", "a@evil.example",
    "`x`", "``", "|a|b|", "\\|", "# x", "- x", "1. x", "***", "~~~", "    x", "> x", "&lt;b&gt;",
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '"=1', "'=1", " =1", "=cmd|' /C calc'!A0",
    "=HYPERLINK(\"http://evil.example\")", "\uff1d1", "a,b;c", "", " ", "\x00",
]

texts = st.one_of(
    st.text(max_size=40),
    st.text(st.characters(codec=None), max_size=20),
    st.binary(max_size=40).map(lambda data: data.decode("utf-8", "surrogateescape")),
    st.sampled_from(ATTACKS),
)

UNSEEN = (
    {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))} - {"\n"}
    | {*map(chr, [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF])}
    | {chr(c) for c in range(0xD800, 0xE000)}
)


def shown(output: str) -> set[str]:
    """The characters of `output` that must never reach a terminal."""
    return set(output) & UNSEEN

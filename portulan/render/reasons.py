"""Why a reason means its state, in words for a learner: by what was asked and what came back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Why:
    """How a verdict follows, by which rule, and what else could look the same."""

    text: str
    rule: str = ""
    doubt: str = ""


#: What was asked, by method: `We sent ...`.
ASKED: Final = {
    "syn": "a SYN, the request to open a connection",
    "connect": "a SYN by connect(), whose packets the kernel keeps to itself",
    "ack": "an ACK of a connection that does not exist",
    "window": "an ACK of a connection that does not exist",
    "fin": "a FIN, the end of a connection that does not exist",
    "null": "a segment without any flag",
    "xmas": "a segment with FIN, PSH and URG",
    "flags": "a segment with flags of the user's choice",
    "udp": "a datagram that a service on this port would answer",
    "sctp": "an INIT, the request to open an association",
    "ip": "a packet of this protocol without content",
}

_PROXY = ("A SYN proxy, a port forwarder or a tarpit answers so too: what is proved is a listener, "
          "not a service. The run's notes say what speaks for one of them; -sV asks further.")
_FORGED = "A firewall that rejects by reset looks the same; its TTL often differs from the host's."
_RFC_CLOSED = "RFC 9293 section 3.10.7.1"
_RFC_LISTEN = "RFC 9293 section 3.10.7.2"
_RFC_ICMP = "RFC 792, RFC 4443 section 3.1"
_SILENT = "Nothing came back to any try."
_ERROR_DOUBT = ("Whoever is on the way can say so; a late answer of the host itself would have "
                "counted more.")

#: Who answers a stray segment: a closed port resets all, an open one drops what is neither.
_STRAY = Why(
    "The answer was RST. A closed port resets whatever comes, an open one silently drops a "
    "segment with neither SYN, ACK nor RST: so nothing listens there.", _RFC_CLOSED,
    "Windows and some embedded systems reset it at open ports too: if all ports look closed, "
    "this scan tells nothing about them.")
_ACK = Why(
    "The answer was RST. An ACK of no connection is reset by open and closed ports alike, so it "
    "does not tell which this is; it proves that the packet passed all filters on the way.",
    "RFC 9293 sections 3.10.7.1 and 3.10.7.2",
    "A stateful firewall would have dropped the stray ACK; a reset may also be the firewall's.")
_OPEN_FILTERED = Why(
    f"{_SILENT} An open port drops such a segment silently, and so does a firewall that drops: "
    "the two look alike.", _RFC_LISTEN, "A SYN scan of the same port can tell them apart.")
_FILTERED = Why(
    f"{_SILENT} A host would have answered, open or closed. A firewall that drops is silent, "
    "and so are a lost packet and a host that is gone: silence alone cannot tell them apart.",
    "RFC 9293 section 3.10.7")

_PORT_UNREACH_TCP = Why(
    "An ICMP port unreachable came. TCP itself would have sent RST, so this is the word of a "
    "firewall.", "RFC 1122 section 3.2.2.1", _ERROR_DOUBT)

#: (method, reason); a reason alone stands for every other method.
WHY: Final = {
    ("syn", "syn-ack"): Why(
        "The answer was SYN ACK: a process listens there, and its system took the connection. "
        "Closed, it would have sent RST.", "RFC 9293 section 3.5", _PROXY),
    ("", "syn-ack"): Why(
        "The answer was SYN ACK, which only a listening port sends.", _RFC_LISTEN, _PROXY),
    ("connect", "syn-ack"): Why(
        "connect() succeeded: the kernel and the host finished a handshake, so a process listens "
        "there.", "RFC 9293 section 3.5", _PROXY),
    ("", "conn-accepted"): Why(
        "The kernel reported a finished handshake: a process listens there.",
        "RFC 9293 section 3.5", _PROXY),
    ("", "accept-reset"): Why(
        "The handshake was finished, then the connection was reset at once: something listens, "
        "and turned us away.", "RFC 9293 section 3.5", _PROXY),
    ("", "reset"): Why(
        "The answer was RST: the host is there, and nothing listens on this port. Open, it would "
        "have sent SYN ACK.", _RFC_CLOSED, _FORGED),
    ("ack", "reset"): _ACK,
    ("window", "reset"): Why(
        "The answer was RST. Some BSDs put a window other than 0 into the reset of an open port: "
        "that is all that this scan looks at.", "no standard", "Most systems put 0 into both: "
        "then every port looks closed, and this scan tells nothing."),
    ("fin", "reset"): _STRAY, ("null", "reset"): _STRAY, ("xmas", "reset"): _STRAY,
    ("flags", "reset"): Why(
        "The answer was RST: what that means depends on the flags that were chosen, and is taken "
        "in the manner of the scan that was asked for.", "RFC 9293 section 3.10.7"),
    ("", "conn-refused"): Why(
        "The kernel reported ECONNREFUSED: the host answered our SYN by RST, so nothing listens "
        "there.", _RFC_CLOSED, "connect() says the same of an ICMP port unreachable, which would "
        "be a firewall's word."),
    ("", "no-response"): _FILTERED,
    ("fin", "no-response"): _OPEN_FILTERED, ("null", "no-response"): _OPEN_FILTERED,
    ("xmas", "no-response"): _OPEN_FILTERED,
    ("flags", "no-response"): Why(
        f"{_SILENT} Whether an open port would have answered depends on the flags that were "
        "chosen.", "RFC 9293 section 3.10.7"),
    ("ack", "no-response"): Why(
        f"{_SILENT} Open and closed ports both reset a stray ACK, so a filter dropped the "
        "question or the answer: a stateful firewall drops it by design.", _RFC_CLOSED,
        "A lost packet or a host that is gone looks the same."),
    ("udp", "no-response"): Why(
        f"{_SILENT} A closed port would have told by ICMP; a service that did not understand the "
        "question is silent, and so is a firewall that drops.", "RFC 1122 section 4.1.3.1",
        "Systems limit their ICMP errors: a closed port may stay silent where many are asked."),
    ("sctp", "no-response"): Why(
        f"{_SILENT} An open port answers INIT by INIT ACK, a closed one by ABORT: a filter or a "
        "host without SCTP dropped it.", "RFC 9260 section 8.4"),
    ("ip", "no-response"): Why(
        f"{_SILENT} A host that does not speak the protocol should say so by ICMP: silence is "
        "from one that does, or from a filter.", "RFC 1122 section 3.2.2.1"),
    ("", "udp-response"): Why(
        "A datagram came back from the port that was asked: a service is there.", "RFC 768"),
    ("udp", "port-unreach"): Why(
        "An ICMP port unreachable came: nothing is bound to this UDP port.",
        "RFC 1122 section 4.1.3.1", "A firewall that rejects says the same."),
    ("", "port-unreach"): _PORT_UNREACH_TCP,
    ("", "init-ack"): Why(
        "The answer was INIT ACK: an SCTP endpoint listens there.", "RFC 9260 section 5.1"),
    ("", "abort"): Why(
        "The answer was ABORT: the host speaks SCTP, and nothing listens on this port.",
        "RFC 9260 section 8.4"),
    ("", "proto-response"): Why(
        "A packet of the protocol that was asked came back: the host speaks it.",
        "RFC 1122 section 3.2.2.1"),
    ("", "param-problem"): Why(
        "An ICMP parameter problem came, about what stands behind the IP header: the host reads "
        "this protocol.", "RFC 792, RFC 4443 section 3.4"),
    ("ip", "port-unreach"): Why(
        "An ICMP port unreachable came: the host speaks the protocol, and nothing is bound to the "
        "port that our packet named.", "RFC 1122 section 3.2.2.1"),
    ("ip", "proto-unreach"): Why(
        "An ICMP protocol unreachable came: the host does not speak this protocol.",
        "RFC 1122 section 3.2.2.1"),
    ("sctp", "proto-unreach"): Why(
        "An ICMP protocol unreachable came from the host itself: it does not speak SCTP, so "
        "nothing listens there.", "RFC 1122 section 3.2.2.1"),
    ("", "proto-unreach"): Why(
        "An ICMP protocol unreachable came: a filter, or a host without this protocol.",
        "RFC 1122 section 3.2.2.1", _ERROR_DOUBT),
    ("", "host-unreach"): Why(
        "An ICMP error said that the host cannot be reached.", _RFC_ICMP, _ERROR_DOUBT),
    ("", "net-unreach"): Why(
        "An ICMP error said that the network cannot be reached.", _RFC_ICMP, _ERROR_DOUBT),
    ("", "dest-unreach"): Why(
        "An ICMP error said that the destination cannot be reached.", _RFC_ICMP, _ERROR_DOUBT),
    ("", "admin-prohibited"): Why(
        "A filter on the way said that this is forbidden.",
        "RFC 1812 section 5.2.7.1, RFC 4443 section 3.1"),
    ("", "net-prohibited"): Why(
        "A filter said that this network is forbidden.", "RFC 1122 section 3.2.2.1"),
    ("", "host-prohibited"): Why(
        "A filter said that this host is forbidden.", "RFC 1122 section 3.2.2.1"),
    ("", "time-exceeded"): Why(
        "A router threw the packet away, since its time to live was over: it ran in a circle, or "
        "the way is very long.", "RFC 792, RFC 4443 section 3.3"),
    ("", "echo-reply"): Why(
        "An ICMP echo reply came: every host must answer an echo request, so one is there.",
        "RFC 1122 section 3.2.2.6, RFC 4443 section 4.2",
        "A router or firewall may answer for a host behind it."),
    ("", "timestamp-reply"): Why(
        "An ICMP timestamp reply came: a host is there.", "RFC 1122 section 3.2.2.8"),
    ("", "arp-response"): Why(
        "Somebody on the link said by ARP that the address is its own: without such an answer "
        "no packet could be sent to it.", "RFC 826", "A router that does proxy ARP answers for "
        "others; then many addresses have one Ethernet address."),
    ("", "nd-response"): Why(
        "Somebody on the link said by neighbour discovery that the address is its own; its hop "
        "limit of 255 proves that no router is between.", "RFC 4861 section 7.1.2"),
    ("", "localhost-response"): Why("The address is one of this machine's own."),
    ("", "user-set"): Why("It was not asked: -Pn takes every host for up."),
    ("", "no-route"): Why("This machine has no route there: nothing was sent."),
    ("", "no-neighbour"): Why(
        "The kernel asked for the Ethernet address in vain: nobody on the link has the address."),
    ("", "local-denied"): Why("This machine's own firewall did not let the packet out."),
}

_OWN_ERROR = Why("The host itself sent an ICMP error, so it is there.", _RFC_ICMP)

#: The same reasons where they speak of a host, not of a port.
HOST: Final = {
    "syn-ack": Why("A TCP port answered by SYN ACK, so a host is there.", "RFC 9293 section 3.5"),
    "reset": Why("A TCP port answered by RST: only a host that is up does that.", _RFC_CLOSED,
                 _FORGED),
    "no-response": Why(
        "Nothing came back to any question. A host that is off is silent, and so is one behind a "
        "firewall that drops: -Pn scans it nevertheless."),
    "conn-refused": Why("connect() was refused: a TCP port answered by RST, and only a host that "
                        "is up does that.", _RFC_CLOSED, _FORGED),
    "accept-reset": Why("A TCP port took a connection and reset it at once, so a host is there.",
                        "RFC 9293 section 3.5"),
    "port-unreach": _OWN_ERROR, "proto-unreach": _OWN_ERROR, "admin-prohibited": _OWN_ERROR,
    "udp-response": Why("A UDP service answered, so a host is there.", "RFC 768"),
}


#: What the states mean, as nmap's users know them.
STATES: Final = {
    "open": "Something on the host takes connections or datagrams on this port. What it is, only "
            "talking to it tells (-sV).",
    "closed": "The host answered that nothing listens there: it is up, and no filter hid the port.",
    "filtered": "The question or the answer was dropped or refused on the way, so it cannot be "
                "told whether something listens there.",
    "unfiltered": "The port can be reached, but the scan (ACK) does not tell open from closed.",
    "open|filtered": "Nothing came back, and for this kind of scan an open port is silent as well "
                     "as a filtered one.",
    "up": "The host answered some question.",
    "down": "Nothing was heard of the host; a firewall that drops everything looks the same.",
}


def words_about(word: str) -> dict[Why, list[str]]:
    """Return what a state or a reason means, and in which scans; empty for no such word.

    Of several, the meaning in all other scans comes last but for that of a host (`host`).
    """
    if word in STATES:
        return {Why(STATES[word]): []}
    found: dict[Why, list[str]] = {}
    rows = [(method, entry) for (method, reason), entry in WHY.items() if reason == word]
    rows.sort(key=lambda row: not row[0])
    for method, entry in (*rows, *([("host", HOST[word])] if word in HOST else [])):
        found.setdefault(entry, []).append(method)
    return found


def why(method: str, reason: str) -> Why:
    """Return how a port's state follows; of a reason we don't know, only its name."""
    found = WHY.get((method, reason)) or WHY.get(("", reason))
    return found or Why(f"The reason is `{reason}`.")


def why_host(reason: str) -> Why:
    """Return how a host's state follows."""
    return HOST.get(reason) or why("", reason)

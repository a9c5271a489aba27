"""What can go wrong, sorted by whose fault it is.

Silence, refusal and unreachable hosts are results, never exceptions. Each class carries data,
and its docstring's first line is the default message.
"""

from __future__ import annotations


class PortulanError(Exception):
    """Something went wrong."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n", 1)[0])


class UsageError(PortulanError):
    """The input is wrong.

    `text` is the offending input, `where` says where it stood (an option, `FILE:LINE`),
    `hint` says what to do; `str()` joins them into one line.
    """

    def __init__(self, reason: str, *, text: str = "", where: str = "", hint: str = "") -> None:
        self.reason, self.text, self.where, self.hint = reason, text, where, hint
        line = reason
        if text:
            line = f"{line}: {printable(text)!r}"
        if where:
            line = f"{where}: {line}"
        if hint:
            line = f"{line} - {hint}"
        super().__init__(line)


class WireError(PortulanError):
    """Bytes do not hold what their headers promise.

    `layer` names the header, `offset` is where it starts in the frame, `need` and `have` are bytes.
    """

    def __init__(
        self, reason: str, *, layer: str, offset: int, need: int = 0, have: int = 0
    ) -> None:
        self.reason, self.layer, self.offset = reason, layer, offset
        self.need, self.have = need, have
        size = f" (needs {need} bytes, has {have})" if need or have else ""
        super().__init__(f"{layer} at byte {offset}: {reason}{size}")


class PeerError(PortulanError):
    """The other side broke the protocol or went away."""


class PrivilegeError(PortulanError):
    """A right is missing on this machine.

    `right` names it (`CAP_NET_RAW`), `grant` is the command that gives it.
    """

    def __init__(self, reason: str, *, right: str, grant: str) -> None:
        self.right, self.grant = right, grant
        super().__init__(f"{reason}: needs {right} - {grant}")


class LimitError(PortulanError):
    """A named limit is reached."""


class DamageError(PortulanError):
    """A kept file is damaged beyond what can be read around."""


def printable(text: str, limit: int = 120) -> str:
    """Return `text` with control and bidi characters escaped, cut to `limit` characters.

    Everything that came from outside and goes to a terminal passes here (CWE-150).
    """
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"

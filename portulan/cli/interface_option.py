"""The option -e of verbs that listen or send: what to say where it is missing."""

from __future__ import annotations

import socket

from portulan.errors import UsageError, printable


def interface_missing() -> UsageError:
    """Return the complaint that no interface was named, with those there are."""
    names = ", ".join(name for _, name in socket.if_nameindex())
    return UsageError("say on which interface", where="-e", hint=f"there are: {printable(names)}")

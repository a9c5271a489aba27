r"""Safe checks: small scripts that ask a named service a little more, one file each.

Law: a check never does input or output, never tries a login, never writes. It is a generator that
yields what to say and is handed what was answered; who drives it holds it to its budget.

    @check("http-title", services=("http",), connections=1, octets=256 << 10, seconds=5)
    def http_title(place: Place) -> Script:
        answer = yield Say(b"GET / HTTP/1.0\r\nHost: %b\r\n\r\n" % place.host.encode())
        return [Told(f"{len(answer)} bytes")]

A file of one's own in a folder is enough: `portulan scan -sC --checks FOLDER`.
"""

from .script import Check, Place, Say, Script, Told, builtin, check, collect, ran

__all__ = [
    "Check", "Place", "Say", "Script", "Told", "builtin", "check", "collect", "ran",
]

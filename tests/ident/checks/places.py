"""Places for checks to be run at."""

from __future__ import annotations

from portulan.ident.checks import Check, Place, Told, ran
from portulan.record import Heard, Service, Tls


def place(name, *, port=80, protocol="tcp", heard=(), tls=False, certificates=(), now_s=0.0,
          host="lab.test"):
    handshake = Tls(version="TLSv1.3", certificates=list(certificates)) if tls else None
    return Place(
        Service(addr="10.9.0.2", port=port, protocol=protocol, name=name, tls=tls,
                heard=[Heard(data=data) for data in heard], handshake=handshake),
        f"{host}:{port}", now_s)


def tell(check: Check, where: Place, *answers: bytes) -> list[Told]:
    assert check.suits(where.service)
    return ran(check.script(where), answers)


def texts(told):
    return [each.text for each in told]


def levels(told):
    return [each.level for each in told]


def page(body=b"", *, status=200, headers=()):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body

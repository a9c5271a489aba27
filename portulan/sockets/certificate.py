"""A throw-away certificate, for listeners that have none of their own."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import ipaddress
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.x509 import GeneralName

LIFE: Final = datetime.timedelta(days=30)
SKEW: Final = datetime.timedelta(hours=1)
"""A client's clock may be behind ours."""
NAMES: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed certificate and its key, PEM."""

    cert: bytes
    key: bytes
    fingerprint: str
    """SHA-256 of the DER form, hex."""

    @contextlib.contextmanager
    def files(self) -> Iterator[tuple[str, str]]:
        """Lend it as files, for `ssl` loads from nothing else; only we may read them."""
        with tempfile.TemporaryDirectory(prefix="portulan-") as folder:
            paths = Path(folder, "cert.pem"), Path(folder, "key.pem")
            for path, text in zip(paths, (self.cert, self.key), strict=True):
                path.touch(mode=0o600)
                path.write_bytes(text)
            yield str(paths[0]), str(paths[1])


def throw_away(names: Sequence[str] = NAMES) -> Certificate:
    """Make a certificate for these names and addresses, once a process."""
    return _made(tuple(names))


@cache
def _made(names: tuple[str, ...]) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "portulan throw-away")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - SKEW).not_valid_after(now + LIFE)
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    return Certificate(certificate.public_bytes(Encoding.PEM), pem, digest)


def _name(text: str) -> GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)

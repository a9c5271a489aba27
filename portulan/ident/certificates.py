"""X.509 certificates as facts (RFC 5280): names, dates, key, who signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from .text import decode

TEXT_MAX: Final = 200
NAMES_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Certificate:
    """What one certificate says; times are Unix seconds."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    """Alternative names: DNS names and addresses."""
    not_before_s: float
    not_after_s: float
    key: str
    """`RSA 2048`, `EC secp256r1`, `Ed25519`."""
    rsa_bits: int
    signature: str
    """Its hash and scheme, as `sha256WithRSAEncryption`; lower case."""
    sha256: str
    self_signed: bool


def read(der: bytes) -> Certificate | None:
    """Return what a certificate in DER says; None if it is none."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        found = x509.load_der_x509_certificate(der)
        key, bits = _key(found)
        # Subject and issuer are told apart by their octets, as paths are built.
        same = found.subject.public_bytes() == found.issuer.public_bytes()
        return Certificate(
            subject=_name(found.subject), issuer=_name(found.issuer), names=_names(found),
            not_before_s=found.not_valid_before_utc.timestamp(),
            not_after_s=found.not_valid_after_utc.timestamp(), key=key, rsa_bits=bits,
            signature=_signature(found), sha256=found.fingerprint(SHA256()).hex(),
            self_signed=same and _signed_by_itself(found))
    except Exception:  # hostile octets fail in many ways inside the library
        return None


def _name(name: Any) -> str:  # noqa: ANN401 - x509.Name, imported late
    from cryptography.x509.oid import NameOID

    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for each in name.get_attributes_for_oid(oid):
            text = each.value if isinstance(each.value, str) else decode(each.value)
            return text[:TEXT_MAX]
    whole: str = name.rfc4514_string()
    return whole[:TEXT_MAX]


def _names(found: Any) -> tuple[str, ...]:  # noqa: ANN401 - x509.Certificate, imported late
    from cryptography import x509

    try:
        area = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    kinds = (x509.DNSName, x509.IPAddress)
    return tuple(str(each.value)[:TEXT_MAX] for each in area if isinstance(each, kinds))[:NAMES_MAX]


def _key(found: Any) -> tuple[str, int]:  # noqa: ANN401 - x509.Certificate, imported late
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    key = found.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}", 0
    return type(key).__name__.removesuffix("PublicKey").lstrip("_"), 0


def _signature(found: Any) -> str:  # noqa: ANN401 - x509.Certificate, imported late
    oid = found.signature_algorithm_oid
    name: str = getattr(oid, "_name", "") or oid.dotted_string
    return name.lower()


def _signed_by_itself(found: Any) -> bool:  # noqa: ANN401 - x509.Certificate, imported late
    try:
        found.verify_directly_issued_by(found)
    except Exception:  # an algorithm too old to be checked is no proof against it
        return bool(found.signature_hash_algorithm) and found.signature_hash_algorithm.name in (
            "md5", "sha1")
    return True

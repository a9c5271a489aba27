from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from portulan.ident.certificates import read

DAY_S = 86_400
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_S = NOW.timestamp()


@cache
def rsa_key(bits):
    return rsa.generate_private_key(65_537, bits)


def made(*, days=90, bits=2048, key=None, issuer="lab.test", signer=None):
    """A certificate in DER for lab.test."""
    key = key or rsa_key(bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lab.test")])
    by = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)])
    names = x509.SubjectAlternativeName([x509.DNSName("lab.test"), x509.DNSName("www.lab.test")])
    builder = x509.CertificateBuilder(
        subject_name=subject, issuer_name=by, public_key=key.public_key(), serial_number=7,
        not_valid_before=NOW, not_valid_after=NOW + timedelta(days=days),
    ).add_extension(names, critical=False)
    with_hash = None if isinstance(signer or key, ed25519.Ed25519PrivateKey) else SHA256()
    return builder.sign(signer or key, with_hash).public_bytes(Encoding.DER)


def test_names_dates_and_key_are_read():
    found = read(made())
    assert (found.subject, found.issuer) == ("lab.test", "lab.test")
    assert found.names == ("lab.test", "www.lab.test")
    assert (found.not_before_s, found.not_after_s) == (NOW_S, NOW_S + 90 * DAY_S)
    assert (found.key, found.rsa_bits) == ("RSA 2048", 2048)
    assert found.signature == "sha256withrsaencryption"
    assert found.self_signed


def test_other_keys_have_names():
    assert read(made(key=ec.generate_private_key(ec.SECP256R1()))).key == "EC secp256r1"
    assert read(made(key=ed25519.Ed25519PrivateKey.generate())).key == "Ed25519"


def test_a_certificate_by_another_is_not_signed_by_itself():
    assert not read(made(issuer="ca.test", signer=rsa_key(1024))).self_signed
    # The issuer's name alone proves nothing: another key has signed.
    assert not read(made(issuer="lab.test", signer=rsa_key(1024))).self_signed


def test_addresses_among_the_names_are_read():
    area = x509.SubjectAlternativeName([x509.IPAddress(ip_address("10.9.0.2"))])
    name = x509.Name([])
    der = x509.CertificateBuilder(
        subject_name=name, issuer_name=name, public_key=rsa_key(2048).public_key(),
        serial_number=7, not_valid_before=NOW, not_valid_after=NOW + timedelta(days=1),
    ).add_extension(area, critical=True).sign(rsa_key(2048), SHA256()).public_bytes(Encoding.DER)
    assert read(der).names == ("10.9.0.2",)


@given(st.binary(max_size=200), st.integers(0, 500), st.integers(1, 255))
def test_hostile_octets_are_no_certificate_or_one_that_reads(octets, at, change):
    assert read(octets) is None
    der = bytearray(made())
    der[at % len(der)] ^= change
    found = read(bytes(der))
    assert found is None or isinstance(found.subject, str)

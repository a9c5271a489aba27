import hashlib
import ssl
import stat
from pathlib import Path

from portulan.sockets.certificate import throw_away


def test_throw_away_made_once_and_names_what_is_asked():
    made = throw_away(("localhost", "192.0.2.1", "::1"))
    assert throw_away(("localhost", "192.0.2.1", "::1")) is made
    der = ssl.PEM_cert_to_DER_cert(made.cert.decode())
    assert hashlib.sha256(der).hexdigest() == made.fingerprint
    from cryptography import x509

    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(
        x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1", "::1"]


def test_files_lent_are_ours_alone_and_go_away():
    with throw_away().files() as paths:
        modes = [stat.S_IMODE(Path(path).stat().st_mode) for path in paths]
        assert modes == [0o600, 0o600]
    assert not any(Path(path).exists() for path in paths)

import asyncio
import ssl

import pytest

from portulan.errors import UsageError
from portulan.sockets.acceptor import listen
from portulan.sockets.certificate import throw_away
from portulan.sockets.dial import dial
from portulan.sockets.endpoint import Endpoint
from portulan.sockets.faults import DialError
from portulan.sockets.options import Options
from portulan.sockets.services import echo
from portulan.sockets.tls import client_context, server_context
from tests.sockets.talking import read_all, run


@pytest.fixture
def own(tmp_path):
    """A certificate and its key in files: for localhost, its own authority."""
    made = throw_away()
    (tmp_path / "cert.pem").write_bytes(made.cert)
    (tmp_path / "key.pem").write_bytes(made.key)
    return made, tmp_path / "cert.pem", tmp_path / "key.pem"


async def reached(listening, dialing):
    """Listen, dial, say hello; return the client's and the server's facts, and notes."""
    facts, notes = [], []

    async def handler(stream):
        facts.append(stream.facts)
        await echo(stream)

    async with await listen(listening, handler, note=notes.append) as acceptor:
        stream = await dial(dialing.format(port=acceptor.port, pin=acceptor.fingerprint))
        await stream.write(b"hello")
        await stream.write_eof()
        assert await read_all(stream) == b"hello"
        await stream.close()
        return stream.facts, facts[0], notes


def failing(listening, dialing):
    with pytest.raises(DialError) as error:
        run(reached(listening, dialing))
    assert "\n" not in str(error.value)
    return error.value


def test_own_authority_verifies_by_name_and_by_address(own):
    _, cert, key = own
    listening = f"tls://127.0.0.1:0?cert={cert}&key={key}"
    for host in ("localhost", "127.0.0.1"):
        ours, theirs, _ = run(reached(listening, f"tls://{host}:{{port}}?ca={cert}&family=4"))
        assert ours.verified and ours.subject == "portulan throw-away"
        assert ours.fingerprint == own[0].fingerprint
        assert theirs.sni == ("localhost" if host == "localhost" else "")
        assert not theirs.verified and not theirs.fingerprint


def test_throw_away_is_refused_then_pinned_then_taken_unverified():
    error = failing("tls://127.0.0.1:0", "tls://127.0.0.1:{port}")
    assert error.kind == "certificate" and "pin=" in error.hint
    ours, *_ = run(reached("tls://127.0.0.1:0", "tls://127.0.0.1:{port}?pin={pin}"))
    assert ours.verified
    ours, *_ = run(reached("tls://127.0.0.1:0", "tls://127.0.0.1:{port}?verify=no"))
    assert not ours.verified and ours.fingerprint


def test_other_pin_is_refused_with_both_fingerprints_told():
    error = failing("tls://127.0.0.1:0", "tls://127.0.0.1:{port}?pin=" + "ab" * 32)
    assert error.kind == "certificate" and throw_away().fingerprint in str(error)


def test_wrong_name_is_refused_and_sni_helps(own):
    _, cert, key = own
    listening = f"tls://127.0.0.1:0?cert={cert}&key={key}"
    error = failing(listening, f"tls://127.0.0.1:{{port}}?ca={cert}&sni=other.example")
    assert error.kind == "certificate" and "other.example" in error.reason
    ours, theirs, _ = run(
        reached(listening, f"tls://127.0.0.1:{{port}}?ca={cert}&sni=localhost"))
    assert ours.verified and theirs.sni == "localhost"


def test_alpn_agreed_is_the_listeners_choice():
    ours, theirs, _ = run(reached("tls://127.0.0.1:0?alpn=h2,http/1.1",
                                  "tls://127.0.0.1:{port}?verify=no&alpn=http/1.1,h2"))
    assert ours.alpn == theirs.alpn == "h2"


def test_client_certificate_wanted_and_given(own):
    _, cert, key = own
    listening = f"tls://127.0.0.1:0?cert={cert}&key={key}&ca={cert}"

    async def without():
        notes = []
        async with await listen(listening, echo, note=notes.append) as acceptor:
            stream = await dial(f"tls://127.0.0.1:{acceptor.port}?ca={cert}")
            with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
                await stream.read()  # in TLS 1.3 the client is done before the server judges
            stream.abort()
        assert [note.kind for note in notes] == ["tls"]
        assert "no certificate" in notes[0].text

    run(without())


def test_peer_without_tls_is_named_so():
    async def main():
        async def plain(stream):
            await stream.write(b"220 mail.example ready\r\n")
            await stream.read()

        async with await listen("0", plain) as acceptor:
            with pytest.raises(DialError, match="does not speak TLS"):
                await dial(f"tls://127.0.0.1:{acceptor.port}")

    run(main())


def test_peer_silent_in_the_handshake_is_given_up_in_time():
    async def main():
        async def silent(stream):
            await asyncio.sleep(20)

        async with await listen("0", silent) as acceptor:
            with pytest.raises(DialError) as error:
                await dial(f"tls://127.0.0.1:{acceptor.port}?timeout=0.2")
            assert error.value.kind == "timeout"

    run(main())


def test_garbage_in_the_middle_is_a_fault_after_what_came_before():
    async def main():
        async def spoil(stream):
            await stream.write(b"good")
            await stream.inner.write(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            await stream.inner.read()

        async with await listen("tls://127.0.0.1:0", spoil) as acceptor:
            stream = await dial(f"tls://127.0.0.1:{acceptor.port}?verify=no")
            assert await stream.read() == b"good"
            with pytest.raises(ssl.SSLError):
                await stream.read()
            stream.abort()

    run(main())


@pytest.mark.parametrize(("query", "words"), [
    ("ca=/nonexistent", "option ca"), ("cert=/nonexistent", "option cert"), ("key=x", "add cert"),
])
def test_wrong_files_are_usage_errors(query, words):
    options = Endpoint.parse(f"tls://h:1?{query}").options
    for make in (client_context, server_context):
        with pytest.raises(UsageError, match=words):
            make(options)


def test_key_of_another_certificate_is_a_usage_error(own, tmp_path):
    _, cert, _ = own
    other = tmp_path / "other.pem"
    other.write_bytes(throw_away(("other",)).key)
    with pytest.raises(UsageError, match="key values mismatch"):
        server_context(Options(cert=str(cert), key=str(other)))


def test_write_after_our_end_is_refused():
    async def main():
        async with await listen("tls://127.0.0.1:0", echo) as acceptor:
            stream = await dial(f"tls://127.0.0.1:{acceptor.port}?verify=no")
            await stream.write_eof()
            await stream.write_eof()
            with pytest.raises(BrokenPipeError):
                await stream.write(b"x")
            assert await read_all(stream) == b""
            await stream.close()

    run(main())

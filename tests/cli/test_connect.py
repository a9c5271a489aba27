import contextlib
import os
import re
import socket
import subprocess
import sys
import threading

import pytest

PORTULAN = [sys.executable, "-m", "portulan"]


def portulan(*words, data=b"", **more):
    return subprocess.run([*PORTULAN, *words], input=data, capture_output=True, timeout=30,
                          check=False, **more)


class Listener:
    """`portulan listen` at work; `.place` is where."""

    def __init__(self, *words, stdin=subprocess.DEVNULL, **more):
        self.process = subprocess.Popen([*PORTULAN, "listen", *words], stdin=stdin,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        line = self.process.stderr.readline().decode()
        match = re.fullmatch(r"listening on (.*)\n", line)
        assert match, line + self.process.stderr.read().decode()
        self.place = match[1]
        self.port = self.place.rpartition(":")[2]

    def pin(self):
        return self.process.stderr.readline().decode().split()[-1]

    def ended(self):
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err.decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.process.terminate()
            self.process.communicate(timeout=20)


@pytest.fixture(scope="module")
def echo():
    with Listener("0", "--echo") as listener:
        yield listener


def one_line(done, code, words):
    assert done.returncode == code
    line = done.stderr.decode()
    assert line.startswith("portulan: ") and line.count("\n") == 1 and words in line, line


def test_stdin_sent_and_only_the_answer_on_stdout(echo):
    data = os.urandom(1 << 21)
    done = portulan("connect", "127.0.0.1", echo.port, data=data)
    assert (done.returncode, done.stdout, done.stderr) == (0, data, b"")


def test_send_instead_of_stdin_and_dump_on_stderr(echo):
    done = portulan("connect", echo.place, "--send", r"h\x69\r\n", "--hex", "-v")
    assert (done.returncode, done.stdout) == (0, b"hi\r\n")
    lines = done.stderr.decode().splitlines()
    assert lines[0].startswith(f"connected to {echo.place} from 127.0.0.1:")
    assert lines[1][:28] == "> 00000000  68 69 0d 0a     " and lines[2][0] == "<"


@pytest.mark.parametrize(("words", "data", "out"), [
    (["--encode", "unhex", "--decode", "unhex"], b"de ad be ef\n", b"deadbeef"),
    (["--encode", "shift_jis", "--decode", "shift_jis"], "日本語".encode(), "日本語".encode()),
    (["--encode", "euc-kr"], "한국어".encode(), "한국어".encode("euc-kr")),
    (["--encode", "base64"], b"hello", b"aGVsbG8="),
    (["--crlf"], b"a\nb\n", b"a\r\nb\r\n"),
    (["--text"], b"a\x1b[2Jb\r\n", b"a\\x1b[2Jb\n"),
    (["--binary"], b"a\x1b[2J", b"a\x1b[2J"),
])
def test_forms_of_what_is_sent_and_received(echo, words, data, out):
    done = portulan("connect", echo.place, *words, data=data)
    assert (done.returncode, done.stdout, done.stderr) == (0, out, b"")


def test_input_that_cannot_be_encoded_is_one_line(echo):
    done = portulan("connect", echo.place, "--encode", "euc-kr", data="é".encode())
    one_line(done, 2, "euc_kr has no 'é'")


def test_silence_ends_it_with_its_own_code(echo):
    done = portulan("connect", echo.place, "--no-eof", "-i", "0.2", data=b"x")
    one_line(done, 3, "silent for 0.2 s")
    assert done.stdout == b"x"


def test_reader_of_the_output_gone_is_no_error(echo):
    script = f"head -c 3000000 /dev/zero | {' '.join(PORTULAN)} connect {echo.place} | head -c 5"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {script}; echo ${{PIPESTATUS[1]}}"],
                          capture_output=True, timeout=20, check=False)
    assert done.stdout == b"\0" * 5 + b"0\n" and done.stderr == b""


def closed_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


@pytest.mark.parametrize(("words", "said"), [
    (["127.0.0.1", closed_port()], "refused"),
    (["unix:/nonexistent/socket"], "no such socket"),
    (["exec:/nonexistent/program"], "no such socket or file"),
    (["127.0.0.1:80", "--pin", "00"], "it is for tls"), (["::1:80"], "brackets"),
    (["tls://127.0.0.1:80", "--pin", "00"], "--pin"), (["h:1", "--via", "ftp://x:1"], "--via"),
    (["h:1", "--timeout", "0"], "--timeout"), (["h:1", "-i", "x"], "--idle"), (["h"], "no port"),
    (["h:1", "--encode", "nosuch"], "no such encoding"), (["h:1", "--send", r"\q"], "escape"),
    (["--udp", "--tls", "h:1"], "exclude"), (["tcp://h:1", "80"], "a URL and a port"),
    (["-u", "h:1", "-z"], "scan -sU"),
    (["-z", "h", "x-y"], "connect -z"),
])
def test_wrong_words_and_failures_are_one_line(words, said):
    one_line(portulan("connect", *words), 2, said)


def test_check_tells_the_open_ports_by_output_and_code(echo):
    done = portulan("connect", "-z", "127.0.0.1", f"{echo.port},{closed_port()}")
    assert (done.returncode, done.stdout.decode()) == (0, f"{echo.place} open\n")
    assert portulan("connect", "-z", echo.place).returncode == 0
    one_line(portulan("connect", "-z", "127.0.0.1", closed_port()), 1, "refused")
    one_line(portulan("connect", "-z", "127.0.0.1", f"{closed_port()},{closed_port()}"), 1, "none")


def test_check_of_a_port_that_resets_at_once_is_open():
    with Listener("0", "--echo", "--deny", "127.0.0.0/8") as listener:
        assert portulan("connect", "-z", listener.place).returncode == 0


def test_tls_verified_by_default_pinned_or_not_at_all():
    with Listener("0", "--tls", "--echo", "--alpn", "h2,http/1.1") as listener:
        pin = listener.pin()
        one_line(portulan("connect", listener.place, "--tls"), 2, "self-signed certificate")
        done = portulan("connect", listener.place, "--tls", "--pin", pin, "--alpn", "http/1.1",
                        data=b"x")
        assert (done.returncode, done.stdout) == (0, b"x")
        assert re.search(rf"TLSv1.3 .*, ALPN http/1.1, certificate verified, sha256 {pin}\n",
                         done.stderr.decode())
        done = portulan("connect", f"tls://{listener.place}", "-k", "-q", data=b"x")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"x", b"")


def test_udp_answer_comes_and_silence_ends_it():
    with Listener("-u", "0", "--echo") as listener:
        done = portulan("connect", "-u", listener.place, "-i", "0.3", data=b"hello")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"hello", b"")
    one_line(portulan("connect", "-u", listener.place, "-i", "1", data=b"x"), 2, "refused")


def test_interrupted_leaves_at_once_with_its_code(echo):
    process = subprocess.Popen([*PORTULAN, "connect", "-v", echo.place], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert b"connected" in process.stderr.readline()
    process.send_signal(2)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err.strip()) == (130, b"", b"")


def test_source_and_interface_are_used(echo):
    done = portulan("connect", "-v", "-s", "127.0.0.5", "--interface", "lo", echo.place)
    assert "from 127.0.0.5:" in done.stderr.decode() and done.returncode == 0


def test_peer_that_cuts_a_tls_answer_is_told():
    from portulan.sockets.acceptor import listen
    from tests.sockets.talking import run

    async def cut(stream):
        await stream.read()
        await stream.write(b"half an ans")
        await stream.inner.write_eof()
        await stream.inner.read()

    async def main():
        import asyncio

        async with await listen("tls://127.0.0.1:0", cut) as acceptor:
            words = ["connect", f"tls://{acceptor.addresses[0]}", "--pin", acceptor.fingerprint]
            return await asyncio.to_thread(portulan, *words, "-q", data=b"x")

    done = run(main())
    assert done.stdout == b"half an ans" and b"close_notify" in done.stderr


def test_through_a_pseudo_terminal_lines_are_edited_and_the_screen_is_safe():
    import pty
    import termios

    def wait(ready):
        for _ in range(200):
            if ready():
                return
            threading.Event().wait(0.05)
        raise AssertionError(seen)

    def keep():
        with contextlib.suppress(OSError):
            while data := os.read(parent, 4096):
                seen.extend(data)

    parent, child = pty.openpty()
    seen = bytearray()
    before = termios.tcgetattr(parent)
    with Listener("0", "--exec", r"sh -c 'printf \\033[31m; cat'", "--once") as listener:
        process = subprocess.Popen([*PORTULAN, "connect", listener.place], stdin=child,
                                   stdout=child, stderr=subprocess.PIPE,
                                   env={**os.environ, "LC_ALL": "C.UTF-8"})
        os.close(child)
        reader = threading.Thread(target=keep, daemon=True)
        reader.start()
        wait(lambda: b"\\x1b[31m" in seen)
        wait(lambda: not termios.tcgetattr(parent)[3] & termios.ICANON)
        os.write(parent, "오타\x7f와 語\n".encode())
        wait(lambda: "\n오와 語".encode() in seen)
        wait(lambda: not termios.tcgetattr(parent)[3] & termios.ICANON)
        os.write(parent, b"\x1b[A\n")  # the line before, out of the history
        wait(lambda: seen.count("\n오와 語".encode()) == 3)
        os.write(parent, b"\x04")
        _, err = process.communicate(timeout=10)
    assert process.returncode == 0, err
    assert termios.tcgetattr(parent) == before
    reader.join(2)
    os.close(parent)
    assert b"\x1b[31m" not in seen

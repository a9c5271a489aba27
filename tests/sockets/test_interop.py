"""With the tools people have: ncat, socat, nc.openbsd, openssl; skipped where they are absent."""

import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time

import pytest

from portulan.sockets.certificate import throw_away
from tests.cli.test_connect import Listener, portulan

pytestmark = pytest.mark.peer
DATA = os.urandom(3_000_000)
TEXTS = ["こんにちは、世界。日本語の文章です。\n", "안녕하세요, 세계! 한국어 문장입니다.\n"]


def need(tool):
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def answering(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("it does not listen")


class Tool:
    """A peer's process, ended with the test; listening on `.port` if its words name one."""

    def __init__(self, *words, probe=True, **more):
        need(words[0])
        self.port = free_port()
        words = [word.replace("{port}", str(self.port)) for word in words]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, **more)
        if probe:
            answering(self.port)
        else:
            time.sleep(0.4)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def own(tmp_path):
    made = throw_away()
    (tmp_path / "cert.pem").write_bytes(made.cert)
    (tmp_path / "key.pem").write_bytes(made.key)
    return str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")


def test_socat_echo_gives_back_binary_and_text():
    with Tool("socat", "-t10", "TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr",
              "EXEC:cat") as tool:
        for data in (DATA, *map(str.encode, TEXTS)):
            done = portulan("connect", "127.0.0.1", str(tool.port), data=data)
            assert (done.returncode, done.stdout) == (0, data)


@pytest.mark.parametrize("words", [
    ["socat", "-t10", "-", "TCP:{place}"], ["ncat", "{host}", "{port}"],
    ["nc.openbsd", "-N", "{host}", "{port}"],
])
def test_their_clients_get_everything_from_our_echo(words):
    need(words[0])
    with Listener("0", "--echo") as listener:
        host, _, port = listener.place.rpartition(":")
        words = [word.format(place=listener.place, host=host, port=port) for word in words]
        for data in (DATA, *map(str.encode, TEXTS)):
            done = subprocess.run(words, input=data, capture_output=True, timeout=30, check=False)
            assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("listening", [
    ["ncat", "-l", "127.0.0.1", "{port}"], ["nc.openbsd", "-l", "-N", "127.0.0.1", "{port}"],
])
def test_their_listeners_get_everything_we_send(listening):
    with Tool(*listening, probe=False) as tool:
        got = []
        reader = threading.Thread(target=lambda: got.append(tool.process.stdout.read()))
        reader.start()
        tool.process.stdin.write(TEXTS[0].encode())
        tool.process.stdin.close()
        done = portulan("connect", "127.0.0.1", str(tool.port), data=DATA)
        assert (done.returncode, done.stdout) == (0, TEXTS[0].encode())
        reader.join(20)
        assert got == [DATA]
        tool.process.stdin = None


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_server_verified_answers(own, version):
    cert, key = own
    with Tool("openssl", "s_server", "-accept", "127.0.0.1:{port}", "-cert", cert, "-key", key,
              "-rev", "-quiet", version) as tool:
        done = portulan("connect", f"tls://localhost:{tool.port}?family=4&ca={cert}", "--send",
                        r"hello\n", "--no-eof", "-i", "1")
        assert done.stdout == b"olleh\n"
        assert (b"TLSv1.2" if version == "-tls1_2" else b"TLSv1.3") in done.stderr
        done = portulan("connect", f"tls://127.0.0.1:{tool.port}", data=b"x")
        assert done.returncode == 2 and b"self-signed" in done.stderr


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_client_verifies_our_listener(own, version):
    need("openssl")
    cert, key = own
    with Listener("0", "--echo", "--tls", "--cert", cert, "--key", key, "--alpn", "h2") as listener:
        words = ["openssl", "s_client", "-connect", listener.place, "-servername", "localhost",
                 "-CAfile", cert, "-verify_return_error", "-verify_hostname", "localhost",
                 "-alpn", "h2", version]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        process.stdin.write("語 hello\n".encode())
        process.stdin.flush()
        out = b""
        while "語 hello".encode() not in out:
            part = process.stdout.read1(65536)
            assert part, out
            out += part
        process.kill()
        process.communicate()
        assert b"Verify return code: 0 (ok)" in out and b"ALPN protocol: h2" in out


def test_socat_and_ncat_speak_tls_with_us(own):
    cert, key = own
    with Listener("0", "--echo", "--tls", "--cert", cert, "--key", key) as listener:
        for words in (["socat", "-t10", "-", f"OPENSSL:{listener.place},cafile={cert},"
                       "commonname=localhost"],
                      ["ncat", "--ssl", "127.0.0.1", listener.port]):
            need(words[0])
            done = subprocess.run(words, input=DATA[:100_000], capture_output=True, timeout=30,
                                  check=False)
            assert done.stdout == DATA[:100_000], done.stderr
    with Tool("socat", "-t10",
              f"OPENSSL-LISTEN:{{port}},bind=127.0.0.1,cert={cert},key={key},verify=0,fork,"
              "reuseaddr", "EXEC:cat") as tool:
        done = portulan("connect", f"tls://localhost:{tool.port}?family=4&ca={cert}",
                        data=DATA[:100_000])
        assert done.stdout == DATA[:100_000]


def test_unix_and_udp_with_socat(tmp_path):
    need("socat")
    path = f"{tmp_path}/s"
    with Tool("socat", "-t10", f"UNIX-LISTEN:{path},fork", "EXEC:cat", probe=False):
        assert portulan("connect", f"unix:{path}", data=DATA).stdout == DATA
    with Listener(f"unix:{path}2", "--echo"):
        done = subprocess.run(["socat", "-t10", "-", f"UNIX:{path}2"], input=DATA,
                              capture_output=True, timeout=30, check=False)
        assert done.stdout == DATA
    with Listener("-u", "0", "--echo") as listener:
        done = subprocess.run(["socat", "-t1", "-", f"UDP:{listener.place}"], input=b"hello",
                              capture_output=True, timeout=30, check=False)
        assert done.stdout == b"hello"


def test_through_ncats_http_proxy():
    with Listener("0", "--echo") as listener, Tool(
            "ncat", "-l", "127.0.0.1", "{port}", "--proxy-type", "http", "-k") as proxy:
        done = portulan("connect", listener.place, "--via", f"http://127.0.0.1:{proxy.port}",
                        "--send", "hello", "--no-eof", "-i", "1")
        assert done.stdout == b"hello"


def test_ipv6_with_ncat():
    need("ncat")
    with Listener("[::1]:0", "--echo") as listener:
        done = subprocess.run(["ncat", "-6", "::1", listener.port], input=DATA,
                              capture_output=True, timeout=30, check=False)
        assert done.stdout == DATA

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from portulan.record import decode
from tests.cli.test_connect import Listener, one_line, portulan

#: No right at all, as a user who is not root: what privileged ports need is named.
UNPRIVILEGED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--reuid=65534",
                "--clear-groups"]


def connected(place):
    host, _, port = place.rpartition(":")
    sock = socket.create_connection((host, int(port)), timeout=20)
    return sock


def rest(sock):
    parts = []
    while data := sock.recv(65536):
        parts.append(data)
    sock.close()
    return b"".join(parts)


def test_one_client_is_talked_with_and_its_end_is_ours():
    with Listener("0", stdin=subprocess.PIPE) as listener:
        client = connected(listener.place)
        client.sendall("안녕\n".encode())
        client.shutdown(socket.SHUT_WR)
        out, err = listener.process.communicate(b"hello\n", timeout=20)
        assert (out, err, listener.process.returncode) == ("안녕\n".encode(), b"", 0)
        assert rest(client) == b"hello\n"


def test_second_client_is_refused_while_one_is_served():
    with Listener("0", "-v") as listener:
        with connected(listener.place):
            assert b"is here" in listener.process.stderr.readline()
            with pytest.raises(ConnectionRefusedError):
                connected(listener.place)
        assert listener.ended()[0] == 0


def test_kept_open_many_are_heard_and_spoken_to():
    with Listener("-k", "0", stdin=subprocess.PIPE) as listener:
        clients = [connected(listener.place) for _ in range(3)]
        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
            assert listener.process.stdout.read1(1) == b"%d" % number
        listener.process.stdin.write(b"to all")
        listener.process.stdin.flush()
        for client in clients:
            assert client.recv(99) == b"to all"
            client.close()
        last = connected(listener.place)
        last.sendall(b"still open")
        assert listener.process.stdout.read1(99) == b"still open"
        last.close()


def test_chat_and_broker_by_hand():
    with Listener("0", "--broker") as listener:
        a, b = connected(listener.place), connected(listener.place)
        while True:
            a.sendall(b"x")
            b.settimeout(0.2)
            try:
                assert set(b.recv(9)) == {ord("x")}
                break
            except TimeoutError:
                continue  # b was not in the room yet
        a.close()
        b.close()
    with Listener("0", "--chat") as listener:
        a = connected(listener.place)
        assert a.recv(999).startswith(b"* you are guest1")
        a.sendall("日本\x1b[2J\n".encode())
        a.close()
        shown = b""
        while b"left" not in shown:
            shown += listener.process.stdout.read1(999)
        assert "<guest1> 日本\\x1b[2J\n".encode() in shown


def test_program_is_told_who_calls():
    with Listener("0", "--exec", "sh -c 'cat; echo $PORTULAN_PEER_ADDR'", "--once") as listener:
        client = connected(listener.place)
        client.sendall(b"in\n")
        client.shutdown(socket.SHUT_WR)
        assert rest(client) == b"in\n127.0.0.1\n"
        assert listener.ended() == (0, b"", "")


def test_datagrams_of_many_and_what_we_say_to_all():
    with Listener("-u", "0", stdin=subprocess.PIPE) as listener:
        peers = []
        for number in range(2):
            peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            peer.settimeout(20)
            peer.connect(("127.0.0.1", int(listener.port)))
            peer.send(b"%d" % number)
            assert listener.process.stdout.read1(9) == b"%d" % number
            peers.append(peer)
        listener.process.stdin.write(b"all")
        listener.process.stdin.flush()
        for peer in peers:
            assert peer.recv(9) == b"all"
            peer.close()


def test_group_joined_one_datagram_then_the_end():
    with Listener("-u", "0", "--join", "239.77.3.4", "--interface", "lo", "--once") as listener:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                              socket.inet_aton("127.0.0.1"))
            sender.sendto(b"to the group", ("239.77.3.4", int(listener.port)))
        assert listener.ended() == (0, b"to the group", "")


def test_idle_client_is_dropped_and_the_only_one_ends_it():
    with Listener("0", "-i", "0.2", stdin=subprocess.PIPE) as listener:
        client = connected(listener.place)
        code, _, err = listener.ended()
        assert code == 3 and "silent for 0.2 s" in err
        client.close()
    with Listener("0", "--echo", "-i", "0.2") as listener:
        client = connected(listener.place)
        with pytest.raises(ConnectionResetError):
            rest(client)
        with connected(listener.place) as other:
            other.sendall(b"y")
            assert other.recv(1) == b"y"
        client.close()
    with Listener("-u", "0", "-i", "0.2") as listener:
        assert listener.ended()[0] == 3


def test_termination_removes_the_unix_socket(tmp_path):
    with Listener(f"unix:{tmp_path}/s", "--echo") as listener:
        assert Path(tmp_path, "s").is_socket()
        listener.process.send_signal(signal.SIGTERM)
        assert listener.ended()[0] == 128 + signal.SIGTERM
    assert not Path(tmp_path, "s").exists()


def test_denied_client_is_told_of_and_does_not_count():
    with Listener("0", "--deny", "127.0.0.9", "--max-conns", "5", "--rate", "100") as listener:
        with socket.socket() as sock:
            sock.bind(("127.0.0.9", 0))
            sock.connect(("127.0.0.1", int(listener.port)))
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        assert b"not on the access list" in listener.process.stderr.readline()
        with connected(listener.place) as good:
            good.sendall(b"ok")
        assert listener.ended()[:2] == (0, b"ok")


@pytest.mark.parametrize(("words", "said"), [
    (["--echo", "--chat", "0"], "only one"), (["-u", "--exec", "cat", "0"], "datagrams know no"),
    (["-u", "--tls", "0"], "exclude"), (["192.0.2.1:0"], "not an address of this machine"),
    (["0", "--allow", "10.0.0.0/99"], "--allow"), (["0", "--cert", "x"], "it is for tls"),
    (["0", "--tls", "--cert", "/nonexistent"], "option cert"), (["0", "-i", "0"], "--idle"),
    (["0", "--exec", "'"], "--exec"), (["0", "--hex", "--echo"], "one client"),
    (["exec:cat"], "cannot listen"), (["0", "--encode", "nosuch", "-k"], "no such encoding"),
    (["0", "--decode", "nosuch"], "no such encoding"), (["0", "--echo", "--crlf"], "--crlf"),
    (["-u", "0", "--max-conns", "3"], "datagrams make no"),
    (["0", "--max-conns", "0"], "max-conns"), (["0", "--rate", "0"], "rate"),
])
def test_wrong_words_are_one_line(words, said):
    one_line(portulan("listen", *words), 2, said)


def test_port_in_use_is_one_line():
    with Listener("0", "--echo") as listener:
        one_line(portulan("listen", listener.place), 2, "in use")


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/usr/bin/setpriv"),
                    reason="needs root to give rights away")
def test_privileged_port_without_the_right_is_explained():
    done = subprocess.run([*UNPRIVILEGED, sys.executable, "-m", "portulan", "listen", "81"],
                          capture_output=True, timeout=20, check=False)
    if b"No module named" in done.stderr or done.returncode == 126:
        pytest.skip("this interpreter is not readable by others")
    one_line(done, 2, "CAP_NET_BIND_SERVICE")


def test_connections_are_kept_and_printed(tmp_path):
    home = os.environ | {"PORTULAN_HOME": str(tmp_path)}
    with Listener("0", "--echo", "--keep", "--json", env=home) as listener:
        assert b"kept in chart " in listener.process.stderr.readline()
        client = connected(listener.place)
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert rest(client) == b"hello"
        printed = listener.process.stdout.readline()
        listener.process.send_signal(signal.SIGINT)
        assert listener.ended()[0] == 128 + signal.SIGINT
    shown = portulan("charts", "show", "last", "--json", env=home).stdout.splitlines()
    assert [b'"run"' in shown[0], shown[1] + b"\n", b'"done"' in shown[2]] == [True, printed, True]
    record = decode(printed)
    assert (record.closed, record.received, record.sent) == ("end", 5, 5)


def test_silent_only_client_is_kept_as_idle(tmp_path):
    home = os.environ | {"PORTULAN_HOME": str(tmp_path)}
    with Listener("0", "-i", "0.2", "--keep", env=home) as listener, connected(listener.place):
        assert listener.ended()[0] == 3
    shown = portulan("charts", "show", "last", "--json", env=home).stdout.splitlines()
    assert decode(shown[1]).closed == "idle"


@pytest.mark.parametrize("words", [["-u", "0", "--keep"], ["0", "--json"], ["0", "-k", "--json"]])
def test_ledger_that_cannot_be_is_refused(words):
    flag = "--keep" if "--keep" in words else "--json"
    one_line(portulan("listen", *words), 2, flag)

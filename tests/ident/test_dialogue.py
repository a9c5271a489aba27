from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan.ident.dialogue import FLOODS_MAX, LANES_MAX, MS, Dialogue, Manner
from portulan.ident.dialogue_lane import HEARD_MAX
from portulan.ident.probes import TABLE, Probe, order

from .world import HANG_UP, Server, World

SSH = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10\r\n"
NGINX = (b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Length: 2\r\n"
         b"Connection: close\r\n\r\nok")
TOO_PLAIN = (b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\nContent-Length: 0\r\n\r\n")


def http(data):
    return NGINX if data.startswith(b"GET ") else HANG_UP


def test_greeting_names_it_nothing_is_asked_and_nothing_waited_for():
    world = World(Server(greeting=SSH), 40_022)
    outcome = world.run()
    assert (outcome.verdict.product, outcome.verdict.version) == ("OpenSSH", "9.2p1")
    assert outcome.asked == () and outcome.connections == 1
    assert world.took_ms < 10


def test_greeting_in_pieces_is_heard_to_its_end():
    world = World(Server(greeting=SSH, pieces=7), 40_022)
    assert world.run().verdict.version == "9.2p1"


def test_silent_port_is_asked_after_the_time_for_a_greeting():
    world = World(Server(answer=http), 40_080)
    outcome = world.run()
    assert outcome.verdict.product == "nginx" and outcome.state == "answered"
    assert 300 <= world.server.times_ms[0] < 320


def test_usual_port_of_a_client_that_speaks_first_is_asked_sooner():
    world = World(Server(answer=http), 80)
    world.run()
    assert world.server.times_ms[0] < 120


def test_usual_port_of_a_greeter_waits_for_a_slow_greeting():
    world = World(Server(greeting=b"220 mail ESMTP Postfix\r\n", greets_after_ms=1_400), 25)
    outcome = world.run()
    assert outcome.verdict.product == "Postfix"
    assert outcome.replies[0].probe == "" and "http-get" not in outcome.asked


def test_late_greeting_is_heard_while_others_ask():
    server = Server(greeting=SSH, greets_after_ms=3_500)
    outcome = World(server, 40_022).run()
    assert outcome.verdict.version == "9.2p1"


def test_answer_later_than_the_next_question_counts():
    world = World(Server(answer=lambda d: NGINX if d.startswith(b"GET ") else b"",
                         answers_after_ms=900), 40_080)
    assert world.run().verdict.product == "nginx"


def test_text_service_says_by_its_error_what_to_ask_next():
    def memcached(data):
        return b"VERSION 1.6.18\r\n" if data == b"version\r\n" else b"ERROR\r\n"

    world = World(Server(answer=memcached), 40_000)
    outcome = world.run()
    assert outcome.verdict.product == "Memcached" and outcome.verdict.version == "1.6.18"
    assert "version" in outcome.asked and len(outcome.asked) <= 4
    assert world.took_ms < 700


def test_known_protocol_is_asked_for_its_version_and_nothing_else():
    def redis(data):
        if data.startswith(b"INFO"):
            return b"$40\r\n# Server\r\nredis_version:7.0.15\r\nredis_mode:x\r\n"
        return b"-ERR unknown command 'GET'\r\n"

    outcome = World(Server(answer=redis), 40_000).run()
    assert outcome.verdict.version == "7.0.15"
    assert set(outcome.asked) <= {"http-get", "tls", "lines", "redis-ping", "redis-info"}


def test_tls_port_is_asked_inside_and_its_plain_complaint_is_no_verdict():
    def nginx(data):
        return NGINX if data.startswith(b"GET ") else HANG_UP

    outcome = World(Server(answer=nginx, tls=True), 443).run()
    assert outcome.tls.version == "TLSv1.3" and outcome.verdict.product == "nginx"
    assert outcome.replies[-1].tls


def test_greeting_inside_of_tls_on_its_port_is_waited_for():
    server = Server(greeting=b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n", tls=True,
                    greets_after_ms=1_000)
    outcome = World(server, 993).run()
    assert outcome.verdict.name == "imap" and outcome.tls is not None


def test_tls_on_an_unknown_port_is_found():
    outcome = World(Server(answer=http, tls=True), 40_443).run()
    assert outcome.tls is not None and outcome.verdict.product == "nginx"


EHLO = b"250-mail\r\n250-STARTTLS\r\n250 HELP\r\n"


@pytest.mark.parametrize(("greeting", "answers", "last"), [
    (b"220 mail ESMTP Exim 4.96\r\n", {b"EHLO": EHLO, b"STARTTLS": b"220 go\r\n"}, b"STARTTLS"),
    (b"+OK Dovecot ready.\r\n", {b"STLS": b"+OK\r\n"}, b"STLS"),
    (b"220 ProFTPD 1.3.5 Server\r\n", {b"AUTH TLS": b"234 go\r\n"}, b"AUTH TLS"),
    (b"* OK Dovecot ready.\r\n", {b"a9 STARTTLS": b"a9 OK\r\n"}, b"STARTTLS"),
])
def test_plain_service_goes_on_to_tls_where_it_offers_it(greeting, answers, last):
    def answer(data):
        return next((said for asked, said in answers.items() if data.startswith(asked)),
                    b"500 what?\r\n")

    world = World(Server(greeting=greeting, answer=answer, starttls=last), 40_025)
    outcome = world.run()
    assert outcome.upgraded is not None and outcome.tls is None
    assert outcome.connections == 1 and world.took_ms < 600


@pytest.mark.parametrize("ehlo", [b"250 mail\r\n", b"502 no\r\n", b"", None])
def test_plain_service_without_tls_is_left_as_it_is(ehlo):
    world = World(Server(greeting=b"220 mail ESMTP Exim 4.96\r\n", answer=lambda _: ehlo), 40_025)
    outcome = world.run()
    assert outcome.upgraded is None and outcome.verdict.version == "4.96"
    assert world.took_ms < 1_500


def test_bad_request_waits_for_the_handshake_beside_it():
    server = Server(answer=lambda d: TOO_PLAIN if d.startswith(b"GET ") else b"")
    world = World(server, 40_443)
    world._secure = lambda lane: world.later(50, lambda: world.dialogue.secured(
        lane, __import__("portulan.ident.dialogue_known", fromlist=["Secured"]).Secured("TLSv1.2"),
        world.now))
    outcome = world.run()
    assert outcome.tls is not None


def test_refused_is_closed_at_once():
    world = World(Server(refused=True), 40_000)
    assert world.run().state == "closed" and world.took_ms < 5


def test_port_that_hangs_up_before_a_word_is_wrapped_and_left_alone():
    world = World(Server(hangs_up=True), 40_000)
    outcome = world.run()
    assert (outcome.state, outcome.connections, outcome.asked) == ("wrapped", 2, ())


def test_host_that_lets_no_connection_come_about_is_unreachable():
    world = World(Server(mute=True), 40_000)
    assert world.run().state == "unreachable"
    assert world.took_ms <= 8_000


def test_silence_ends_within_the_budget_with_few_connections_at_once():
    world = World(Server(), 40_000)
    outcome = world.run(limit_ms=8_001)
    assert outcome.state == "silent" and outcome.verdict is None
    assert world.at_most <= LANES_MAX
    assert set(outcome.asked) >= {probe.name for probe in TABLE[:30]}


def test_server_for_one_client_at_a_time_is_named():
    server = Server(answer=lambda d: b"+PONG\r\n" if d == b"PING\r\n" else b"",
                    one_at_a_time=True)
    outcome = World(server, 40_000).run()
    assert outcome.verdict is not None and outcome.verdict.name == "redis"


def test_drip_ends_with_what_it_said():
    server = Server(greeting=b"x" * 100, pieces=1, between_ms=70)
    world = World(server, 40_000)
    outcome = world.run(limit_ms=8_001)
    assert outcome.replies


def test_flood_is_cut_off():
    server = Server(greeting=b"\xee" * (4 << 20), pieces=1 << 16)
    world = World(server, 40_000)
    outcome = world.run(limit_ms=8_001)
    assert all(len(reply.data) <= HEARD_MAX for reply in outcome.replies)
    assert len(outcome.replies) == FLOODS_MAX and outcome.state == "answered"


def test_service_that_returns_what_it_is_asked_is_an_echo_and_no_other():
    world = World(Server(answer=lambda data: data), 40_007)
    outcome = world.run()
    assert outcome.verdict.name == "echo" and world.took_ms < 700
    assert World(Server(answer=lambda data: data), 445).run().verdict.name == "echo"


def test_printer_is_listened_to_and_never_asked():
    world = World(Server(), 9_100)
    assert world.run().asked == () and world.server.seen == []


def test_what_asks_somebody_at_a_screen_is_asked_on_its_port_alone():
    assert "adb" in World(Server(), 5_555).run().asked
    assert "adb" not in World(Server(), 40_555).run().asked


def test_port_that_says_nothing_is_asked_everything_within_its_budget():
    asked = World(Server(), 40_000).run().asked
    assert {probe.name for probe in order(40_000)} == set(asked)


DNS = Probe("dns", b"ask", (53,), "", "udp")


def test_datagram_is_sent_twice_and_its_answer_ends_it():
    server = Server(answer=lambda d: b"" if len(server.seen) < 2 else bytes.fromhex(
        "1234818000010001000000000776657273696f6e0462696e640000100003c00c00100003"
        "0000000000040339312e"))
    outcome = World(server, 53, "udp", probes=[DNS]).run()
    assert server.seen[:2] == [b"ask", b"ask"] and outcome.verdict.name == "domain"


def test_datagrams_that_nobody_answers_end_silent():
    world = World(Server(), 53, "udp", probes=[DNS])
    assert world.run().state == "silent" and world.server.seen == [b"ask"] * 2


def test_stop_ends_with_what_is_known():
    dialogue = Dialogue(80, now=0)
    dialogue.emit(0)
    dialogue.stop()
    assert dialogue.done and dialogue.outcome().state == "stopped"
    assert dialogue.deadline() is None


def test_greeting_is_waited_for_from_when_the_connection_stood_not_from_when_we_heard_of_it():
    dialogue = Dialogue(40_000, now=0)
    dialogue.emit(0)
    dialogue.opened(1, 200 * MS, rtt_ns=1 * MS)
    assert dialogue.deadline() == (1 + 300 + 2) * MS


def test_news_of_connections_that_are_gone_change_nothing():
    dialogue = Dialogue(80, now=0)
    dialogue.emit(0)
    dialogue.opened(9, 1)
    dialogue.heard(9, b"x", 1)
    dialogue.ended(9, "eof", 1)
    assert not dialogue.done


def test_greeter_whose_connection_ended_is_met_again_for_its_version():
    server = Server(greeting=b"# munin node at x\n", greets_after_ms=320,
                    answer=lambda d: HANG_UP if d.startswith(b"GET") else b"munins node version\n")
    outcome = World(server, 40_000).run()
    assert outcome.verdict.name == "munin" and b"version\n" in server.seen


def test_broker_that_has_answered_is_asked_more_on_the_same_connection():
    def broker(data):
        return {b"\x10": b"\x20\x02\0\0", b"\x82": b"\x90\x03\0\1\0"}.get(data[:1], HANG_UP)

    server = Server(answer=broker)
    outcome = World(server, 40_000).run()
    assert outcome.verdict.name == "mqtt" and server.seen[-1][:1] == b"\x82"


def test_question_cut_off_in_a_line_does_not_begin_the_next():
    def munin(data):
        return b"munins node on x version: 2.0\n" if data == b"version\n" else b""

    class Late(World):
        def _connect(self, lane):
            self.server.greets_after_ms = 600 if lane < 5 else 1
            super()._connect(lane)

    server = Server(greeting=b"# munin node at x\n", answer=munin)
    outcome = Late(server, 40_000).run()
    assert outcome.verdict.name == "munin" and outcome.replies[-1].probe == "munin-version"
    assert server.seen[-1] == b"version\n"


@pytest.mark.parametrize("rtt_ms", [1, 250])
def test_far_host_has_its_greeting_waited_for(rtt_ms):
    world = World(Server(greeting=SSH, greets_after_ms=200), 40_022, rtt_ms=rtt_ms)
    outcome = world.run()
    assert outcome.verdict.product == "OpenSSH" and outcome.connections == 1


@settings(max_examples=60, deadline=None)
@given(answers=st.lists(st.none() | st.binary(max_size=300), min_size=1, max_size=6),
       greeting=st.binary(max_size=80), pieces=st.integers(1, 50), tls=st.booleans(),
       port=st.sampled_from([22, 25, 80, 443, 993, 6379, 40_000]))
def test_any_server_ends_within_the_budget(answers, greeting, pieces, tls, port):
    turns = iter(answers * 100)
    server = Server(answer=lambda _: next(turns, HANG_UP), greeting=greeting, pieces=pieces,
                    tls=tls)
    world = World(server, port, manner=Manner(budget_ns=4_000_000_000))
    world.run(limit_ms=4_001)
    assert world.at_most <= LANES_MAX

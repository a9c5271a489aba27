from __future__ import annotations

from portulan.ident.dialogue_agenda import PATIENT_AT, Agenda
from portulan.ident.dialogue_next import Follow
from portulan.ident.probes import LISTEN, TLS, Probe, order

ONE, TWO = Probe("one", b"1"), Probe("two", b"2")


def taken(agenda):
    found = []
    while agenda:
        found.append(agenda.next())
    return found


def test_listener_comes_after_the_likely_and_first_where_the_service_greets():
    assert [item.probe for item in taken(Agenda(order(40_000), port=40_000, datagrams=False))
            ][PATIENT_AT] is LISTEN
    assert Agenda(order(22), port=22, datagrams=False).next().probe is LISTEN


def test_tls_port_begins_with_tls_and_inside_has_none():
    agenda = Agenda(order(993), port=993, datagrams=False)
    assert agenda.next().probe is TLS
    agenda.inside = True
    agenda.reset()
    items = taken(agenda)
    assert items[0].probe is LISTEN and all(item.tls and not item.probe.tls for item in items)


def test_datagrams_have_no_listener():
    agenda = Agenda([ONE, TWO], port=53, datagrams=True)
    assert [item.probe for item in taken(agenda)] == [ONE, TWO]


def test_questions_put_in_front_stand_there_once():
    agenda = Agenda([ONE, TWO], port=1, datagrams=True)
    agenda.first([Follow(TWO, same=False)])
    assert [item.probe for item in taken(agenda)] == [TWO, ONE]


def test_question_for_the_same_connection_is_given_to_it_or_dropped():
    agenda = Agenda([ONE], port=1, datagrams=True)
    agenda.first([Follow(TWO, same=True)])
    assert agenda.next_same() is TWO and agenda.next_same() is None
    agenda.first([Follow(TWO, same=True)])
    agenda.drop_same()
    assert [item.probe for item in taken(agenda)] == [ONE]


def test_next_usual_tells_whether_the_port_is_the_probe_s_own():
    assert Agenda(order(6379), port=6379, datagrams=True).next_usual(6379)
    assert not Agenda([ONE], port=6379, datagrams=True).next_usual(6379)
    empty = Agenda([ONE], port=1, datagrams=True)
    empty.clear()
    assert not empty and not empty.next_usual(1)

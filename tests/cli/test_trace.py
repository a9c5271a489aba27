from __future__ import annotations

import json

import pytest

from portulan.cli import main


def test_this_machine_is_shown_as_a_path_of_one_hop(capsys):
    main(["trace", "-q", "1", "127.0.0.1"])
    title, hop = capsys.readouterr().out.splitlines()
    assert title == "127.0.0.1"
    assert hop.split()[:2] == ["1", "127.0.0.1"]


def test_json_is_a_hop_event_a_line(capfdbinary):
    main(["trace", "-q", "1", "--json", "127.0.0.1", "127.0.0.1"])
    (line,) = capfdbinary.readouterr().out.splitlines()
    event = json.loads(line)
    assert (event["type"], event["ttl"], event["state"]) == ("hop", 1, "reached")


@pytest.mark.parametrize(("words", "said"), [
    (["-4", "-6", "127.0.0.1"], "leave nothing"),
    (["-6", "127.0.0.1"], "no address"),
    ([], "HOST"),
    (["-q", "0", "127.0.0.1"], "-q"),
    (["-I", "-T", "127.0.0.1"], "no ports"),
    (["-I", "-p", "80", "127.0.0.1"], "no ports"),
])
def test_wrong_words_are_refused_in_one_line(capsys, words, said):
    with pytest.raises(SystemExit) as caught:
        main(["trace", *words])
    err = capsys.readouterr().err
    assert caught.value.code == 2
    assert said in err
    assert len(err.splitlines()) == 1

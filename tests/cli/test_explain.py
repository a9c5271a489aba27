from __future__ import annotations

import pytest

import portulan
from portulan.cli import main


@pytest.fixture
def chart(tmp_path, monkeypatch):
    monkeypatch.setenv("PORTULAN_HOME", str(tmp_path))
    portulan.scan("127.0.0.1", ports="1", method="connect", every_state=True)


def test_connect_scan_without_packets_says_what_the_kernel_told(chart, capsys):
    main(["explain", "last", "127.0.0.1", "1"])
    out = capsys.readouterr().out
    assert "No packet was kept" in out
    assert "ECONNREFUSED" in out
    main(["explain", "last", "127.0.0.1"])
    assert capsys.readouterr().out == out


@pytest.mark.parametrize("words", [["127.0.0.1", "2"], ["192.0.2.1"], ["127.0.0.1", "70000"]])
def test_port_the_chart_does_not_list_is_refused_in_one_line(chart, capsys, words):
    with pytest.raises(SystemExit) as caught:
        main(["explain", "last", *words])
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1

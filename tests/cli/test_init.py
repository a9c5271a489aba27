from __future__ import annotations

import subprocess
import sys

import pytest

from portulan import cli
from portulan.errors import PeerError


def test_help_names_every_verb_and_imports_none():
    script = (
        "import sys; sys.argv = ['portulan', '--help']; from portulan.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith('portulan.cli.')], file=sys.stderr)")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          check=True)
    assert all(verb in done.stdout for verb in cli.VERBS)
    assert done.stderr.strip() == "[]"


def test_unknown_verb_is_one_line(capsys):
    with pytest.raises(SystemExit) as leaving:
        cli.main(["no-such-verb"])
    said = capsys.readouterr()
    assert (leaving.value.code, said.out) == (2, "")
    assert said.err.startswith("portulan: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(("error", "code"), [
    (KeyboardInterrupt(), 130), (PeerError("the link went away"), 2)])
def test_errors_leave_with_their_code(error, code, monkeypatch, capsys):
    def fall(**_):
        raise error

    monkeypatch.setattr(cli.portulan, "main", fall)
    with pytest.raises(SystemExit) as leaving:
        cli.main([])
    assert leaving.value.code == code
    assert "Traceback" not in capsys.readouterr().err


def test_line_for_people_has_no_control_characters(capsys):
    with pytest.raises(SystemExit):
        cli.fail("evil \x1b[2J\u202e name\n")
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "\u202e" not in err
    assert err.count("\n") == 1

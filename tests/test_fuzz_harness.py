from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

import harness


@pytest.fixture(autouse=True)
def other_tests_memory_does_not_count(monkeypatch):
    monkeypatch.setattr(harness, "peak_mib", lambda: 60)


def test_count_is_kept_and_what_it_cost_is_printed(capsys):
    seen = []
    harness.run(lambda rng: seen.append(rng.random()), doc="x", argv=["--count", "7"])
    assert len(set(seen)) == 7
    assert capsys.readouterr().out.startswith("7 inputs in ")


def test_failure_names_the_seed_that_repeats_it():
    def check(rng):
        assert rng.random() < 0.9

    with pytest.raises(SystemExit, match=r"seed \d+: AssertionError") as first:
        harness.run(check, doc="x", argv=["--count", "1000"])
    seed = str(first.value).split()[1].rstrip(":")
    with pytest.raises(SystemExit, match=f"seed {seed}:"):
        harness.run(check, doc="x", argv=["--count", "1", "--seed", seed])


def test_input_without_end_is_ended(monkeypatch):
    monkeypatch.setattr(harness, "HANG_S", 0.05)

    def check(rng):
        while True:
            pass

    with pytest.raises(SystemExit, match="no end"):
        harness.run(check, doc="x", argv=["--count", "1"])


def test_growth_beyond_the_bound_is_told(monkeypatch):
    monkeypatch.setattr(harness, "RSS_MAX_MIB", 1)
    with pytest.raises(SystemExit, match="more than 1"):
        harness.run(lambda rng: None, doc="x", argv=["--count", "1"])

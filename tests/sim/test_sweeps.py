"""Whole sweeps in virtual time: the result is the truth, and its price is kept as a table."""

from __future__ import annotations

import os
from pathlib import Path as File

import numpy as np
import pytest

from portulan.scan.capacity import Capacity
from portulan.scan.verdict import State

from .network import Path, simulate

GOLDEN = File(__file__).parent / "golden" / "loss.txt"


@pytest.mark.parametrize("path", [
    Path(), Path(duplicate=0.5), Path(jitter_ms=80), Path(rtt_ms=900, jitter_ms=300),
    Path(duplicate=0.3, jitter_ms=200, rtt_ms=1),
], ids=["plain", "doubled", "reordered", "far", "doubled and reordered"])
def test_path_without_loss_gives_exactly_the_truth(monkeypatch, path):
    truth, found = simulate(monkeypatch, hosts=40, ports=25, path=path, silent=0.2)
    assert (found.state == truth).all()
    assert found.news == int((truth != State.SILENT).sum())


@pytest.mark.parametrize("seed", range(4))
def test_lossy_path_invents_nothing_and_misses_little(monkeypatch, seed):
    path = Path(loss=0.05, duplicate=0.1, jitter_ms=50, seed=seed)
    truth, found = simulate(monkeypatch, hosts=64, ports=50, path=path, silent=0.3, seed=seed)
    wrong = found.state != truth
    assert (found.state[wrong] == State.SILENT).all()
    assert wrong.sum() <= 1
    assert found.news == int((found.state != State.SILENT).sum())


def test_silence_without_loss_is_asked_twice_only(monkeypatch):
    truth, found = simulate(monkeypatch, hosts=20, ports=50, path=Path(), silent=0.5)
    assert found.sent == len(truth) + int((truth == State.SILENT).sum())


def test_same_seeds_give_the_same_run(monkeypatch):
    path = Path(loss=0.1, jitter_ms=30)
    one, two = (simulate(monkeypatch, hosts=30, ports=20, path=path)[1] for _ in range(2))
    assert (one.sent, one.seconds) == (two.sent, two.seconds)
    assert (one.state == two.state).all()


@pytest.mark.parametrize("loss", [0.0, 0.05], ids=["clean", "lossy"])
def test_policed_path_gives_the_truth_in_little_more_than_its_time(monkeypatch, loss):
    path = Path(policed_pps=2_000, loss=loss, rtt_ms=3)
    truth, found = simulate(
        monkeypatch, hosts=4, ports=1_000, path=path, rate_pps=10_000, capacity=Capacity(10_000))
    assert (found.state == truth).all()
    assert found.seconds <= 1.5 * len(truth) / 2_000 * (1 + 3 * loss) + 1
    assert found.sent <= 2.5 * len(truth)


def test_price_of_loss_is_as_kept(monkeypatch):
    lines = ["loss  recall   probes/port  seconds"]
    for loss in (0.0, 0.01, 0.05, 0.1, 0.2, 0.3):
        path = Path(loss=loss, duplicate=0.02, jitter_ms=20, seed=7)
        truth, found = simulate(monkeypatch, hosts=64, ports=100, path=path, silent=0.25)
        there = truth != State.SILENT
        recall = float(np.mean(found.state[there] == truth[there]))
        assert recall >= (0.9995 if loss <= 0.2 else 0.998)
        lines.append(
            f"{loss:4.2f}  {recall:.5f}  {found.sent / len(truth):11.3f}  {found.seconds:7.1f}")
    table = "\n".join(lines) + "\n"
    if os.environ.get("PORTULAN_GOLDEN") == "write":
        GOLDEN.write_text(table)
    assert table == GOLDEN.read_text()

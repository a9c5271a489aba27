from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "packets" / "raw_ipv4_by_hand.py"


def test_packet_by_hand_is_portulans_and_the_same_on_the_wire():
    done = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True,
                          timeout=60, check=False)
    first, *sent = done.stdout.splitlines()
    assert first == "by hand and by Portulan the same: True", done.stderr
    if sent == ["sending needs CAP_NET_RAW"]:
        pytest.skip("needs CAP_NET_RAW")
    assert sent[:4] == [
        "on the wire as made by hand: True", "the receiver got ahoy from 127.0.0.1:40000",
        "the receiver got ahoy from 127.0.0.1:40000", "behind the kernel's header the same: True"]
    # The kernel's number may happen to be ours.
    assert sent[4] in [f"what the kernel chose otherwise: {names}"
                       for names in ("identification, checksum", "nothing")]

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "packets" / "raw_ipv4_by_hand.py"


def test_packet_by_hand_is_portulans_and_arrives():
    done = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True,
                          timeout=60, check=False)
    first, second = done.stdout.splitlines()
    assert first == "by hand and by Portulan the same: True", done.stderr
    assert second in ("the receiver got ahoy from 127.0.0.1:40000", "sending needs CAP_NET_RAW")

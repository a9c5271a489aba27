"""How well a flow's packets travelled: state, history, round trips, losses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portulan.traffic.history import History
from portulan.traffic.keys import Index
from portulan.traffic.parcel import Parcel
from portulan.traffic.rows import Blank, Rows
from portulan.traffic.sequence import Sequence
from portulan.wire.ipv4 import IpProtocol

COLUMNS = (
    "state", "history", "payload_fwd", "payload_rev", "rtt_ns", "rtt_server_ns", "rtt_client_ns",
    "ack_rtt_fwd_ns", "ack_rtt_rev_ns", "retransmissions_fwd", "retransmissions_rev",
    "out_of_order_fwd", "out_of_order_rev", "zero_windows_fwd", "zero_windows_rev")
"""What `Quality` tells, see `flows.Flow`; numbers that are not known are -1."""


class Quality:
    """A part of a flow table, see `COLUMNS`."""

    def __init__(self) -> None:
        self._sequence, self._history = Sequence(), History()
        self._rows = Rows(payload=Blank(np.int64, 2), protocol=Blank(np.uint8))

    def make(self, rows: Index) -> None:
        """Begin rows."""
        for each in (self._rows, self._sequence.rows, self._history.rows):
            each.make(rows)

    def see(self, parcel: Parcel) -> None:
        """Take packets in."""
        self._history.see(parcel, self._sequence.marks(parcel))
        flows = parcel.flow[parcel.starts]
        self._rows["protocol"][flows] = parcel.at.protocol[parcel.starts]
        for side in (0, 1):
            size = np.where(parcel.rev == side, parcel.size, 0)
            self._rows["payload"][flows, side] += np.add.reduceat(size, parcel.starts)

    def columns(self, rows: Index) -> dict[str, NDArray[Any]]:
        """Return what is known of rows."""
        protocol = self._rows["protocol"][rows]
        numbers = self._sequence.rows
        found: dict[str, NDArray[Any]] = {
            "state": self._history.states(rows, protocol), "history": self._history.texts(rows),
            "rtt_ns": numbers["rtt"][rows], "rtt_server_ns": numbers["rtt_server"][rows],
            "rtt_client_ns": numbers["rtt_client"][rows]}
        tcp = protocol == IpProtocol.TCP
        for side, name in enumerate(("fwd", "rev")):
            count, total = (numbers[each][rows, side] for each in ("rtt_count", "rtt_sum"))
            mean = np.where(count > 0, total // np.maximum(count, 1), -1)
            found[f"ack_rtt_{name}_ns"] = mean
            found[f"payload_{name}"] = self._rows["payload"][rows, side]
            for what in ("retransmissions", "out_of_order", "zero_windows"):
                found[f"{what}_{name}"] = np.where(tcp, numbers[what][rows, side], -1)
        return {name: found[name] for name in COLUMNS}

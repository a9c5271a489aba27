"""A small internet to practise and test on: hosts, links, services, firewalls, loss.

Law: a lab touches nothing of the machine it runs on. Its interfaces live in namespaces of their
own, and it sends nothing beyond them. It ends processes that carry its mark, and no other.

>>> from portulan.lab import load, truth
>>> sum(row.state == "open" for row in truth(load("anyip16")))
65536
"""

from __future__ import annotations

from portulan.lab.lab import Lab, all_names, best_mode, down
from portulan.lab.scenario import Scenario, bundled, load
from portulan.lab.truth import Expected, describe, truth

__all__ = [
    "Expected",
    "Lab",
    "Scenario",
    "all_names",
    "best_mode",
    "bundled",
    "describe",
    "down",
    "load",
    "truth",
]

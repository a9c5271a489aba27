"""ACK, Window, FIN, NULL and Xmas scans of the lab's kernels, for both families."""

from __future__ import annotations

import pytest

from tests.lab.fixtures import harbour, make_lab  # noqa: F401

from .scanning import differences, nmaps, scan, truth

pytestmark = pytest.mark.live

#: What Linux makes each state of a port look like (it resets with window 0).
LOOKS = {
    "-sA": {"open": "unfiltered", "closed": "unfiltered"},
    "-sW": {"open": "closed", "closed": "closed"},
    "-sF": {"open": "open|filtered", "closed": "closed"},
    "-sN": {"open": "open|filtered", "closed": "closed"},
    "-sX": {"open": "open|filtered", "closed": "closed"},
}
V6 = ["fd83::10", "fd83::11"]


@pytest.mark.parametrize("scenario", ["harbour", "ipv6"])
def test_ports_look_as_rfc_9293_and_linux_have_it(make_lab, scenario):  # noqa: F811
    lab = make_lab(scenario)
    asked = V6 if scenario == "ipv6" else [*lab.scenario.targets]
    for method, looks in LOOKS.items():
        found = scan(lab, method, "--max-rate", "100000", targets=" ".join(asked))
        assert found.code == 0, found.stderr
        wanted = {key: looks[state] for key, state in truth(lab).items()
                  if state in looks and (scenario != "ipv6" or key[0] in V6)}
        assert wanted
        assert not differences(found.ports, wanted), method


@pytest.mark.parametrize("words", [
    ["--scanflags", "SYNPSH"], ["--scanflags", "SYNFIN"], ["-sF", "--scanflags", "PSH"],
    ["-sA", "--scanflags", "0x12"],
], ids=" ".join)
def test_flags_of_ones_own_give_what_nmap_finds(harbour, words):  # noqa: F811
    targets = ["10.77.0.10", "10.77.0.14"]
    # Few ports: all hosts of a lab share one kernel, and what it allows of ICMP errors.
    words = [*words, "-p", "1-20,22,80,443,8000"]
    found = scan(harbour, "-Pn", *words, targets=" ".join(targets))
    assert found.code == 0, found.stderr
    wanted = nmaps(harbour, *words, targets=targets)
    assert len(wanted) == 2 * 24
    assert not differences(found.ports, wanted)
    assert not differences(wanted, found.ports)

"""Rules out of Recog's XML."""

from __future__ import annotations

import pytest

from portulan.errors import UsageError
from portulan.ident.recog import load_folder

XML = r"""<fingerprints matches="ssh.banner">
<fingerprint pattern="^Toy[(_]([\d.]+)(?:-x)?( \S+)?$"><param pos="0" name="service.product"
 value="Toy SSH"/><param pos="1" name="service.version"/></fingerprint>
<fingerprint pattern="^a(?=b)"><param pos="0" name="service.product" value="B"/></fingerprint>
</fingerprints>"""


def test_folder_gives_rules_and_counts_what_re2_refuses(tmp_path):
    (tmp_path / "ssh.xml").write_text(XML)
    rules, left_out = load_folder(tmp_path)
    assert (len(rules), left_out) == (1, 1)
    assert rules[0].read("Toy_1.5-x z") == {"product": "Toy SSH", "version": "1.5"}


@pytest.mark.parametrize("text", ["<a", None], ids=["torn", "absent"])
def test_bad_folder_is_one_clear_line(tmp_path, text):
    if text:
        (tmp_path / "a.xml").write_text(text)
    with pytest.raises(UsageError):
        load_folder(tmp_path if text else tmp_path / "none")

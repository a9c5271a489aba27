from __future__ import annotations

import re

from portulan.render.page_assets import SCRIPT, STYLE


def test_style_closes_what_it_opens():
    assert STYLE.count("{") == STYLE.count("}")


def test_no_asset_ends_its_own_element_or_loads_another():
    for asset in (STYLE, SCRIPT):
        assert not re.search(r"</|<!--|url\(|@import|https?:|fetch|eval|innerHTML", asset)


def test_script_makes_no_inline_style():
    assert ".style" not in SCRIPT

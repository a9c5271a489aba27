from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import portulan.wire as wire

NAMES = [module.name for module in pkgutil.iter_modules(wire.__path__)]
MODULES = ["portulan.wire", *(f"portulan.wire.{name}" for name in NAMES)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_public_name_is_there():
    assert all(hasattr(wire, name) for name in wire.__all__)
    assert len(set(wire.__all__)) == len(wire.__all__)

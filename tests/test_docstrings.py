"""The examples in docstrings run, and print what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import constrained_actmax

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(constrained_actmax.__path__, "constrained_actmax.")
    if not module.name.endswith("__main__")
)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    with np.printoptions(legacy=False):
        failed, _ = doctest.testmod(module, optionflags=OPTIONS)
    assert failed == 0

"""Every layer and activation of Keras, as the page of what is read lists them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest


def script() -> Any:
    path = Path(__file__).parents[2] / "docs" / "benchmarks" / "structure_layers.py"
    spec = importlib.util.spec_from_file_location("structure_layers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LAYERS = script()
PAGE = (Path(LAYERS.__file__).with_suffix(".md")).read_text(encoding="utf-8")
READ = PAGE.partition("## Refused")[0]


def test_every_layer_of_keras_has_an_example_or_a_reason() -> None:
    assert "no example here" not in PAGE


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS.EXAMPLES)
def test_what_the_page_says_of_a_layer_holds(name: str) -> None:
    """What is read is compared with the model, values and slopes, by `verdict`."""
    if name not in dir(LAYERS.L):
        pytest.skip(f"this Keras has no {name}")
    model = LAYERS.model_of(*LAYERS.EXAMPLES[name], LAYERS.dtype_of(name))
    assert LAYERS.verdict(model)[0] == (f"| `{name}`" in READ)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS.activations())
def test_what_the_page_says_of_an_activation_holds(name: str) -> None:
    model = LAYERS.model_of(lambda: LAYERS.L.Activation(name), (LAYERS.VECTOR,))
    assert LAYERS.verdict(model)[0] == (f"| activation `{name}`" in READ)

"""Models that other people trained: an oracle with a finite gradient, or a right refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from constrained_actmax import Logit, Oracle, Output, Probability
from constrained_actmax.objectives import Objective

# file: (options, objective, range of the input, number of inputs, link of the head)
CASES: dict[str, tuple[dict[str, Any], Objective, tuple[float, float], int, str | None]] = {
    "fashion_mnist_cnn.keras": ({}, Logit(7), (0, 1), 784, "softmax"),
    "fer2013_mini_xception.hdf5": ({}, Logit(3), (-1, 1), 4096, "softmax"),
    "cifar10_resnet.h5": ({}, Logit(5), (0, 255), 3072, "softmax"),
    "visual_wake_words_mobilenet.keras": ({}, Logit(1), (0, 1), 27648, "softmax"),
    "crepe_tiny_pitch.keras": ({}, Logit(100), (-1, 1), 1024, "sigmoid"),
    "dna_regulatory_cnn.keras": ({}, Output(3), (0, 1), 580, None),
    "adult_income.h5": ({}, Logit(1), (0, 1), 29, "sigmoid"),
    "molecule_properties.h5": ({}, Output(1), (-2, 2), 196, None),
    "reformer_surrogate.keras": ({}, Output(7), (0, 1), 2, None),
    "aircraft_sizing.keras": ({}, Output(2), (-1, 1), 9, None),
    "racing_critic_two_inputs.keras": ({}, Output(0), (-1, 1), 22, None),
    "half_plus_two_saved_model": ({}, Output(0), (0, 5), 1, None),
}


@pytest.mark.parametrize("name", list(CASES))
def test_oracle_of_a_real_model(shared: Path, name: str) -> None:
    options, objective, (low, high), size, link = CASES[name]
    oracle = Oracle(shared / "models" / name, objective, xla=False, **options)
    assert oracle.size == size
    assert oracle.source.heads[0].link == link
    x = np.random.default_rng(1).uniform(low, high, (2, size))
    values, jacobian = oracle.evaluate(x)
    assert np.isfinite(values).all()
    assert np.isfinite(jacobian).all()
    assert np.abs(jacobian).max() > 1e-6
    direction = jacobian[0, 0] / np.linalg.norm(jacobian[0, 0])
    step = 1e-3 * (high - low)
    pair = oracle.values(np.stack([x[0] + step * direction, x[0] - step * direction]))[:, 0]
    slope = (pair[0] - pair[1]) / (2 * step)
    assert slope == pytest.approx(np.linalg.norm(jacobian[0, 0]), rel=0.1)  # kinks are near


def test_half_plus_two_is_mapped_row_by_row(shared: Path) -> None:
    oracle = Oracle(shared / "models" / "half_plus_two_saved_model", Output(0), xla=False)
    values, jacobian = oracle.evaluate(np.array([[1.0], [4.0], [-2.0]]))
    np.testing.assert_allclose(values[:, 0], [2.5, 4.0, 1.0])
    np.testing.assert_allclose(jacobian[:, 0, 0], 0.5)
    assert (oracle.evaluations, oracle.calls) == (3, 3)
    assert oracle.smooth


def test_half_plus_two_lists_its_usable_signatures(shared: Path) -> None:
    from constrained_actmax.errors import ModelError

    with pytest.raises(ModelError, match=r"takes strings.*'serving_default'"):
        Oracle(shared / "models" / "half_plus_two_saved_model", signature="classify_x_to_y")


def test_racing_critic_is_addressed_by_name(shared: Path) -> None:
    oracle = Oracle(shared / "models" / "racing_critic_two_inputs.keras", Output(0), xla=False)
    assert oracle.layout.names == ("state", "action")
    state = np.linspace(-1, 1, 21)
    values = [oracle.value(oracle.flatten({"action": [a], "state": state})) for a in (-0.5, 0.5)]
    assert values[0] != values[1]


def test_saturated_probability_has_a_live_logit(shared: Path) -> None:
    path = shared / "models" / "fashion_mnist_cnn.keras"
    oracle = Oracle(path, [Logit(1), Probability(1)], xla=False)
    x = np.random.default_rng(0).uniform(size=(1, 784))
    slopes = np.abs(oracle.evaluate(x)[1][0]).max(axis=1)
    assert slopes[0] > 1e3 * slopes[1]


def test_adult_income_in_double_precision(shared: Path) -> None:
    path = shared / "models" / "adult_income.h5"
    x = np.random.default_rng(0).uniform(size=(1, 29))
    single, double = (
        Oracle(path, Logit(1), precision=precision, xla=False) for precision in (None, "float64")
    )
    assert double.epsilon < 1e-15
    np.testing.assert_allclose(double.values(x), single.values(x), rtol=1e-5)

"""Weights of distances: their formula, what they may be, and that they carry the inputs' units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cvxpy as cp
import keras
import numpy as np
import pytest
from sample_models import convolutional, dense, two_inputs

import constrained_actmax as cax
from constrained_actmax.cli.specification import Specification
from constrained_actmax.errors import SpecificationError

WEIGHTS = np.array([0.5, 2.0, 1.0, 4.0])
CENTER = np.array([0.5, -0.25, 0.0, 1.0])
ORDERS = [1.0, 1.5, 2.0, np.inf]


def written(order: float, change: np.ndarray) -> np.ndarray:
    """Return the norm of weighted changes as its formula says."""
    return np.linalg.norm(change, order, axis=1)


@pytest.mark.parametrize("order", ORDERS)
def test_the_formula_on_images_and_on_several_inputs(order: float) -> None:
    rng = np.random.default_rng(1)
    center, weights = rng.uniform(size=(8, 8, 2)), rng.uniform(0.5, 2, (8, 8, 2))
    x = rng.uniform(size=(3, 128))
    away = weights.ravel() * (x - center.ravel())
    image = cax.Oracle(convolutional(), cax.Norm(order, center=center, weights=weights))
    np.testing.assert_allclose(image.values(x)[:, 0], written(order, away), rtol=1e-12)
    square = image.with_objectives(cax.SquaredDistance(center, weights=weights))
    np.testing.assert_allclose(square.values(x)[:, 0], written(2, away) ** 2, rtol=1e-12)
    by_name = {"state": [1.0, 2.0, 3.0, 4.0], "action": 0.5}
    x = rng.uniform(size=(3, 6))
    both = cax.Oracle(two_inputs("dict"), cax.Norm(order, center=0.25, weights=by_name))
    state, action = both.layout.slices["state"], both.layout.slices["action"]
    flat = np.empty(6)
    flat[state], flat[action] = by_name["state"], by_name["action"]
    away = flat * (x - 0.25)
    np.testing.assert_allclose(both.values(x)[:, 0], written(order, away), rtol=1e-12)
    one = both.with_objectives(cax.Norm(order, on="action", weights=[2, 3]))
    np.testing.assert_allclose(
        one.values(x)[:, 0], written(order, x[:, action] * [2, 3]), rtol=1e-12
    )


@pytest.mark.parametrize("weights", [0, -1, [1, 0, 1, 1, 1, 1], np.inf, np.nan, [1, 2]])
@pytest.mark.parametrize("distance", [cax.Norm(1), cax.SquaredDistance(0.5)], ids=str)
def test_weights_are_positive_numbers_of_the_shape_of_the_input(
    distance: Any, weights: Any
) -> None:
    with pytest.raises(SpecificationError, match="weights"):
        cax.Oracle(dense(), replace(distance, weights=weights))


def test_words() -> None:
    assert str(cax.Norm(1, center=CENTER, weights=WEIGHTS)) == (
        "Norm(1, center=center, weights=weights)"
    )
    assert str(cax.SquaredDistance(0.5, weights=3)) == "SquaredDistance(0.5, weights=3)"


@pytest.mark.parametrize("kind", ["Norm", "SquaredDistance"])
def test_weights_in_a_file(kind: str, tmp_path: Path) -> None:
    weights = np.linspace(1, 2, 784).reshape(28, 28)
    np.save(tmp_path / "weights.npy", weights)
    path = tmp_path / "run.toml"
    path.write_text(
        f"""
        [model]
        path = "example"
        [objective]
        type = "{kind}"
        weights = {{ file = "weights.npy" }}
        [[constraints]]
        type = "Box"
        lower = 0
        upper = 1
        """,
        encoding="utf-8",
    )
    problem, _ = Specification.read(path).problem("minimize")
    x = np.full((1, 784), 0.5)
    found = problem.evaluate(x).f[0]
    squares = 0.25 * float((weights**2).sum())
    assert found == pytest.approx(squares if kind == "SquaredDistance" else np.sqrt(squares))


def layered(units: Any) -> Any:
    """Return the same three scores of four entries in any units: of x / units."""
    rng = np.random.default_rng(4)
    layer = keras.layers.Dense(3, dtype="float64")
    model = keras.Sequential([keras.Input((4,), dtype="float64"), layer])
    layer.set_weights(
        [rng.standard_normal((4, 3)) / np.reshape(units, (-1, 1)), np.array([0.0, 0.0, -2.0])]
    )
    return model


DISTANCES: dict[str, tuple[Any, Any]] = {
    "L1": (cax.Norm, 1),
    "L2": (cax.Norm, 2),
    "squared": (cax.SquaredDistance, None),
}


def nearest(name: str, units: Any, method: str = "auto") -> cax.Result:
    kind, order = DISTANCES[name]
    given = {"center": CENTER * units, "weights": WEIGHTS / units}
    distance = kind(**given) if order is None else kind(order, **given)
    return cax.minimize(
        layered(units),
        distance,
        [cax.Box(-3 * units, 3 * units), cax.Margin(2) >= 0.5],
        x0=CENTER * units,
        method=method,
    )


@pytest.mark.parametrize("name", list(DISTANCES))
def test_the_nearest_input_is_cvxpys(name: str) -> None:
    found = nearest(name, np.ones(4))
    x = cp.Variable(4)
    A, b = (np.asarray(one) for one in layered(np.ones(4)).get_weights())
    z = A.T @ x + b
    change = cp.multiply(WEIGHTS, x - CENTER)
    distance = {"L1": cp.norm1, "L2": cp.norm2, "squared": cp.sum_squares}[name](change)
    rows = [z[2] - z[:2] >= 0.5, cp.abs(x) <= 3]
    right = cp.Problem(cp.Minimize(distance), rows).solve("CLARABEL")
    assert right > 0.02
    assert found.feasible
    assert found.value == pytest.approx(right, rel=1e-5)


@pytest.mark.parametrize("name", list(DISTANCES))
def test_units_of_the_inputs_change_nothing(name: str) -> None:
    # Factors that are powers of two leave every bit of the scaled problem where it was.
    units = 2.0 ** np.array([-9, 3, 0, 11])
    plain, other = nearest(name, np.ones(4)), nearest(name, units)
    assert other.value == pytest.approx(plain.value, rel=1e-12)
    np.testing.assert_allclose(other.x / units, plain.x, rtol=1e-9, atol=1e-9)

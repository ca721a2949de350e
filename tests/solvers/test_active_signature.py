"""Local maxima at kinks: the claim is checked by enumeration, with a network of NumPy's own."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest
from scipy.optimize import linprog

import constrained_actmax as cax
from constrained_actmax.optimality import measure
from constrained_actmax.result import Status

#: Within this distance a point lies on a kink, or on a bound of the set.
NEAR = 1e-6
#: Ascent over the range of the objective that counts as none.
NONE = 1e-6

Weights = list[tuple[np.ndarray, np.ndarray]]


def dense(weights: Weights) -> keras.Model:
    """A dense ReLU network with these weights."""
    inputs = keras.Input((weights[0][0].shape[0],))
    x = inputs
    layers = []
    for place, (W, _) in enumerate(weights):
        last = place == len(weights) - 1
        layers.append(keras.layers.Dense(W.shape[1], activation=None if last else "relu"))
        x = layers[-1](x)
    model = keras.Model(inputs, x)
    for layer, (W, b) in zip(layers, weights, strict=True):
        layer.set_weights([W, b])
    return model


def random_weights(sizes: tuple[int, ...], seed: int, bias: float = 0.3) -> Weights:
    rng = np.random.default_rng(seed)
    return [
        (rng.standard_normal((a, b)) * np.sqrt(2 / a), bias * rng.standard_normal(b))
        for a, b in itertools.pairwise(sizes)
    ]


def rounded(weights: Weights) -> Weights:
    """The weights as a float32 network has them."""
    return [
        (W.astype(np.float32).astype(float), b.astype(np.float32).astype(float)) for W, b in weights
    ]


def largest_ascent(weights: Weights, x: np.ndarray, A: np.ndarray, b: np.ndarray) -> float:
    """The largest f'(x; d) over {d : A d <= 0 where A x = b, |d| <= 1}, by all signatures."""
    h, sides = x, []
    for W, c in weights[:-1]:
        z = h @ W + c
        lengths = np.linalg.norm(W, axis=0) + 1.0
        sides.append(
            [
                (-1, 1) if abs(v) <= NEAR * s else (np.sign(v),)
                for v, s in zip(z, lengths, strict=True)
            ]
        )
        h = np.maximum(z, 0.0)
    choices = [side for layer in sides for side in layer]
    assert np.prod([len(one) for one in choices], dtype=float) <= 2**12
    tangent = A[b - A @ x <= NEAR]
    best = 0.0
    for signature in itertools.product(*choices):
        J, rows, start = np.eye(len(x)), [], 0
        for W, _ in weights[:-1]:
            J = J @ W
            side = np.array(signature[start : start + W.shape[1]])
            free = np.array([len(one) > 1 for one in choices[start : start + W.shape[1]]])
            rows.append((J * side)[:, free].T)
            J = J * (side > 0)
            start += W.shape[1]
        g = (J @ weights[-1][0])[:, 0]
        cone = np.concatenate([*(-one for one in rows), tangent])
        found = linprog(-g, A_ub=cone, b_ub=np.zeros(len(cone)), bounds=(-1, 1), method="highs")
        if found.status == 0:
            best = max(best, -found.fun)
    return best


def box_rows(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([np.eye(n), -np.eye(n)]), np.ones(2 * n)


def solved(model: Any, sets: Any, **given: Any) -> cax.Result:
    return cax.maximize(model, cax.Output(0), sets, method="active-signature", **given)


#: f = 0.1 x1 + x2 - 0.6 relu(x1) - 2 relu(x2 - relu(x1)) as a network.
COUNTEREXAMPLE: Weights = [
    (np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), np.array([0.0, 3.0, 3.0])),
    (
        np.array([[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]),
        np.array([3.0, 0.0, -3.0, 0.0]),
    ),
    (np.array([[-0.6], [1.0], [-2.0], [0.1]]), np.array([-1.5])),
]


def test_the_origin_of_the_counterexample_to_the_short_test_is_no_maximum() -> None:
    # The best point of the region x1 <= 0, x2 <= 0. Crossing either kink alone loses if the normal
    # of the other is thought fixed, but f rises along (1, 1) with slope 0.5.
    problem = cax.Problem(dense(COUNTEREXAMPLE), cax.Output(0), cax.Box(-1, 1))
    origin = np.zeros((1, 2))
    measured = measure(problem, origin[0], problem.evaluate(origin))
    assert largest_ascent(COUNTEREXAMPLE, origin[0], *box_rows(2)) == pytest.approx(0.5)
    # The set is two wide, and a direction goes as far as that.
    assert measured.stationarity == pytest.approx(0.5 / problem.scales.range, rel=1e-6)
    found = cax.solve(problem, x0=np.array([-0.5, -0.2]), method="active-signature")
    assert found.status is Status.CONVERGED
    assert found.value == pytest.approx(0.5)
    assert found.x == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_what_is_called_a_local_maximum_is_one(depth: int) -> None:
    n, layers = 5, set()
    for seed in range(3):
        weights = rounded(random_weights((n, *[12] * depth, 1), 100 * depth + seed))
        found = solved(dense(weights), cax.Box(-1, 1), starts=3, seed=seed)
        for start in found.starts:
            assert start.status is Status.CONVERGED, start.detail
            assert "local optimum" in start.detail
            assert start.stationarity <= NONE
            ascent = largest_ascent(weights, start.x, *box_rows(n))
            assert ascent <= NONE * found.settings["scales"]["range"]
            layers.update(kinks_by_layer(weights, start.x))
    assert len(layers) >= 2  # at kinks of different layers, where later normals bend


def kinks_by_layer(weights: Weights, x: np.ndarray) -> list[int]:
    """The layer of every kink that a point lies on."""
    found, h = [], x
    for place, (W, b) in enumerate(weights[:-1]):
        z = h @ W + b
        found += [place] * int(np.sum(np.abs(z) <= NEAR))
        h = np.maximum(z, 0.0)
    return found

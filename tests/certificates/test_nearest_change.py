"""Lower bounds of distances against the least distance over all pieces of small networks."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest
from scipy.optimize import linprog

import constrained_actmax as cax

CLASSES = 3


def network(seed: int, unit: float = 1.0) -> Any:
    """Return 3 inputs, 4 ReLU units and 3 classes, of inputs in a unit."""
    rng = np.random.default_rng(seed)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(CLASSES)]
    )
    W, b, V, d = (rng.standard_normal(shape) for shape in ((3, 4), 4, (4, CLASSES), CLASSES))
    model.set_weights([W / unit, b, V, 0.3 * d])
    return model


def verdict(model: Any, x: np.ndarray) -> int:
    return int(model.predict(x[np.newaxis], verbose=0).argmax())


def least_distance(
    model: Any,
    center: np.ndarray,
    p: float,
    wanted: list[tuple[int, list[int]]],
    weights: Any = 1.0,
) -> float:
    """Return the distance to the nearest x in [0, 1] where a class leads over others.

    One program for each piece of the network and each of the wanted (class, over which).
    """
    W, b, V, d = (np.asarray(one, dtype=np.float64) for one in model.get_weights())
    n, w = len(center), np.broadcast_to(weights, len(center)).astype(float)
    found = np.inf
    for pattern in itertools.product((0.0, 1.0), repeat=len(b)):
        on = np.array(pattern)
        G, t = (W * on) @ V, (b * on) @ V + d
        sides = 1.0 - 2.0 * on
        for one, over in wanted:
            A = np.concatenate([(sides * W).T, (G[:, over] - G[:, [one]]).T])
            most = np.concatenate([-sides * b, t[one] - t[over]])
            found = min(found, _nearest(center, w, p, A, most, n))
    return found


def _nearest(
    center: np.ndarray, w: np.ndarray, p: float, A: np.ndarray, most: np.ndarray, n: int
) -> float:
    if p == 2:
        import cvxpy as cp

        x = cp.Variable(n)
        distance = cp.norm(cp.multiply(w, x - center), 2)
        program = cp.Problem(cp.Minimize(distance), [x >= 0, x <= 1, A @ x <= most])
        program.solve(solver=cp.CLARABEL)
        return float(program.value) if program.status == "optimal" else np.inf
    count = n if p == 1 else 1  # of the variables that bound |w (x - c)|
    columns = -np.eye(n) if p == 1 else -np.ones((n, 1))
    rows = np.concatenate(
        [
            np.hstack([np.diag(w), columns]),
            np.hstack([-np.diag(w), columns]),
            np.hstack([A, np.zeros((len(A), count))]),
        ]
    )
    ends = np.concatenate([w * center, -w * center, most])
    cost = np.append(np.zeros(n), np.ones(count))
    bounds = [(0, 1)] * n + [(0, None)] * count
    solution = linprog(cost, rows, ends, bounds=bounds, method="highs")
    return float(solution.fun) if solution.status == 0 else np.inf


def nearest(model: Any, objective: Any, *constraints: Any, box: Any = None) -> cax.Problem:
    return cax.Problem(model, objective, [box or cax.Box(0, 1), *constraints], sense="minimize")


@pytest.mark.parametrize("p", [2, *(pytest.param(p, marks=pytest.mark.slow) for p in (1, np.inf))])
def test_no_changed_verdict_is_nearer_than_the_bound(p: float) -> None:
    model, center = network(2), np.array([0.3, 0.8, 0.1])
    k = verdict(model, center)
    exact = least_distance(model, center, p, [(j, [k]) for j in range(CLASSES) if j != k])
    asked = nearest(model, cax.Norm(p, center=center), cax.Margin(k) <= 0)
    result = cax.solve(asked, seed=0)
    loose = cax.certify(asked, result, method="linear-bounds")
    tight = cax.certify(asked, result, method="mixed-integer")
    assert 0.0 < loose.dual_bound <= tight.dual_bound <= exact * (1 + 1e-5)
    assert loose.method == "linear bounds"
    assert loose.relative_gap == pytest.approx(loose.gap / loose.best_value)
    assert "% of the best found" in str(loose)
    assert tight.dual_bound >= exact * (1 - 2e-4)
    assert tight.proven
    assert result.certificate is tight
    for share, verdict_ in ((0.9, "proven"), (1.1, "refuted")):
        decided = cax.certify(asked, result, method="mixed-integer", target=share * exact)
        assert decided.verdict == verdict_


@pytest.mark.parametrize("p", [1, *(pytest.param(p, marks=pytest.mark.slow) for p in (2, np.inf))])
def test_a_wanted_verdict_with_weights_in_other_units(p: float) -> None:
    """Margin(k) >= 0 is one row for each rival, and all have to hold."""
    unit, center, weights = 20.0, np.array([0.3, 0.6, 0.4]), np.array([1.0, 3.0, 0.5])
    model = network(2, unit)
    k = (verdict(model, unit * center) + 1) % CLASSES
    wanted = [(k, [j for j in range(CLASSES) if j != k])]
    exact = unit * least_distance(network(2), center, p, wanted, weights)
    distance = cax.Norm(p, center=unit * center, weights=weights)
    if p == 2:
        distance = cax.SquaredDistance(center=unit * center, weights=weights)
        exact = exact**2
    asked = nearest(model, distance, cax.Margin(k) >= 0, box=cax.Box(0, unit))
    found = cax.certify(asked, method="mixed-integer", rtol=1e-3)
    assert exact * (1 - 2e-3) <= found.dual_bound <= exact * (1 + 1e-5)


def test_distances_without_a_feasible_point_and_from_a_feasible_one() -> None:
    model, center = network(2), np.array([0.3, 0.8, 0.1])
    oracle, k = cax.Oracle(model), verdict(model, center)
    few = cax.Budget(evaluations=64)
    asked = nearest(oracle, cax.Norm(1, center=center), cax.Margin(k) >= 1e3)
    none = cax.certify(asked, method="linear-bounds", budget=few)
    assert none.infeasible
    assert none.dual_bound == np.inf
    asked = nearest(oracle, cax.Norm(2, center=center), cax.Margin(k) >= -1e3)
    here = cax.certify(asked, method="linear-bounds", budget=few)
    assert here.dual_bound == here.best_value == 0.0
    assert here.proven

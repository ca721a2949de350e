"""Margins as constraints, for any number of outputs, against what one computes by hand."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import keras
import numpy as np
import pytest

from constrained_actmax import (
    Box,
    Margin,
    Norm,
    Objective,
    Oracle,
    Output,
    Probability,
    Problem,
    SquaredDistance,
    minimize,
)
from constrained_actmax.conformance import check_oracle

LEAD = 0.25
CENTER = np.array([0.5, -0.25, 0.0, 1.0])
HEADS = [
    (units, head, link)
    for units in (2, 3, 10)
    for head, link in (("softmax", None), (None, None), (None, "softmax"))
] + [(1, "sigmoid", None), (1, None, "sigmoid")]
#: Each with the same distance in cvxpy, by its order.
DISTANCES: list[tuple[Objective, float]] = [
    (SquaredDistance(CENTER), 2),
    (Norm(2, center=CENTER), 2),
    (Norm(1, center=CENTER), 1),
]


def affine(units: int, head: str | None) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return a model of one layer, and A and b such that its logits are A x + b, two at least."""
    rng = np.random.default_rng(units)
    layer = keras.layers.Dense(units, activation=head, dtype="float64")
    model = keras.Sequential([keras.Input((4,), dtype="float64"), layer])
    weights, offset = rng.standard_normal((4, units)), rng.standard_normal(units)
    offset[-1] -= 3.0  # so that the verdict at the center is another
    layer.set_weights([weights, offset])
    if units == 1:  # a sigmoid is a softmax over (0, z)
        return model, np.vstack([np.zeros(4), weights.T]), np.append(0.0, offset)
    return model, weights.T, offset


@pytest.mark.parametrize(("units", "head", "link"), HEADS)
@pytest.mark.parametrize(("distance", "order"), DISTANCES, ids=lambda one: str(one))
def test_the_nearest_input_that_leads(
    units: int, head: str | None, link: Any, distance: Objective, order: float
) -> None:
    model, A, b = affine(units, head)
    k = len(b) - 1
    result = minimize(
        model, distance, [Box(-9, 9), Margin(k, link=link) >= LEAD], x0=CENTER, seed=0
    )
    x = cp.Variable(4)
    rivals = [j for j in range(len(b)) if j != k]
    rows = [(A[k] - A[j]) @ x + b[k] - b[j] >= LEAD for j in rivals]
    right = cp.Problem(cp.Minimize(cp.norm(x - CENTER, order)), [*rows, cp.abs(x) <= 9]).solve()
    if len(rivals) == 1:  # the distance to a half-space, by the dual norm
        a = A[k] - A[rivals[0]]
        missing = LEAD - a @ CENTER - (b[k] - b[rivals[0]])
        assert right == pytest.approx(missing / np.linalg.norm(a, 2 if order == 2 else np.inf))
    assert right > 0.1
    assert result.feasible
    found = np.sqrt(result.value) if isinstance(distance, SquaredDistance) else result.value
    assert found == pytest.approx(right, rel=1e-5)
    z = A @ result.x + b
    assert z[k] - np.max(z[rivals]) >= LEAD - 1e-6


@pytest.mark.parametrize(("units", "head", "link"), HEADS)
def test_several_at_once_stand_in_order(units: int, head: str | None, link: Any) -> None:
    model, A, b = affine(units, head)
    k = len(b) - 1
    problem = Problem(
        model,
        Output(0),
        [
            Margin(k, link=link) >= LEAD,
            Probability(0, link=link or (None if head else "softmax")) <= 0.25,
            2 * Margin(0, link=link) - 1 >= 0,
        ]
        if head or link
        else [Margin(k) >= LEAD, Output(1) <= 2, 2 * Margin(0) - 1 >= 0],
    )
    x = np.random.default_rng(5).standard_normal((6, 4))
    z = x @ A.T + b
    others = [[j for j in range(len(b)) if j != one] for one in (k, 0)]
    first, last = problem.imposed[0], problem.imposed[-1]
    c = problem.evaluate(x).c
    assert c.shape == (6, 2 * (len(b) - 1) + 1)
    np.testing.assert_allclose(c[:, first.rows], z[:, [k]] - z[:, others[0]], atol=1e-12)
    np.testing.assert_allclose(c[:, last.rows], z[:, [0]] - z[:, others[1]], atol=1e-12)
    lead = z[:, k] - z[:, others[0]].max(axis=1)
    np.testing.assert_allclose(first.violation(c)[:, 0], np.maximum(0.0, LEAD - lead), atol=1e-12)
    twice = 2 * (z[:, 0] - z[:, others[1]].max(axis=1)) - 1
    np.testing.assert_allclose(last.violation(c)[:, 0], np.maximum(0.0, -twice), atol=1e-12)
    if head or link:
        odds = z[:, 0] - np.log(np.exp(z[:, 1:]).sum(axis=1))
        np.testing.assert_allclose(c[:, problem.imposed[1].rows][:, 0], odds, atol=1e-9)


@pytest.mark.parametrize("head", ["softmax", None])
def test_over_the_only_rival_it_is_smooth(head: str | None) -> None:
    model, A, b = affine(2, head)
    oracle = Oracle(model, Margin(1), xla=False)
    assert oracle.smooth
    x = np.random.default_rng(6).standard_normal((5, 4))
    np.testing.assert_allclose(oracle.values(x)[:, 0], x @ (A[1] - A[0]) + b[1] - b[0])
    check_oracle(oracle, x)

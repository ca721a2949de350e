"""Reprs and messages hold no long arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import constrained_actmax as cax
from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Layout
from constrained_actmax.quoting import MOST_ENTRIES, quoted

X = np.linspace(0.0, 1.0, 784).reshape(28, 28)
BOX, BALL = cax.Box(0 * X, X + 1), cax.L1Ball(3, center=X)
LONGEST = 450  # characters


@given(arrays(np.float64, st.tuples(st.integers(0, 40), st.integers(0, 40))))
def test_arrays_are_written_out_or_named_by_their_shape(array: np.ndarray) -> None:
    if array.size > MOST_ENTRIES:
        assert quoted(array) == f"array{array.shape}"
        assert quoted([array, (1, array)]) == f"[array{array.shape}, (1, array{array.shape})]"
    else:
        assert quoted(array) == " ".join(repr(array).split())


@pytest.mark.parametrize("small", [1.5, "text", None, (1, "a"), {"a": [1, 2]}, np.float64(2)])
def test_what_is_short_is_python_s_own(small: Any) -> None:
    assert quoted(small) == repr(small)


def bowl() -> cax.FunctionOracle:
    return cax.FunctionOracle(
        lambda x: (-float(((x - 0.2) ** 2).sum()), -2 * (x - 0.2)), (28, 28), smooth=True
    )


def test_reprs_are_short() -> None:
    seen: list[Any] = []
    result = cax.maximize(bowl(), None, [BOX, BALL], starts=2, seed=0, callback=seen.append)
    problem = cax.Problem(bowl(), None, [BOX, BALL])
    shown = [
        BOX,
        BALL,
        cax.Intersection([BOX, BALL]),
        cax.Halfspace(X.ravel(), 3),
        cax.Linear(X.reshape(1, -1), 0, 3),
        cax.Fixed(X > 0.5, X),
        cax.ConvexHull(np.stack([X, X + 1])),
        cax.Simplex(groups=[list(range(300)), list(range(300, 784))]),
        BOX.bind(Layout.of_array((28, 28))),
        cax.SquaredDistance(X),
        cax.Logit(1) - 2 * cax.Norm(1, center=X),
        cax.Norm(2, center=X, weights=X) + cax.SquaredDistance(X, weights=X),
        cax.Scaling(X, X + 1),
        problem.set,
        problem.scales,
        result.starts[0],
        result.history,
        seen[0],
    ]
    for one in shown:
        text = repr(one)
        assert len(text) <= LONGEST, text
        assert "0.00127714" not in text  # the second entry of X
        assert "\n" not in text
    assert len(repr(cax.check(problem))) < 2000


def test_reprs_of_few_numbers_say_them() -> None:
    assert repr(cax.Box(0, [1.0, 2.0])) == "Box(on=None, lower=0, upper=[1.0, 2.0])"
    assert "x=array([1., 2.])" in repr(
        cax.maximize(
            cax.FunctionOracle(lambda x: (float(x.sum()), np.ones(2)), 2), bounds=[(0, 1), (0, 2)]
        ).starts[0]
    )


LONG = [X, X.tolist(), pd.Series(X.ravel()), pd.DataFrame(X), tf.constant(X), "a" * 2000]


@pytest.mark.parametrize("value", LONG, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    "call",
    [
        lambda value: cax.L2Ball(value),
        lambda value: cax.Budget(seconds=value),
        lambda value: cax.maximize(bowl(), value, bounds=(0, 1)),
        lambda value: cax.maximize(bowl(), None, BOX, tol=value),
        lambda value: cax.maximize(bowl(), None, BOX, seed=value),
        lambda value: cax.maximize(bowl(), None, BOX, method=value),
        lambda value: cax.Problem(bowl(), None, BOX, feasibility_tolerance=value),
        lambda value: cax.Problem(bowl(), None, BOX, sense=value),
        lambda value: cax.FunctionOracle(lambda x: x, 3, jac=value),
        lambda value: cax.Output(0) <= cax.Box(value, value),
        lambda value: cax.maximize(bowl(), None, {"type": value}, bounds=(0, 1)),
    ],
)
def test_messages_are_short(call: Any, value: Any) -> None:
    with pytest.raises((SpecificationError, TypeError, ValueError)) as caught:
        call(value)
    assert len(str(caught.value)) < 2 * LONGEST, str(caught.value)[:2000]

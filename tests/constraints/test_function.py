"""Limits on TensorFlow's, NumPy's and SciPy's functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf
from sample_models import dense, points, two_inputs

from constrained_actmax import Between, Function, Logit, Oracle, Output
from constrained_actmax.constraints.function import BoundFunction
from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Layout


def test_tensorflow_function_is_differentiated_in_the_models_call() -> None:
    constraint = Function(lambda x: tf.stack([x[:, 0] ** 2, x[:, 1] * x[:, 2]], 1), [0, 1], None)
    assert isinstance(constraint, Between)
    objective, lower, _ = constraint.imposed()
    np.testing.assert_array_equal(lower, [0, 1])
    oracle = Oracle(dense(), [Logit(1), objective], xla=False)
    x = points("", 6)
    values, jacobian = oracle.evaluate(x)
    assert (oracle.counts, oracle.calls) == ((1, 2), 1)
    np.testing.assert_allclose(values[:, 1], x[:, 0] ** 2)
    np.testing.assert_allclose(jacobian[:, 2, 1], x[:, 2])


def test_tensorflow_function_of_inputs_and_outputs() -> None:
    def excess(inputs: Any, outputs: Any) -> Any:
        power, kind = outputs
        return power[:, 0] - inputs["state"][:, 0] + kind[:, 1]

    model = two_inputs("dict")
    oracle = Oracle(model, [Output("power"), Function(excess, None, 0).imposed()[0]], xla=False)
    x = points("", 6, 1)
    given = oracle.batch(x[0])
    power, kind = model(given)
    expected = float(power[0, 0]) - given["state"][0, 0] + float(kind[0, 1])
    assert oracle.values(x)[0, 1] == pytest.approx(expected, rel=1e-12)
    assert str(Function(excess, None, 0)) == "excess <= 0"


def test_a_function_is_a_constraint_like_a_comparison_whoever_computes_it() -> None:
    for jacobian in (None, np.ones_like):
        constraint = Function(np.sum, 0, 60, jacobian, margin=1, tolerance=0.5)
        assert isinstance(constraint, Function)
        assert isinstance(constraint, Between)
        assert constraint.compiled is (jacobian is None)
        assert str(constraint) == "0 <= sum <= 60 with a margin of 1"
        assert (constraint.lower, constraint.upper, constraint.within) == (0, 60, (1, 59))
        assert constraint.tolerance == 0.5
        renamed = constraint.named("ink")
        assert (type(renamed), renamed.name, constraint.name) == (Function, "ink", "sum")
        with pytest.raises(SpecificationError, match="no truth value"):
            bool(constraint)
        with pytest.raises(SpecificationError, match="cannot be compared again"):
            assert constraint <= 3
    with pytest.raises(SpecificationError, match="jacobian must be callable, got str"):
        Function(np.sum, 0, 1, "2-point")


def test_numpy_function_with_its_jacobian() -> None:
    constraint = Function(
        lambda x: [x.sum(), (x**2).sum()],
        lower=[0, 0],
        upper=[5, 5],
        jacobian=lambda x: np.stack([np.ones_like(x), 2 * x]),
        name="sums",
    )
    assert str(constraint) == "array(2,) <= sums <= array(2,)"
    bound = constraint.bind(Layout.of_array((2, 3)))
    assert isinstance(bound, BoundFunction)
    x = points("", 6)
    values, jacobian = bound.evaluate(x)
    np.testing.assert_allclose(values, np.stack([x.sum(1), (x**2).sum(1)], 1))
    np.testing.assert_allclose(jacobian[:, 1], 2 * x)
    wrong = Function(np.sum, 0, 1, jacobian=lambda x: np.ones(4)).bind(Layout.of_array((3,)))
    with pytest.raises(SpecificationError, match="1 x 3 entries"):
        wrong.evaluate(np.ones((1, 3)))
    with pytest.raises(SpecificationError, match="above the upper"):
        Function(np.sum, 2, 1, jacobian=np.ones_like)
    with pytest.raises(SpecificationError, match="callable"):
        Function(3, 0, 1)


@pytest.mark.parametrize("jacobian", ["2-point", "3-point", None, lambda x: 2 * x])
def test_scipys_constraints(jacobian: Any) -> None:
    layout = Layout.of_array((3,))
    x = points("", 3)

    def square(x: Any) -> float:
        return float(x @ x)

    listed: list[Any] = [{"type": "ineq", "fun": square, "jac": jacobian}]
    if jacobian is not None:
        listed.append(scipy.optimize.NonlinearConstraint(square, 0.0, np.inf, jac=jacobian))
    for given in listed:
        function = Function.from_scipy(given)
        assert function is not None
        assert (function.lower, function.upper) == (0.0, np.inf)
        values, slopes = function.bind(layout).evaluate(x)
        np.testing.assert_allclose(values[:, 0], (x**2).sum(1))
        np.testing.assert_allclose(slopes[:, 0], 2 * x, atol=1e-6)
    equal = Function.from_scipy({"type": "eq", "fun": lambda x, a: x[0] - a, "args": (2.0,)})
    assert equal is not None
    assert (equal.lower, equal.upper) == (0.0, 0.0)
    assert equal.bind(layout).evaluate(np.ones((1, 3)))[0][0, 0] == -1.0
    assert Function.from_scipy(scipy.optimize.Bounds(0, 1)) is None
    with pytest.raises(SpecificationError, match="'eq' or 'ineq'"):
        Function.from_scipy({"type": "le", "fun": square})

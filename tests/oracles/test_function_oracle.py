"""Functions written as for scipy.optimize.minimize in the model's place."""

from __future__ import annotations

import pickle
import re
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import rosen, rosen_der, rosen_hess

import constrained_actmax as cax
from constrained_actmax.errors import SpecificationError
from constrained_actmax.solvers.selection import SOLVERS

POINTS = st.lists(st.floats(-2, 2), min_size=2, max_size=5).map(np.array)
# Relative errors: rounding; forward and central differences at their best steps; complex steps.
ERRORS = {"2-point": 1e-6, "3-point": 1e-8, "cs": 1e-13}


def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
    return float(rosen(x)), rosen_der(x)


def shifted(x: np.ndarray, by: float, size: float) -> float:
    return size * float(((x - by) ** 2).sum())


def shifted_gradient(x: np.ndarray, by: float, size: float) -> np.ndarray:
    return 2 * size * (x - by)


@pytest.mark.parametrize("jac", [rosen_der, *ERRORS])
@given(x=POINTS)
def test_every_form_of_jac_is_the_derivative(jac: Any, x: np.ndarray) -> None:
    oracle = cax.FunctionOracle(rosen, x.size, jac=jac)
    value, gradient = oracle.value_and_gradient(x)
    assert value == pytest.approx(rosen(x), rel=1e-12)
    allowed = ERRORS.get(jac, 0.0) if isinstance(jac, str) else 0.0
    # The size of the terms that rosen adds, over the length in which they vary.
    size = 1e3 * max(1.0, float(np.max(np.abs(x)))) ** 3
    np.testing.assert_allclose(gradient, rosen_der(x), rtol=0, atol=allowed * size)


@pytest.mark.parametrize("jac", list(ERRORS))
@pytest.mark.parametrize("method", ["L-BFGS-B", "SLSQP", "trust-constr", "auto"])
def test_differences_stay_inside_the_bounds(jac: Any, method: str) -> None:
    def root(x: Any) -> Any:  # defined on x <= 1 alone; its maximum, at (1, 1), is on the border
        assert np.all(np.real(x) <= 1)
        assert np.all(np.real(x) >= 0)
        return np.sum(x - 0.5 * (1 - x) ** 1.5)

    oracle = cax.FunctionOracle(root, 2, jac=jac, smooth=True)
    result = cax.maximize(oracle, bounds=[(0, 1), (0, 1)], x0=[0.2, 1.0], method=method)
    np.testing.assert_allclose(result.x, 1, atol=1e-5)
    assert result.success


def test_the_calls_of_differences_are_counted() -> None:
    oracle = cax.FunctionOracle(rosen, 4, jac="2-point")
    result = cax.minimize(oracle, bounds=(-2, 2), x0=np.zeros(4), seed=0)
    assert result.calls == 5 * result.nfev
    assert cax.FunctionOracle(rosen, 4, jac="3-point").evaluate(np.zeros((2, 4)))[1].shape == (
        (2, 1, 4)
    )


def test_without_jac_it_is_a_black_box() -> None:
    oracle = cax.FunctionOracle(shifted, 2, jac=None, args=(0.5, 2.0))
    assert isinstance(oracle, cax.oracles.BlackBoxOracle)
    assert not oracle.differentiable
    assert oracle.describe()["differentiable"] is False
    result = cax.minimize(oracle, bounds=(0, 1), x0=[0, 0.2])
    assert result.method == "COBYQA"
    np.testing.assert_allclose(result.x, 0.5, atol=1e-5)


def test_a_black_box_with_arguments_has_outputs_to_name() -> None:
    def two(x: np.ndarray, by: float) -> np.ndarray:
        return np.array([x.sum() + by, x.prod()])

    oracle = cax.FunctionOracle(two, 2, jac=None, args=3.0)
    oracle.values(np.ones((1, 2)))
    asked = oracle.with_objectives([2 * cax.Output(1), cax.Output(0)])
    assert isinstance(asked, cax.FunctionOracle)
    assert (asked.calls, asked.evaluations, oracle.calls) == (0, 0, 1)
    np.testing.assert_array_equal(asked.values(np.array([[2.0, 5.0]])), [[20.0, 10.0]])
    problem = cax.Problem(oracle, -cax.Output(0), [cax.Box(0, 1), cax.Output(1) >= 0.25])
    assert cax.solve(problem, seed=0).value == pytest.approx(-4.0, abs=1e-4)
    with pytest.raises(SpecificationError, match="no outputs to name; with jac=None"):
        cax.FunctionOracle(rosen, 2, jac=rosen_der).with_objectives([cax.Output(0)])


@pytest.mark.parametrize("jac", [shifted_gradient, "2-point", "3-point", None, False])
def test_args_reach_every_function_and_a_copy(jac: Any) -> None:
    oracle = cax.FunctionOracle(shifted, 3, jac=jac, args=(0.5, 2.0))
    copied = pickle.loads(pickle.dumps(oracle))
    x = np.array([1.0, 2.0, 3.0])
    for one in (oracle, copied):
        assert one.values(x[np.newaxis])[0, 0] == shifted(x, 0.5, 2.0)
        _, jacobian = one.evaluate(x[np.newaxis])
        np.testing.assert_allclose(jacobian[0, 0], shifted_gradient(x, 0.5, 2.0), rtol=1e-6)


def test_one_argument_needs_no_tuple() -> None:
    oracle = cax.FunctionOracle(lambda x, by: ((x - by) @ (x - by), 2 * (x - by)), 2, args=1.0)
    assert oracle.value([3.0, 1.0]) == 4.0


@given(x=POINTS, seed=st.integers(0, 99))
def test_hess_gives_the_products(x: np.ndarray, seed: int) -> None:
    v = np.random.default_rng(seed).standard_normal(x.size)
    oracle = cax.FunctionOracle(value_and_gradient, x.size, hess=rosen_hess)
    assert oracle.smooth is True
    exact = rosen_hess(x) @ v
    np.testing.assert_array_equal(oracle.hessian_product(x, v), exact)
    differenced = cax.FunctionOracle(value_and_gradient, x.size).hessian_product(x, v)
    np.testing.assert_allclose(differenced, exact, atol=1e-5 * (1 + np.abs(exact).max()))


def test_trust_constr_takes_the_hessian() -> None:
    asked = []

    def hess(x: np.ndarray) -> np.ndarray:
        asked.append(x)
        return np.asarray(rosen_hess(x))

    oracle = cax.FunctionOracle(rosen, 2, jac=rosen_der, hess=hess)
    result = cax.minimize(oracle, bounds=(-2, 2), x0=[-1.2, 1], method="trust-constr")
    assert result.success
    assert asked
    np.testing.assert_allclose(result.x, 1, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"jac": "4-point"}, "jac must be True .* '2-point', '3-point', 'cs' or None"),
        ({"hess": "2-point"}, "hess must be a function of x, got '2-point'"),
        ({"hess": scipy.optimize.BFGS()}, "hess must be a function of x"),
        ({"jac": None, "hess": rosen_hess}, "hess= needs gradients; give jac="),
        ({"jac": "2-point", "shape": 784}, "would take 784 calls .* above 500 variables"),
        ({"jac": None, "shape": -1}, "must hold integers >= 0"),
    ],
)
def test_what_it_cannot_take(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        cax.FunctionOracle(rosen, **{"shape": 2, **settings})


def test_an_answer_of_another_form_says_which_jac_it_needs() -> None:
    with pytest.raises(SpecificationError, match="jac='2-point'\\), or jac=None"):
        cax.minimize(cax.FunctionOracle(rosen, 2), bounds=(0, 1))
    with pytest.raises(SpecificationError, match="jac=True is for functions that return"):
        cax.minimize(cax.FunctionOracle(value_and_gradient, 2, jac="2-point"), bounds=(0, 1))


@pytest.mark.parametrize("function", [rosen, lambda x: x @ x, partial(rosen), max])
@pytest.mark.parametrize("others", [(), ([1, 2],), (np.ones(2),), (cax.Output(0),)])
def test_a_plain_function_in_the_models_place(function: Any, others: tuple[Any, ...]) -> None:
    with pytest.raises(SpecificationError, match=r"FunctionOracle\(.*jac=.*Oracle\(") as caught:
        cax.minimize(function, *others, bounds=(0, 1))
    assert "\n" not in str(caught.value)


def test_a_starting_point_in_the_objectives_place() -> None:
    oracle = cax.FunctionOracle(value_and_gradient, 2)
    with pytest.raises(SpecificationError, match="Where to start is said by x0="):
        cax.minimize(oracle, np.ones(2))


@pytest.mark.parametrize("name", ["jac", "hess", "args"])
def test_what_belongs_to_the_function(name: str) -> None:
    with pytest.raises(SpecificationError, match=f"{name}= belongs to the function"):
        cax.minimize(rosen, x0=np.ones(2), **{name: rosen_der})


def documented(method: str) -> list[str]:
    """Return the options that SciPy's own documentation lists."""
    text = scipy.optimize.show_options("minimize", method.lower(), disp=False)
    text = re.split(r"\n *Returns\n", text)[0]
    names = re.findall(r"^ *([a-zA-Z_][\w, ]*?) *: [^\n]", text, re.MULTILINE)
    return [one.strip() for group in names for one in group.split(",")]


@pytest.mark.parametrize("method", ["L-BFGS-B", "SLSQP", "trust-constr", "TNC", "COBYQA"])
def test_every_documented_option_is_taken_or_has_its_sentence(method: str) -> None:
    names = documented(method)
    assert {"maxiter", "disp"} & set(names)
    for name in names:
        if name == "x0" or name == "constraints":
            continue
        for value in (1, 1e-3, True, None):
            try:
                SOLVERS[method]().with_options({name: value})
            except SpecificationError as error:
                assert "Did you mean" not in str(error)  # noqa: PT017
                assert "Known" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("method", list(SOLVERS))
def test_options_that_print_are_taken_where_they_are_quiet(method: str) -> None:
    quiet = {"disp": False, "iprint": -1, "verbose": 0}
    assert SOLVERS[method]().with_options(quiet) == SOLVERS[method]()
    for loud in ({"disp": True}, {"iprint": 1}, {"verbose": 2}):
        with pytest.raises(SpecificationError, match="write progress=True"):
            SOLVERS[method]().with_options(loud)

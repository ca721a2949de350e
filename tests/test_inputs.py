"""Numbers that users give, by their arrays and by their functions: taken, or refused in a line."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
import sample_models
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import constrained_actmax as cax
from constrained_actmax.errors import ModelError, SpecificationError
from constrained_actmax.json_form import from_json, to_json
from constrained_actmax.layout import Input, Layout, real

NUMBERS = st.one_of(
    st.floats(-1e6, 1e6),
    st.integers(-9, 9),
    st.fractions(-9, 9),
    st.booleans(),
    st.just(Decimal(2)),
)
NO_NUMBERS = st.one_of(st.none(), st.text(max_size=2), st.complex_numbers(allow_nan=False))


def bowl(value: Any = float, slope: Any = np.asarray) -> cax.FunctionOracle:
    return cax.FunctionOracle(lambda x: (value(-float(x @ x)), slope(-2 * x)), 3, smooth=True)


@given(st.lists(NUMBERS, max_size=4))
def test_objects_that_are_numbers_are_numbers(values: list[Any]) -> None:
    for form in (values, tuple(values), np.array(values, dtype=object)):
        assert real(form, "x0").tolist() == [float(one) for one in values]


@given(st.lists(NUMBERS, max_size=3), NO_NUMBERS)
def test_what_is_no_number_is_refused(values: list[Any], other: Any) -> None:
    for form in ([*values, other], np.array([*values, other], dtype=object)):
        with pytest.raises(SpecificationError, match="^x0: expected numbers, got"):
            real(form, "x0")


FORMS = [lambda v: np.array([v]), lambda v: [v], lambda v: np.array([[v]]), Fraction, tf.constant]


@pytest.mark.parametrize("form", FORMS)
def test_a_value_may_be_an_array_of_one_number(form: Any) -> None:
    wanted = cax.maximize(bowl(), bounds=(0.5, 1))
    found = cax.maximize(bowl(form), bounds=(0.5, 1))
    assert found.x.tolist() == wanted.x.tolist() == [0.5] * 3
    assert found.value == pytest.approx(-0.75)
    black = cax.BlackBoxOracle(lambda x: form(-float(x @ x)), 3)
    assert cax.maximize(black, bounds=(0.5, 1)).value == pytest.approx(-0.75)


@pytest.mark.parametrize(
    "value", [None, "a", 1j, [], np.ones(2), [[1], [1, 2]]], ids=lambda value: repr(value)
)
def test_a_value_that_is_no_number_is_named(value: Any) -> None:
    with pytest.raises(SpecificationError, match="function: expected one number, got"):
        cax.maximize(bowl(lambda _: value), bounds=(0.5, 1))


@pytest.mark.parametrize("slope", [None, 1j, ["a", "b", "c"], np.ones(2), np.ones(3) * 1j])
def test_a_gradient_that_is_none_is_named(slope: Any) -> None:
    with pytest.raises(SpecificationError, match="function: expected a gradient of shape"):
        cax.maximize(bowl(slope=lambda _: slope), bounds=(0.5, 1))


@pytest.mark.parametrize("value", [None, "a", 1j, [], [1, None]], ids=lambda value: repr(value))
def test_a_constraint_that_gives_no_numbers_is_named(value: Any) -> None:
    def torn(_: Any) -> Any:
        return value

    with pytest.raises(SpecificationError, match=r"^torn: (expected numbers, got|it gives no)"):
        cax.maximize(bowl(), None, {"type": "ineq", "fun": torn}, bounds=(0, 1))


@pytest.mark.parametrize("args", [0.6, (0.6,), [0.6], np.array(0.6), np.array([0.6])])
def test_args_of_a_constraint_may_be_one_argument(args: Any) -> None:
    limit = {"type": "ineq", "fun": lambda x, low: x[0] - low, "args": args}
    result = cax.maximize(bowl(), None, limit, bounds=(0, 1), method="SLSQP", seed=0)
    np.testing.assert_allclose(result.x, [0.6, 0, 0], atol=1e-6)


def test_rows_of_objects_start_a_run() -> None:
    rows = np.array([[1, Fraction(1, 2), 0], [0, 0, 1]], dtype=object)
    result = cax.maximize(bowl(), bounds=(0, 1), starts=rows)
    assert [one.x0.tolist() for one in result.starts] == [[1, 0.5, 0], [0, 0, 1]]


def test_complex_numbers_are_named() -> None:
    with pytest.raises(SpecificationError, match="x0: .* complex ones .*give their real parts"):
        cax.maximize(bowl(), bounds=(0, 1), x0=np.array([1 + 0j, 0, 0]))
    with pytest.raises(SpecificationError, match="seconds must be > 0, got 1j"):
        cax.Budget(seconds=1j)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", [pd.Series, tf.constant, np.array, list])
def test_two_sets_of_one_kind_may_hold_any_arrays(form: Any) -> None:
    first, second = form([0.0, 0.0, 0.5]), form([0.2, 0.0, 0.5])
    wanted = [0.2, 0.0, 0.5]
    found = cax.maximize(bowl(), None, [cax.Box(first, 1), cax.Box(second, 1), cax.Box(second, 1)])
    np.testing.assert_allclose(found.x, wanted, atol=1e-9)
    assert str(cax.Problem(bowl(), None, [cax.Box(second, 1)] * 2)).count("Box") == 1


def test_a_cone_of_cvxpy_is_projected_on() -> None:
    # max 2t - x on ||x|| <= t <= 3: t = 3, x = (-3, 0)
    slope = np.array([2.0, -1.0, 0.0])
    linear = cax.FunctionOracle(lambda x: (float(slope @ x), slope), 3, smooth=True)
    cone = cax.CvxpySet(lambda v: [cp.SOC(v[0], v[1:]), v[0] <= 3])
    result = cax.maximize(linear, constraints=cone, x0=[2, 0.5, 0.5])
    np.testing.assert_allclose(result.x, [3, -3, 0], atol=1e-4)


def test_a_folder_that_is_no_saved_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    with pytest.raises(ModelError, match=r"is no SavedModel, as it holds no saved_model\.pb"):
        cax.maximize(tmp_path, cax.Output(0), bounds=(0, 1))


def test_bounds_that_are_read_once_survive_a_sweep() -> None:
    problems = [cax.Problem(sloped, bounds=zip([0, 0], [1, 2], strict=True)) for sloped in SLOPED]
    for one in cax.sweep(problems, workers=map):
        assert isinstance(one, cax.Result)
        np.testing.assert_allclose(one.x, [1, 2])


def _sloped(x: np.ndarray) -> tuple[float, np.ndarray]:
    return float(x.sum()), np.ones(2)


SLOPED = [cax.FunctionOracle(_sloped, 2)]


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    shapes = draw(st.lists(st.lists(st.integers(1, 3), max_size=3), min_size=1, max_size=3))
    inputs = []
    for at, shape in enumerate(shapes):
        named = tuple(f"column {one}" for one in range(shape[-1] if shape else 1))
        inputs.append(Input(f"x{at}", tuple(shape), draw(st.sampled_from([None, named]))))
    structure = st.sampled_from(["list", "dict"] if len(inputs) > 1 else ["array", "dict"])
    return Layout(tuple(inputs), draw(structure))


@given(layouts())
def test_a_layout_comes_back_from_its_saved_form(layout: Layout) -> None:
    again = Layout.from_dict(from_json(to_json(layout.to_dict())))
    assert again == layout
    assert hash(again) == hash(layout)  # its shapes and names are tuples again


def test_the_saved_form_of_a_layout_is_the_one_in_files() -> None:
    layout = Layout((Input("age", (2,), ("a", "b")), Input("image", (3, 1))), "dict")
    assert to_json(layout.to_dict()) == (
        """{
 "structure": "dict",
 "inputs": [
  {
   "name": "age",
   "shape": [
    2
   ],
   "feature_names": [
    "a",
    "b"
   ]
  },
  {
   "name": "image",
   "shape": [
    3,
    1
   ],
   "feature_names": null
  }
 ]
}"""
    )


def test_what_is_in_the_wrong_place_or_by_the_wrong_name_is_told_the_way_out() -> None:
    model = sample_models.dense()
    swapped = r"Output\(0\) alone is an objective, which comes before the constraints"
    with pytest.raises(SpecificationError, match=swapped):
        cax.maximize(model, cax.Box(0, 1), cax.Output(0))  # type: ignore[arg-type]
    with pytest.raises(SpecificationError, match=r"'yield' is a name.*give labels="):
        cax.maximize(model, cax.Output("yield"), cax.Box(0, 1))
    with pytest.raises(SpecificationError, match=r"got dict; numbers by name are a pandas\.Series"):
        cax.Box({"a": 0.0}, {"a": 1.0})  # type: ignore[arg-type]


def test_the_package_runs_as_a_module() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "constrained_actmax", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert cax.__version__ in told.stdout


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cax.FunctionOracle(sum, 2.0), "shape must hold integers >= 0, got 2.0"),
        (lambda: cax.BlackBoxOracle(sum, None), "shape must hold integers >= 0, got None"),
        (lambda: cax.BlackBoxOracle(sum, "ab"), "shape must hold integers >= 0, got 'ab'"),
        (lambda: cax.BlackBoxOracle(sum, True), "shape must hold integers >= 0, got True"),
        (lambda: cax.maximize(bowl(), options=5), "options: expected a mapping"),
        (lambda: cax.maximize(bowl(), options=[("a", 1)]), "options: expected a mapping"),
        (lambda: cax.maximize(bowl(), options=np.ones(3)), "options: expected a mapping"),
        (lambda: cax.Box([[1], [1, 2]], 3), "Box: lower: expected numbers, got list"),
        (lambda: cax.maximize(bowl(), x0=[10**400, 1, 1]), "too large for float64"),
        (lambda: cax.load_result(None), "load_result: expected a folder, got None"),
        (lambda: cax.solve_many(5), "problems: expected Problems, got 5"),
        (lambda: cax.sweep(None), "problems: expected Problems, got None"),
        (lambda: cax.compare(5), "problems: expected Problem(.*), got int"),
        (lambda: cax.Budget(True), "evaluations must be an integer >= 1, got True"),
        (lambda: cax.Fixed({"width": 2.0}), r"write Fixed\(\['width'\], \[2.0\]\)"),
        (lambda: cax.Levels({"a": [1, 2], "b": [3]}), r"write Levels\(\['a'\], \[1, 2\]\), Levels"),
    ],
)
def test_a_value_of_another_kind_is_told_in_a_sentence(call: Any, words: str) -> None:
    with pytest.raises(SpecificationError, match=words):
        call()

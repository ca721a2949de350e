"""SciPy's ``bounds=`` in every form and length: one reading, or a refusal that shows both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

import constrained_actmax as cax
from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Input, Layout
from constrained_actmax.sets import box_from_bounds

NAMES = ("a", "b", "c", "d", "e")
#: Each form of the same lower and upper bounds, and whether SciPy's `minimize` takes it as such.
FORMS: dict[str, tuple[Callable[[np.ndarray, np.ndarray], Any], bool]] = {
    "Bounds": (scipy.optimize.Bounds, True),
    "pairs": (lambda low, high: list(zip(low, high, strict=True)), True),
    "tuple of pairs": (
        lambda low, high: tuple(zip(low.tolist(), high.tolist(), strict=True)),
        True,
    ),
    "lists": (lambda low, high: np.stack([low, high], axis=1).tolist(), True),
    "zip": (lambda low, high: zip(low, high, strict=True), False),
    "generator": (
        lambda low, high: ((one, other) for one, other in zip(low, high, strict=True)),
        False,
    ),
    "frame": (lambda low, high: pd.DataFrame({"low": low, "high": high}, NAMES[: len(low)]), False),
    "labelled": (
        lambda low, high: tuple(pd.Series(one, NAMES[: len(low)])[::-1] for one in (low, high)),
        False,
    ),
}
#: Forms that are two arrays, or whose entries are.
ARRAYS: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "arrays": lambda low, high: (low, high),
    "list of arrays": lambda low, high: [low, high],
    "tuple of lists": lambda low, high: (low.tolist(), high.tolist()),
    "one array": lambda low, high: np.array([low, high]),
    "two series": lambda low, high: (pd.Series(low), pd.Series(high)),
}
SIZES = st.integers(1, 5)


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, Layout]:
    low, high = np.sort(np.random.default_rng(seed).normal(size=(2, n)), axis=0)
    return low, high, Layout((Input("x", (n,), NAMES[:n]),))


def same(bounds: Any, layout: Layout, low: Iterable[float], high: Iterable[float]) -> None:
    box = box_from_bounds(bounds, layout).bind(layout)
    np.testing.assert_array_equal(box.bounding_box(), [low, high])


@pytest.mark.parametrize("form", FORMS)
@given(n=SIZES, seed=st.integers(0, 99))
def test_every_length_is_read_alike(form: str, n: int, seed: int) -> None:
    low, high, layout = drawn(n, seed)
    make, scipys = FORMS[form]
    same(make(low, high), layout, low, high)
    if scipys:  # SciPy's own reading: from outside above, the sum is least at the lower bounds
        found = scipy.optimize.minimize(
            lambda x: float(np.sum(x)), high, bounds=make(low, high), method="L-BFGS-B"
        )
        np.testing.assert_allclose(found.x, low)


@pytest.mark.parametrize("form", ARRAYS)
@given(n=SIZES, seed=st.integers(0, 99))
def test_two_arrays_are_lower_and_upper_unless_they_may_be_two_pairs(
    form: str, n: int, seed: int
) -> None:
    low, high, layout = drawn(n, seed)
    if n != 2:
        same(ARRAYS[form](low, high), layout, low, high)
        return
    both = r"Box\(lower, upper\).*\[\(low, high\), \(low, high\)\]"
    with pytest.raises(SpecificationError, match=both):
        box_from_bounds(ARRAYS[form](low, high), layout)
    high[0] = low[1] = max(low[1], low[0])  # both readings are one: x0 in [a, b], x1 in [b, c]
    high[1] = max(high[1], low[1])
    same(ARRAYS[form](low, high), layout, low, high)


@given(n=SIZES, pair=st.sampled_from([(0, 1), (None, 1), (-2.5, None), (0, 0)]))
def test_two_numbers_are_one_pair_for_every_entry(n: int, pair: tuple[Any, Any]) -> None:
    _, _, layout = drawn(n, 0)
    low, high = (
        [open_ if one is None else float(one)] * n
        for one, open_ in zip(pair, (-np.inf, np.inf), strict=True)
    )
    for form in (pair, list(pair), iter(pair)):
        same(form, layout, low, high)
    if None not in pair:
        same(np.array(pair), layout, low, high)
    same([pair] * n, layout, low, high)
    same((pair[0], np.full(n, 3.0)), layout, low, [3.0] * n)


def test_the_rows_of_a_frame_are_bounds_of_its_columns() -> None:
    layout = Layout((Input("x", (3,), NAMES[:3]),))
    frame = pd.DataFrame([[3.0, 1.0, 2.0], [30.0, 10.0, 20.0]], columns=["c", "a", "b"])
    same(frame, layout, [1.0, 2.0, 3.0], [10.0, 20.0, 30.0])
    series = pd.Series({"c": (3, 30), "a": (1, 10), "b": (2, 20)})
    same(series, layout, [1.0, 2.0, 3.0], [10.0, 20.0, 30.0])
    with pytest.raises(SpecificationError, match="nothing named 'z'"):
        box_from_bounds(series.rename({"c": "z"}), layout)


@pytest.mark.parametrize(
    "wrong", [3, "ab", [(0, 1)] * 4, [(0, 1, 2)] * 3, {"a": (0, 1)}, [0, 1, 2]]
)
def test_what_is_none_of_the_forms_is_named(wrong: Any) -> None:
    with pytest.raises(SpecificationError, match="bounds: |Box: lower must be numbers"):
        box_from_bounds(wrong, Layout.of_array((3,)))


def test_a_zip_is_read_once_and_serves_every_problem() -> None:
    def bowl(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(np.sum((x - 2) ** 2)), 2 * (x - 2)

    oracle = cax.FunctionOracle(bowl, (2,), smooth=True)
    problem = cax.Problem(oracle, bounds=zip([0, 0], [1, 3], strict=True), sense="minimize")
    again = cax.Problem(**problem.recipe)
    for one in (problem, again):
        assert cax.solve(one, x0=[0, 0]).x == pytest.approx([1, 2])
    with pytest.raises(SpecificationError, match="two arrays may be"):
        cax.minimize(oracle, bounds=(np.zeros(2), np.ones(2)), method="spg")
    found = cax.minimize(oracle, bounds=(0, 1), method="spg", x0=[0, 0])
    assert found.x == pytest.approx([1, 1])


def test_a_zip_serves_every_objective() -> None:
    net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    net.layers[0].set_weights([np.array([[1.0], [-1.0]]), np.zeros(1)])
    bounds = zip([0, 5], [1, 6], strict=True)
    most, least = cax.maximize(net, [cax.Output(0), -cax.Output(0)], bounds=bounds, seed=0)
    np.testing.assert_allclose([most.x, least.x], [[1, 5], [0, 6]])

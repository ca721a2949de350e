"""One record for each constraint: found by index, name or object, whatever it prints as."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
import scipy.optimize
from sample_problems import quadratic

import constrained_actmax as cax
from constrained_actmax.errors import SpecificationError
from constrained_actmax.sets import from_dict
from constrained_actmax.sets.base import ConvexSet


def sum_of_squares(n: int = 2) -> cax.FunctionOracle:
    return cax.FunctionOracle(lambda x: (float(x @ x), 2 * x), n, smooth=True, name="squares")


def entry(place: int, at_least: float) -> cax.Function:
    """Return the constraint x[place] >= at_least, printed the same for every place."""
    slope = np.eye(2)[place]
    return cax.Function(lambda x: x[place], at_least, jacobian=lambda x: slope, name="x")


def two_alike() -> tuple[cax.Result, list[cax.Function]]:
    """Minimise |x|^2 subject to x_0 >= 1 and x_1 >= 1: by hand both multipliers are 2 * 1."""
    limits = [entry(0, 1.0), entry(1, 1.0)]
    return cax.minimize(sum_of_squares(), constraints=limits, method="SLSQP", x0=[2, 3]), limits


def test_two_constraints_that_print_alike_are_two() -> None:
    # By hand: with x_0 >= a and x_1 / 3 >= b the optimal value is a^2 + 9 b^2; its slopes at 1.
    sides = [lambda x: x[0], lambda x: x[1] / 3]
    slopes = [lambda x: np.array([1.0, 0.0]), lambda x: np.array([0.0, 1 / 3])]
    limits = [
        cax.Function(side, 1, jacobian=slope) for side, slope in zip(sides, slopes, strict=True)
    ]
    result = cax.minimize(sum_of_squares(), constraints=limits, method="SLSQP", x0=[2, 4])
    assert str(limits[0]) == str(limits[1]) == "<lambda> >= 1"
    rates = [one.multiplier for one in result.constraints]
    np.testing.assert_allclose(rates, [2.0, 18.0], rtol=1e-5)
    np.testing.assert_allclose([one.value for one in result.constraints], [1.0, 1.0], rtol=1e-6)
    assert list(result.optimality.multipliers.values()) == rates
    assert result.optimality.multipliers["<lambda> >= 1 [1]"] == rates[1]
    for record, limit in zip(result.constraints, limits, strict=True):
        assert result.constraints[limit] is record
    for ambiguous in (result.constraints, result.optimality.multipliers):
        with pytest.raises(SpecificationError, match=r"means 2 of them, with the indices 0, 1"):
            ambiguous["<lambda> >= 1"]


def test_records_are_found_by_index_name_words_and_object() -> None:
    ball, limit = cax.L1Ball(1.5, name="ink"), entry(0, 0.1)
    result = cax.solve(quadratic(2, [cax.Box(0, 1), ball, limit]), starts=2, seed=0)
    by_index = [result.constraints[place] for place in range(3)]
    assert by_index == list(result.constraints)
    assert result.constraints[-1] is by_index[2]
    assert result.constraints[np.int64(1)] is by_index[1]
    for key in ("ink", "L1Ball(1.5)", ball):
        assert result.constraints[key] is by_index[1]
    for key in ("x", "x >= 0.1", limit):
        assert result.constraints[key] is by_index[2]
    assert result.optimality.multipliers["ink"] == result.optimality.multipliers["L1Ball(1.5)"]
    assert result.optimality.multipliers.get("no such thing") is None
    assert result.violations == [(one.words, one.violation) for one in by_index]
    assert result.tolerances == [None, None, by_index[2].tolerance]
    assert "ink: L1Ball(1.5): satisfied" in str(result)
    with pytest.raises(SpecificationError, match=r"no 'paint'; use an index, .* ink: L1Ball"):
        result.constraints["paint"]
    with pytest.raises(SpecificationError, match="constraints: no "):
        result.constraints[cax.L1Ball(1.5)]  # equal, not the same
    with pytest.raises(IndexError):
        result.constraints[3]


def test_scipys_constraints_are_found_as_they_were_written() -> None:
    rows = scipy.optimize.LinearConstraint(np.ones((1, 2)), 0.5, 3)
    curve = scipy.optimize.NonlinearConstraint(lambda x: x[0] * x[1], -1, 1)
    limit = {"type": "ineq", "fun": lambda x: x[0] - 1.0, "name": "at least one"}
    bounds = scipy.optimize.Bounds([-2, -2], [2, 2])
    named = cax.Function.from_scipy(curve, name="product")
    written = [rows, bounds, curve, limit, named]
    result = cax.minimize(sum_of_squares(), constraints=written, method="SLSQP", x0=[1, 1])
    assert [result.constraints[one] for one in written] == list(result.constraints)
    assert result.constraints["at least one"] is result.constraints[limit]
    assert result.constraints["product"] is result.constraints[4]
    assert result.constraints[limit].multiplier == pytest.approx(2.0, rel=1e-5)


def test_a_comparison_takes_a_name() -> None:
    limit = cax.Output(0) <= 1
    named = limit.named("strain")
    assert (limit.name, named.name, str(named)) == (None, "strain", str(limit))
    assert cax.Between(None, cax.Output(0), 1, name="strain").name == "strain"


#: One of each public set, on four entries.
SETS: dict[str, Callable[[str], ConvexSet]] = {
    "AffineSubspace": lambda name: cax.AffineSubspace(np.ones((1, 4)), 1, name=name),
    "BandLimited": lambda name: cax.BandLimited(1, axes=(0,), name=name),
    "Box": lambda name: cax.Box(0, 1, name=name),
    "Cardinality": lambda name: cax.Cardinality(2, name=name),
    "ConvexHull": lambda name: cax.ConvexHull(np.eye(4), name=name),
    "CvxpySet": lambda name: cax.CvxpySet(lambda x: cp.norm(x) <= 1, name=name),
    "Ellipsoid": lambda name: cax.Ellipsoid(1, 2.0, name=name),
    "Fixed": lambda name: cax.Fixed([0], 0.5, name=name),
    "GroupBall": lambda name: cax.GroupBall(1, [0, 0, 1, 1], name=name),
    "Halfspace": lambda name: cax.Halfspace(np.ones(4), 1, name=name),
    "Integers": lambda name: cax.Integers(name=name),
    "L1Ball": lambda name: cax.L1Ball(1, name=name),
    "L2Ball": lambda name: cax.L2Ball(1, where=[0, 1], name=name),
    "Levels": lambda name: cax.Levels(None, [0.0, 0.5, 1.0], name=name),
    "LinfBall": lambda name: cax.LinfBall(1, name=name),
    "Linear": lambda name: cax.Linear(np.ones((1, 4)), None, 1, name=name),
    "Monotone": lambda name: cax.Monotone(name=name),
    "MovingRange": lambda name: cax.MovingRange(1, name=name),
    "NuclearNormBall": lambda name: cax.NuclearNormBall(1, name=name),
    "OneHot": lambda name: cax.OneHot(name=name),
    "Simplex": lambda name: cax.Simplex(name=name),
    "Symmetric": lambda name: cax.Symmetric("left-right", name=name),
    "TotalVariationBall": lambda name: cax.TotalVariationBall(1, name=name),
}


def test_every_set_is_tried() -> None:
    public = {name: getattr(cax, name) for name in cax.__all__}
    kinds = {name for name, one in public.items() if _is_set(one)}
    assert kinds - {"ConvexSet", "Intersection"} == set(SETS)


def _is_set(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, ConvexSet)


@pytest.mark.parametrize("kind", SETS)
def test_every_set_takes_a_name(kind: str) -> None:
    named = SETS[kind]("mine")
    shape = (2, 2) if kind in ("NuclearNormBall", "Symmetric") else (4,)
    oracle = cax.FunctionOracle(
        lambda x: (float(np.sum(x**2)), 2 * x), shape, smooth=True, name="squares"
    )
    problem = cax.Problem(oracle, constraints=[cax.Box(-3, 3), named], sense="minimize")
    result = cax.solve(problem, method="spg", seed=0, budget=cax.Budget(evaluations=3))
    assert result.constraints["mine"] is result.constraints[1] is result.constraints[named]
    assert result.constraints["mine"].words == str(named)
    assert "mine" not in str(named)


def test_a_name_survives_the_saved_form_of_a_set() -> None:
    read = from_dict(cax.L1Ball(2, name="ink").to_dict())
    assert (read.name, str(read)) == ("ink", "L1Ball(2)")


def test_names_are_checked() -> None:
    with pytest.raises(SpecificationError, match=r"L1Ball\(1\): name must be a text"):
        quadratic(4, [cax.L1Ball(1, name=3)])  # type: ignore[arg-type]
    with pytest.raises(SpecificationError, match="give on=, where= and name= to its members"):
        cax.Intersection([cax.Box(0, 1)], name="both")
    with pytest.raises(SpecificationError, match="is there twice, named 'a' and 'b'"):
        quadratic(4, [cax.L1Ball(1, name="a"), cax.L1Ball(1, name="b")])


def test_a_set_that_is_written_twice_is_one_record_with_both_objects() -> None:
    first, second = cax.L1Ball(1.5), cax.L1Ball(1.5, name="ink")
    result = cax.solve(quadratic(4, [first, second]), seed=0)
    (record,) = result.constraints
    assert record is result.constraints[first] is result.constraints[second]
    assert record is result.constraints["ink"]


def test_records_survive_saving_and_pickling(tmp_path: Path) -> None:
    result, limits = two_alike()
    loaded = cax.load_result(result.save(tmp_path))
    assert loaded.constraints == result.constraints
    assert str(loaded) == str(result)
    again = pickle.loads(pickle.dumps(result))
    assert again.constraints == result.constraints
    for one in (loaded, again):
        with pytest.raises(SpecificationError, match="constraints: no <Function"):
            one.constraints[limits[0]]


def test_the_second_format_without_records_still_loads(tmp_path: Path) -> None:
    result, _ = two_alike()
    result.save(tmp_path)
    data = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    records = data.pop("constraints")
    # As it was saved before there were records: the second of the two overwrote the first.
    data["violations"] = [[one["words"], one["violation"]] for one in records]
    data["tolerances"] = [one["tolerance"] for one in records]
    data["optimality"]["multipliers"] = {records[1]["words"]: records[1]["multiplier"]}
    (tmp_path / "result.json").write_text(json.dumps(data), encoding="utf-8")
    loaded = cax.load_result(tmp_path)
    assert loaded.violations == result.violations
    assert loaded.tolerances == result.tolerances
    assert [one.multiplier for one in loaded.constraints] == [
        None,
        result.constraints[1].multiplier,
    ]

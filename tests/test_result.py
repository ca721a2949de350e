"""What a run gives back: fields, printed form, saved form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
from sample_problems import quadratic

import constrained_actmax as cax
from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Input, Layout


@pytest.fixture(name="result")
def _result() -> cax.Result:
    problem = quadratic(9, [cax.Box(0, 1), cax.L1Ball(1.5)])
    return cax.solve(problem, starts=3, seed=4)


def test_scipys_names_mean_what_they_mean_in_scipy(result: cax.Result) -> None:
    theirs = result.to_scipy()
    assert isinstance(theirs, scipy.optimize.OptimizeResult)
    np.testing.assert_array_equal(theirs.x, result.x)
    assert theirs.fun == result.fun == result.value
    assert theirs.success
    assert theirs.success == result.success
    assert theirs.status == 0
    assert theirs.nfev == result.nfev == theirs.njev
    assert theirs.nit == result.nit
    assert theirs.maxcv == result.maxcv == 0


def test_maximising_negates_fun_alone() -> None:
    oracle = cax.FunctionOracle(lambda x: (5.0 - float(x @ x), -2 * x), 2)
    result = cax.maximize(oracle, constraints=[cax.Box(1, 3)])
    assert result.value == 3.0
    assert result.fun == -3.0
    assert result.history.value[-1] == 3.0


def test_the_printed_form_says_feasibility_and_value_first(result: cax.Result) -> None:
    lines = str(result).splitlines()
    assert lines[0] == f"Feasible: minimised bowl = {result.value:.6g}"
    assert lines[1].startswith("Converged")
    assert len(lines) <= 14
    assert "L1Ball(1.5): satisfied, multiplier -" in str(result)
    assert any(line.strip().startswith("seed") and line.endswith("4") for line in lines)


def test_an_infeasible_result_says_so_first() -> None:
    def never(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array([x @ x]), 2 * x[None]

    oracle = cax.FunctionOracle(lambda x: (float(x.sum()), np.ones(2)), 2, smooth=True)
    impossible = cax.Function(lambda x: never(x)[0], upper=-1.0, jacobian=lambda x: never(x)[1])
    result = cax.minimize(oracle, constraints=[cax.Box(-1, 1), impossible], x0=[0.5, 0.5])
    assert not result.feasible
    assert result.status is cax.Status.INFEASIBLE
    assert str(result).startswith("NOT FEASIBLE (violation ")
    assert not result.success
    assert np.linalg.norm(result.x) < 0.3  # the least violating point is the origin


def test_saving_and_loading_gives_the_same_result(result: cax.Result, tmp_path: Path) -> None:
    folder = result.save(tmp_path / "run")
    loaded = cax.load_result(folder)
    assert str(loaded) == str(result)
    np.testing.assert_array_equal(loaded.x, result.x)
    np.testing.assert_array_equal(loaded.batch, result.batch)
    for one, two in zip(loaded.starts, result.starts, strict=True):
        np.testing.assert_array_equal(one.x, two.x)
        assert (one.value, one.status, one.nit) == (two.value, two.status, two.nit)
    assert loaded.history == result.history
    assert loaded.optimality == result.optimality
    assert loaded.versions == result.versions
    assert loaded.violations == result.violations
    json.loads((folder / "result.json").read_text(encoding="utf-8"))
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        assert set(arrays) >= {"x", "lower", "upper", "starts_x", "starts_x0"}


def test_a_result_of_the_first_format_still_loads(tmp_path: Path) -> None:
    # Written by hand as the first format was: the residual in input units under `stationarity`,
    # the pure number under `relative_stationarity`, and no tolerances.
    saved = {
        "format": 1,
        "layout": {
            "structure": "array",
            "inputs": [{"name": "x", "shape": [2], "feature_names": ["length", "mass"]}],
        },
        "optimality": {
            "stationarity": 0.03,
            "relative_stationarity": 0.01,
            "violation": 2e-10,
            "complementarity": 4e-9,
            "multipliers": {"L1Ball(1.5)": 0.75, "Between('rows', upper=1)": [0.25, 0.0]},
            "gap": None,
        },
        "status": "STALLED",
        "history": {
            "start": [0, 0],
            "nit": [0, 1],
            "rows": [1, 3],
            "seconds": [0.0, 0.1],
            "value": [1.0, 3.0],
            "violation": [0.0, 2e-10],
        },
        "starts": [
            {
                "value": 3.0,
                "feasible": True,
                "violation": 2e-10,
                "stationarity": 0.03,
                "status": "STALLED",
                "nit": 1,
                "detail": "",
            }
        ],
        "value": 3.0,
        "fun": -3.0,
        "feasible": True,
        "violations": [["L1Ball(1.5)", 3e-10], ["Between('rows', upper=1)", 0.0]],
        "maxcv": 2e-10,
        "message": "Stalled: no more progress.",
        "nfev": 3,
        "calls": 3,
        "nit": 1,
        "seconds": 0.1,
        "method": "spg",
        "reason": "",
        "sense": "maximize",
        "objective": "bowl",
        "seed": 4,
        "notes": [],
        "settings": {"tol": 1e-6},
        "versions": {"numpy": "2.0.0"},
    }
    (tmp_path / "result.json").write_text(json.dumps(saved), encoding="utf-8")
    x, inf = np.array([1.0, 0.5]), np.full(2, np.inf)
    arrays = {"x": x, "lower": -inf, "upper": inf, "batch_0": x[None], "starts_x": x[None]}
    np.savez(tmp_path / "arrays.npz", starts_x0=np.zeros((1, 2)), **arrays)
    loaded = cax.load_result(tmp_path)
    np.testing.assert_array_equal(loaded.x, x)
    kkt, multipliers = loaded.optimality, saved["optimality"]["multipliers"]
    assert (kkt.stationarity, kkt.residual, kkt.violation) == (0.01, 0.03, 2e-10)
    assert (kkt.complementarity, kkt.frank_wolfe_gap) == (4e-9, None)
    assert kkt.multipliers == multipliers
    assert np.isnan(loaded.starts[0].stationarity)  # theirs were in input units alone
    assert (loaded.value, loaded.status, loaded.maxcv) == (3.0, cax.Status.STALLED, 2e-10)
    assert loaded.violations == [("L1Ball(1.5)", 3e-10), ("Between('rows', upper=1)", 0.0)]
    assert loaded.tolerances == [None, None]
    assert "L1Ball(1.5): satisfied within its tolerance (violation 3e-10), multiplier" in str(
        loaded
    )
    assert "0.01 scaled, 0.03 in input units" in str(loaded)
    again = cax.load_result(loaded.save(tmp_path / "again"))
    assert str(again) == str(loaded)
    assert again.optimality == loaded.optimality


def test_numbers_that_json_lacks_survive(result: cax.Result, tmp_path: Path) -> None:
    problem = quadratic(3, [])
    free = cax.solve(problem, method="spg", x0=np.zeros(3))
    loaded = cax.load_result(free.save(tmp_path))
    assert np.isneginf(loaded.bounds[0]).all()
    assert np.isposinf(loaded.bounds[1]).all()


def test_loading_nothing_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match=r"holds no result\.json with arrays\.npz"):
        cax.load_result(tmp_path)
    (tmp_path / "result.json").write_text('{"format": 99}')
    np.savez(tmp_path / "arrays.npz", x=np.zeros(1))
    with pytest.raises(SpecificationError, match="format 99 is not 2"):
        cax.load_result(tmp_path)


def test_the_notebook_form_holds_a_picture_and_the_text(result: cax.Result) -> None:
    page = result._repr_html_()
    assert 'src="data:image/png;base64,' in page
    assert "Feasible: minimised bowl" in page


def test_the_same_seed_gives_the_same_bits() -> None:
    problem = quadratic(9, [cax.Box(0, 1), cax.L1Ball(1.5)])
    one, two, other = (cax.solve(problem, method="pgd", starts=4, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.x, two.x)
    assert not np.array_equal(one.starts[0].x0, other.starts[0].x0)
    unseeded = cax.solve(problem, method="pgd", starts=4)
    again = cax.solve(problem, method="pgd", starts=4, seed=unseeded.seed)
    np.testing.assert_array_equal(unseeded.x, again.x)


def test_starts_count_x0_and_draws() -> None:
    problem = quadratic(9, [cax.Box(0, 1), cax.L1Ball(1.5)])
    outside = np.full(9, 2.0)
    result = cax.solve(problem, x0=outside, starts=3, seed=0)
    assert len(result.starts) == 3
    np.testing.assert_allclose(result.starts[0].x0, np.full(9, 1.5 / 9))
    assert any("x0 was outside C and was projected" in note for note in result.notes)
    assert all(problem.set.violation(one.x0) == 0 for one in result.starts)
    given = cax.solve(problem, starts=np.eye(9)[:4])
    assert len(given.starts) == 4
    assert given.seed is None
    best = min(one.value for one in given.starts)
    assert given.value == best


def test_a_frame_shows_what_changed() -> None:
    target = np.array([3.2, 1.0, 0.6])
    oracle = cax.FunctionOracle(
        lambda x: (float(np.sum((x - target) ** 2)), 2 * (x - target)), (3,)
    )
    allowed = [cax.Box(0, 6), cax.Integers([0, 1])]
    x0 = [1.0, 1.0, 0.6]
    frame = cax.minimize(oracle, constraints=allowed, x0=x0, seed=0).to_frame()
    assert list(frame.columns) == ["before", "after", "change"]
    assert frame.loc["x[0]"].tolist() == [1.0, 3.0, 2.0]
    assert "x[1]" not in frame.index
    result = cax.minimize(oracle, constraints=allowed, x0=x0, seed=0)
    assert result.to_frame(before=[3.0, 0.0, 0.6]).index.tolist()[0] == "x[1]"


def test_a_frame_of_a_table_has_its_feature_names() -> None:
    layout = Layout((Input("x", (2,), ("age", "rooms")),))
    assert [layout.label(0), layout.label(1)] == ["age", "rooms"]
    pair = Layout((Input("a", (2,), ("age", "rooms")), Input("b", (1,))))
    assert [pair.label(1), pair.label(2)] == ["a['rooms']", "b[0]"]

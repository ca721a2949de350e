"""compare: fair, honest about failures, resumable; its frame, pictures and trade-off."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import matplotlib as mpl
import numpy as np
import pytest
from sample_models import dense
from sample_problems import quadratic

import constrained_actmax as cax
from constrained_actmax.baselines import Baseline
from constrained_actmax.comparison import running
from constrained_actmax.comparison.comparing import _tasks
from constrained_actmax.layout import Vector
from constrained_actmax.result import Status
from constrained_actmax.tasks.recording import Recording


@dataclass(frozen=True, kw_only=True)
class Broken(Baseline):
    """An entrant that raises."""

    name: ClassVar[str] = "broken"
    limits: ClassVar[str] = "everything"

    def _search(self, run: Recording, start: int, x0: Vector) -> tuple[Vector, Status, str]:
        raise ZeroDivisionError("as announced")


@dataclass(frozen=True, kw_only=True)
class Outside(Baseline):
    """An entrant that returns a fixed point outside the set."""

    name: ClassVar[str] = "outside"
    limits: ClassVar[str] = "keeps nothing"

    def _search(self, run: Recording, start: int, x0: Vector) -> tuple[Vector, Status, str]:
        run.evaluate(x0[np.newaxis], [start])
        return np.full_like(x0, 3.0), Status.STALLED, "there"


@pytest.fixture(scope="module")
def bowls() -> dict[str, cax.Problem]:
    sets: list[Any] = [cax.Box(-1, 1), cax.L1Ball(2.0)]
    return {f"bowl {seed}": quadratic(6, sets, seed) for seed in range(3)}


METHODS: dict[str, Any] = {
    "spg": "spg",
    "pgd": cax.PGD(iterations=30),
    "ascent": cax.GradientAscent(rate=0.2),
    "outside": Outside(),
    "broken": Broken(),
    "trainer": "trainable-input",
}


@pytest.fixture(scope="module")
def found(bowls: dict[str, cax.Problem]) -> cax.Comparison:
    return cax.compare(bowls, METHODS, starts=4, budget=60, seed=1)


def test_every_trial_is_there_and_within_budget(found: cax.Comparison) -> None:
    assert len(found.trials) == 3 * 6 * 4
    ran = [one for one in found.trials if one.outcome == "ran"]
    assert {one.method for one in ran} == {"spg", "pgd", "ascent", "outside"}
    assert all(0 < one.evaluations <= 60 for one in ran)


def test_all_methods_begin_at_the_same_starts(bowls: dict[str, cax.Problem]) -> None:
    begun: dict[str, list[bytes]] = {}

    @dataclass(frozen=True, kw_only=True)
    class Noting(Baseline):
        name: ClassVar[str] = "noting"
        limits: ClassVar[str] = ""
        label: str = ""

        def _search(self, run: Recording, start: int, x0: Vector) -> tuple[Vector, Status, str]:
            begun.setdefault(self.label, []).append(x0.tobytes())
            return x0, Status.STALLED, ""

    methods = {label: Noting(label=label) for label in "ab"}
    result = cax.compare(bowls["bowl 0"], methods, starts=3)
    assert begun["a"] == begun["b"] == [x0.tobytes() for x0 in result.problems[0].starts]
    inside = bowls["bowl 0"].set.relative_violation(result.problems[0].starts)
    assert (inside <= 1e-12).all()


def test_raw_and_projected_are_both_measured(
    found: cax.Comparison, bowls: dict[str, cax.Problem]
) -> None:
    problem = bowls["bowl 1"]
    one = found.of("bowl 1", "outside")[2]
    raw = np.full((1, 6), 3.0)
    x = problem.set.project(raw)
    assert one.raw_value == pytest.approx(float(problem.evaluate(raw).f[0]))
    assert one.value == pytest.approx(float(problem.evaluate(x).f[0]))
    assert one.raw_violation > 1
    assert one.feasible
    assert one.evaluations == 1  # scoring is not the method's


def test_failures_and_refusals_are_rows_with_reasons(found: cax.Comparison) -> None:
    frame = found.to_frame()
    assert frame.loc[("bowl 0", "broken"), "status"] == "4 failed"
    errors = found.errors()
    assert "ZeroDivisionError: as announced" in set(errors.reason)
    refused = errors[errors.method == "trainer"]
    assert set(refused.outcome) == {"refused"}
    assert refused.starts.tolist() == [4, 4, 4]
    with pytest.raises(ZeroDivisionError, match="as announced"):
        cax.compare(quadratic(3, [cax.Box(-1, 1)]), Broken(), on_error="raise")


def test_the_frame_is_what_the_trials_say(found: cax.Comparison) -> None:
    frame, trials = found.to_frame(), found.to_trials()
    mine = trials[(trials.problem == "bowl 2") & (trials.method == "pgd")]
    row = frame.loc[("bowl 2", "pgd")]
    assert row.value == pytest.approx(np.median(mine.value))
    assert row.quartile_1 == pytest.approx(np.quantile(mine.value, 0.25))
    assert row.best == pytest.approx(mine.value.min())  # a minimisation
    assert row.feasible == 1.0
    assert frame.wins.sum() + (frame.ties > 0).sum() >= 3


def test_ranks_and_winner(found: cax.Comparison) -> None:
    ranks = found.ranks()
    assert set(ranks.index[:2]) == {"spg", "pgd"}
    assert ranks.mean_rank["broken"] == ranks.mean_rank["trainer"] == 5.5
    worse = found.subset(methods=["spg", "outside"])
    assert worse.best().winner == "spg"
    assert worse.best("bowl 0").winner == "spg"
    same = cax.compare(quadratic(6, [cax.Box(-1, 1)]), {"a": "spg", "b": "spg"}, starts=4)
    assert same.best().winner is None
    assert same.to_frame().ties.tolist() == [4, 4]


def test_costs_are_first_times_below_the_target(found: cax.Comparison) -> None:
    costs = found.costs(accuracy=0.1)
    assert costs.shape == (12, 6)
    problem, start = found.problems[0], 0
    trials = {one.method: one for one in found.of(problem.label) if one.start == start}
    ends = [one.value for one in trials.values() if one.feasible]
    f0, best = problem.start_values[start], min(ends)
    target = best + 0.1 * (f0 - best)
    for column, name in enumerate(found.labels):
        one = trials[name]
        expected = np.inf
        if one.history:
            values, violation = one.history["value"], one.history["violation"]
            for place in range(len(values)):
                if violation[place] <= problem.tolerance and values[place] <= target:
                    expected = one.history["evaluations"][place]
                    break
        assert costs[0, column] == expected


def test_goes_on_from_a_folder(
    tmp_path: Path, bowls: dict[str, cax.Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = ["spg", "pgd"]
    played: list[Any] = []
    play = running.play

    def counted(labels: Any, *rest: Any, **named: Any) -> Any:
        if len(played) == 5:
            raise KeyboardInterrupt
        played.append(labels)
        return play(labels, *rest, **named)

    monkeypatch.setattr("constrained_actmax.comparison.comparing.play", counted)
    cut = cax.compare(bowls, methods, starts=2, budget=20, folder=tmp_path)
    assert len(cut.trials) == 5
    assert len(cax.load_comparison(tmp_path).trials) == 5
    monkeypatch.setattr("constrained_actmax.comparison.comparing.play", play)
    again: list[Any] = []

    def noted(labels: Any, *rest: Any, **named: Any) -> Any:
        again.append(labels)
        return play(labels, *rest, **named)

    monkeypatch.setattr("constrained_actmax.comparison.comparing.play", noted)
    whole = cax.compare(bowls, methods, starts=2, budget=20, folder=tmp_path)
    assert len(whole.trials) == 12
    assert len(again) == 7
    assert not set(again) & set(played)
    other = cax.compare(bowls, methods, starts=2, budget=21, folder=tmp_path)
    assert len(again) == 7 + 12  # another question
    assert all(one.evaluations <= 21 for one in other.trials)
    assert not list(tmp_path.rglob("*.pkl"))


def test_saves_and_loads(tmp_path: Path, found: cax.Comparison) -> None:
    loaded = cax.load_comparison(found.save(tmp_path / "kept"))
    assert loaded.to_frame().equals(found.to_frame())
    assert str(loaded) == str(found)
    assert loaded.budget == found.budget
    np.testing.assert_array_equal(loaded.trials[3].x, found.trials[3].x)
    with pytest.raises(cax.SpecificationError, match="holds no whole comparison"):
        cax.load_comparison(tmp_path)


def test_a_comparison_that_is_killed_while_saving_leaves_one_whole_comparison(
    tmp_path: Path, bowls: dict[str, cax.Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = (cax.compare(bowls, ["spg"], starts=2, budget=rows) for rows in (3, 20))
    texts = {str(older), str(newer)}
    assert len(texts) == 2
    steps, seen = 0, []
    while True:
        steps += 1
        folder, left = tmp_path / str(steps), iter(range(steps))
        older.save(folder)

        def killed(act: Any, left: Any = left) -> Any:
            def wrapper(*arguments: Any, **settings: Any) -> Any:
                if next(left, None) is None:
                    raise KeyboardInterrupt
                return act(*arguments, **settings)

            return wrapper

        with monkeypatch.context() as patched:
            for name in ("write_bytes", "write_text", "replace"):
                patched.setattr(Path, name, killed(getattr(Path, name)))
            try:
                newer.save(folder)
            except KeyboardInterrupt:
                seen.append(str(cax.load_comparison(folder)))
                continue
        break
    assert set(seen) == texts
    assert str(cax.load_comparison(folder)) == str(newer)


def test_residuals_of_the_first_format_had_units(tmp_path: Path, found: cax.Comparison) -> None:
    head = found.save(tmp_path) / "comparison.json"
    data = json.loads(head.read_text(encoding="utf-8"))
    data["format"] = 1
    del data["arrays"]
    (tmp_path / "trials.json").write_text(json.dumps(data.pop("trials")), encoding="utf-8")
    for one in data["problems"]:
        del one["range"]
    head.write_text(json.dumps(data), encoding="utf-8")
    loaded = cax.load_comparison(tmp_path)
    for old, new in zip(loaded.trials, found.trials, strict=True):
        assert np.isnan(old.stationarity)
        assert (old.outcome, old.evaluations) == (new.outcome, new.evaluations)
        np.testing.assert_array_equal(old.value, new.value)
    assert str(loaded).splitlines()[0] == str(found).splitlines()[0]
    data["format"] = 4
    head.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(cax.SpecificationError, match="format 4 is not 3"):
        cax.load_comparison(tmp_path)


def test_last_digits_of_a_range_ask_no_other_question(found: cax.Comparison) -> None:
    near = [replace(one, range=one.range * (1 + 1e-9)) for one in found.problems]
    far = [replace(one, range=one.range * 2) for one in found.problems]
    names, same, other = (
        [task[0] for task in _tasks(records, found.methods, None, None)]
        for records in (found.problems, near, far)
    )
    assert names == same
    assert not set(names) & set(other)


@pytest.mark.slow
def test_workers_find_the_same() -> None:
    problem = cax.Problem(dense(), cax.Logit(1), [cax.Box(-1, 1), cax.L1Ball(2)])
    methods = {"spg": "spg", "ascent": cax.GradientAscent(steps=9)}
    one, two = (
        cax.compare(problem, methods, starts=2, budget=30, workers=workers) for workers in (1, 2)
    )
    for a, b in zip(one.trials, two.trials, strict=True):
        np.testing.assert_allclose(a.x, b.x, atol=1e-9)
        assert a.evaluations == b.evaluations


def test_names_are_suggested(bowls: dict[str, cax.Problem]) -> None:
    with pytest.raises(cax.SpecificationError, match="Did you mean 'gradient-ascent'"):
        cax.compare(bowls, ["gradient-acsent"])
    with pytest.raises(cax.SpecificationError, match="no 'bowl 9'"):
        cax.compare(bowls, "spg").best("bowl 9")
    with pytest.raises(cax.SpecificationError, match="there twice; give a dict"):
        cax.compare(bowls, ["spg", "spg"])
    with pytest.raises(cax.SpecificationError, match=r"starts: expected shape \(6,\), got \(5,\)"):
        cax.compare(bowls, "spg", starts=np.zeros((2, 5)))


def test_pictures_mark_infeasible_points_by_shape(found: cax.Comparison) -> None:
    with mpl.rc_context({"figure.max_open_warning": 0}):
        axes = [
            found.plot_convergence("bowl 0"),
            found.plot_convergence("bowl 0", cost="seconds"),
            found.plot_waterfall("bowl 0"),
            found.plot_performance_profile(),
            found.plot_data_profile(groups=True),
            found.plot(),
        ]
        violation = found.plot_violation("bowl 0")
        panels = found.plot_inputs("bowl 0", raw=True)
    for ax in axes:
        assert ax.get_xlabel()
        assert ax.get_ylabel()
        looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in ax.lines}
        assert len(looks) >= 4
    assert {line.get_marker() for line in violation.lines} >= {"o", "x"}
    titles = [ax.get_title() for ax in panels]
    assert sum("not feasible" in title for title in titles) >= 1


def test_trade_off_multipliers_are_its_slopes() -> None:
    # max b'x on the ball of radius r is r |b|: value and multiplier are known exactly.
    b = np.array([3.0, -4.0])
    oracle = cax.FunctionOracle(lambda x: (float(b @ x), b), 2, smooth=True, name="line")
    problem = cax.Problem(oracle, constraints=[cax.Box(-50, 50), cax.L2Ball(1.0)])
    curve = cax.trace(problem, radius=[3, 1, 2])
    np.testing.assert_array_equal(curve.radii, [1, 2, 3])
    np.testing.assert_allclose(curve.values, [5, 10, 15], rtol=1e-6)
    np.testing.assert_allclose(curve.multipliers, 5.0, rtol=1e-5)
    frame = curve.to_frame()
    np.testing.assert_allclose(frame.slope[1:], 5.0, rtol=1e-5)
    assert curve.plot().get_xlabel() == "radius of L2Ball"


def test_trade_off_never_gets_worse_on_a_network() -> None:
    problem = cax.Problem(dense("relu"), cax.Logit(1), [cax.Box(-1, 1), cax.L1Ball(1)])
    curve = cax.trace(problem, radius=np.linspace(0.5, 4, 6), budget=cax.Budget(evaluations=60))
    assert (np.diff(curve.values) >= 0).all()
    assert all(one.feasible for one in curve.results)


def test_trade_off_needs_one_radius() -> None:
    with pytest.raises(cax.SpecificationError, match="exactly one constraint must have a radius"):
        cax.trace(quadratic(3, [cax.Box(-1, 1)]), radius=[1])


@pytest.mark.slow
def test_a_script_that_cannot_be_imported_is_told_what_to_do() -> None:
    script = (
        "import constrained_actmax as cax\n"
        "problem = cax.Problem(cax.examples.load_model(), cax.Logit(7), cax.Box(0, 1))\n"
        "try:\n"
        "    cax.compare(problem, ['spg', 'pgd'], budget=5, workers=2)\n"
        "except cax.SpecificationError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(  # from standard input, which no worker can read again
        [sys.executable, "-"], input=script, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.startswith("workers: a process was killed or could not start.")
    assert '__name__ == "__main__"' in done.stdout

"""What a comparison found: tables, verdicts, profiles, pictures, and its folder."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import scipy.stats

from constrained_actmax.comparison.profiles import Profile, data_profile, performance_profile
from constrained_actmax.comparison.records import MethodRecord, ProblemRecord
from constrained_actmax.comparison.trial import PLAIN, Trial
from constrained_actmax.comparison.verdict import CONFIDENCE, Verdict, judge
from constrained_actmax.errors import SpecificationError, suggest
from constrained_actmax.json_form import from_json, to_json
from constrained_actmax.layout import Rows, Vector
from constrained_actmax.result import Budget
from constrained_actmax.storage import digest, folder_for, read_second, reading, write_pair

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: Version of the stored form, the one whose trials were listed apart, and the one whose residuals
#: had units.
FORMAT, LISTED_APART, FIRST_FORMAT = 3, 2, 1
#: Values nearer than this share of the objective's range are a tie.
TIE = 1e-6
#: Share of the largest gain that may be missing where a problem counts as solved.
ACCURACY = 0.1

Cost = Literal["evaluations", "seconds"]


@dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """Methods on the same problems, from the same starts, each run under the same budget.

    Every number was measured by the library. Values are those of the returned array after
    projection on the convex constraints; raw ones stand beside them.

    Attributes
    ----------
    problems : tuple of ProblemRecord
        The problems, with their starts.
    methods : tuple of MethodRecord
        The methods, with their settings.
    trials : tuple of Trial
        One for each problem, method and start, refusals and failures among them.
    budget : Budget or None
        Of each trial.
    seed : int or None
        What the starts were drawn with; None where they were given.
    versions : dict
        Of what computed it.
    """

    problems: tuple[ProblemRecord, ...]
    methods: tuple[MethodRecord, ...]
    trials: tuple[Trial, ...]
    budget: Budget | None = None
    seed: int | None = None
    versions: dict[str, str] = field(default_factory=dict)

    # -- looking up --------------------------------------------------------------------------------

    def problem(self, label: str | None = None) -> ProblemRecord:
        """Return a problem by label, or the only one.

        Raises
        ------
        SpecificationError
            If there is none of this label, or several and none is said.
        """
        labels = [record.label for record in self.problems]
        if label is None:
            if len(labels) == 1:
                return self.problems[0]
            raise SpecificationError(
                f"problem: {len(labels)} problems were compared; say which. "
                f"{suggest('', labels, 40)}"
            )
        for record in self.problems:
            if record.label == label:
                return record
        raise SpecificationError(f"problem: no {label!r}. {suggest(label, labels, 40)}")

    @property
    def labels(self) -> list[str]:
        """Labels of the methods."""
        return [method.label for method in self.methods]

    def of(self, problem: str | None = None, method: str | None = None) -> list[Trial]:
        """Return the trials of a problem, of a method, or of both."""
        return [
            trial
            for trial in self.trials
            if problem in (None, trial.problem) and method in (None, trial.method)
        ]

    def subset(
        self, problems: Sequence[str] | None = None, methods: Sequence[str] | None = None
    ) -> Comparison:
        """Return the same comparison of some problems and methods only, by label.

        Raises
        ------
        SpecificationError
            If there is none of a label.
        """
        kept = [self.problem(label) for label in problems] if problems else list(self.problems)
        for label in methods or ():
            if label not in self.labels:
                raise SpecificationError(
                    f"methods: no {label!r}. {suggest(label, self.labels, 40)}"
                )
        chosen = [record for record in self.methods if methods is None or record.label in methods]
        names, labels = {record.label for record in kept}, {record.label for record in chosen}
        trials = [
            record for record in self.trials if record.problem in names and record.method in labels
        ]
        return replace(self, problems=tuple(kept), methods=tuple(chosen), trials=tuple(trials))

    # -- tables ------------------------------------------------------------------------------------

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each problem and method.

        Returns
        -------
        pandas.DataFrame
            Indexed by problem and method. ``runs`` started; ``value`` (median over feasible
            points), ``quartile_1``, ``quartile_3`` and ``best``; ``feasible``, the share of runs
            that ended feasible; ``violation``, the largest; ``raw_value`` and ``raw_violation``
            (medians) of the returned array before projection; ``kkt`` (median residual);
            ``evaluations``, ``calls`` and ``seconds`` (medians); ``wins`` and ``ties`` over starts;
            ``status``, how often each; ``reason`` where nothing ran.
        """
        import pandas as pd

        rows = []
        for problem in self.problems:
            wins, ties = self._wins(problem)
            for method in self.labels:
                rows.append(self._summary(problem, method, wins[method], ties[method]))
        return pd.DataFrame(rows).set_index(["problem", "method"])

    def to_trials(self) -> pd.DataFrame:
        """Return one row for each trial, as in `Trial`, without its arrays.

        Returns
        -------
        pandas.DataFrame
            With a column for each plain attribute of `Trial`.
        """
        import pandas as pd

        return pd.DataFrame(
            [{name: getattr(trial, name) for name in PLAIN} for trial in self.trials],
            columns=list(PLAIN),
        )

    def errors(self) -> pd.DataFrame:
        """Return the trials that gave no point: refused or failed, with the reason.

        Returns
        -------
        pandas.DataFrame
            ``problem``, ``method``, ``outcome``, ``starts`` (how many) and ``reason``.
        """
        import pandas as pd

        counts: Counter[tuple[str, str, str, str]] = Counter(
            (trial.problem, trial.method, trial.outcome, trial.reason)
            for trial in self.trials
            if trial.outcome != "ran"
        )
        columns = ["problem", "method", "outcome", "reason", "starts"]
        return pd.DataFrame([(*key, count) for key, count in counts.items()], columns=columns)

    def ranks(self) -> pd.DataFrame:
        """Return how methods rank over all problems and starts: 1 is the best value.

        Ties share the mean of their ranks; points that are not feasible, refusals and failures
        share the last.

        Returns
        -------
        pandas.DataFrame
            By method, best first: ``mean_rank``, ``median_gain`` (the share of the largest gain
            over the start), ``wins``, ``ties`` and ``trials``.
        """
        import pandas as pd

        ranks: dict[str, list[float]] = {name: [] for name in self.labels}
        wins: Counter[str] = Counter()
        ties: Counter[str] = Counter()
        for problem in self.problems:
            won, tied = self._wins(problem)
            wins.update(won)
            ties.update(tied)
            table = self._values(problem)
            for start in range(len(problem.starts)):
                column = np.array([table[name][start] for name in self.labels])
                loss = -problem.sign * column
                scale = TIE * problem.range
                order = scipy.stats.rankdata(np.nan_to_num(np.round(loss / scale), nan=np.inf))
                for name, rank in zip(self.labels, order, strict=True):
                    ranks[name].append(float(rank))
        gains: dict[str, list[float]] = {name: [] for name in self.labels}
        for problem in self.problems:
            for name, gain in self._gains(problem).items():
                gains[name].extend(gain.tolist())
        rows = [
            {
                "method": name,
                "mean_rank": float(np.mean(ranks[name])),
                "median_gain": float(np.median(gains[name])),
                "wins": wins[name],
                "ties": ties[name],
                "trials": len(ranks[name]),
            }
            for name in self.labels
        ]
        return pd.DataFrame(rows).set_index("method").sort_values("mean_rank", kind="stable")

    def best(self, problem: str | None = None, confidence: float = CONFIDENCE) -> Verdict:
        """Say which method is best, if the paired differences leave no doubt.

        Parameters
        ----------
        problem : str, optional
            On one problem, the pairs are the common starts, in the units of the objective.
            Without it and with several problems, a pair is a problem: the mean, over its starts,
            of the share of the largest gain over the start that any method made there.
        confidence : float, default 0.95
            Of all intervals together.

        Returns
        -------
        Verdict
            A winner only where every interval leaves out zero; prints itself. A trial without a
            feasible point counts as no gain over the start; methods that never ran are left out.
        """
        ran = [name for name in self.labels if any(t.outcome == "ran" for t in self.of(None, name))]
        if problem is not None or len(self.problems) == 1:
            record = self.problem(problem)
            ran = [name for name in ran if any(t.feasible for t in self.of(record.label, name))]
            values = self._values(record)
            scores = {
                name: np.where(
                    np.isfinite(values[name]),
                    record.sign * values[name],
                    record.sign * record.start_values,
                )
                for name in ran
            }
            count = len(record.starts)
            unit = f"paired over {count} common start{'s' if count != 1 else ''}"
        else:
            gains = [self._gains(problem) for problem in self.problems]
            ran = [name for name in ran if any(t.feasible for t in self.of(None, name))]
            scores = {name: np.array([np.mean(gain[name]) for gain in gains]) for name in ran}
            unit = f"share of the largest gain, paired over {len(self.problems)} problems"
        return judge(scores, unit, confidence)

    # -- profiles ----------------------------------------------------------------------------------

    def costs(self, accuracy: float = ACCURACY, cost: Cost = "evaluations") -> Rows:
        r"""Return what each method needed to solve each problem from each start.

        Solved means a feasible value with :math:`f \le f_L + \tau (f_0 - f_L)`, where
        :math:`f_0` is the value at the start and :math:`f_L` the best feasible value that any
        method found from there (Moré and Wild 2009, test 2.2).

        Parameters
        ----------
        accuracy : float, default 0.1
            tau, in (0, 1).
        cost : {"evaluations", "seconds"}
            What is counted.

        Returns
        -------
        numpy.ndarray, shape (problems x starts, methods)
            Infinite where it was not solved.
        """
        if not 0 < accuracy < 1:
            raise SpecificationError(f"accuracy: must lie in (0, 1), got {accuracy!r}.")
        rows = []
        for problem in self.problems:
            table = {(trial.method, trial.start): trial for trial in self.of(problem.label)}
            for start in range(len(problem.starts)):
                progress = [
                    table[name, start].progress(cost, problem.sense, problem.tolerance)
                    if (name, start) in table
                    else (np.empty(0), np.empty(0))
                    for name in self.labels
                ]
                rows.append(_first_reached(progress, problem, start, accuracy))
        return np.array(rows).reshape(-1, len(self.labels))

    def performance_profile(
        self, accuracy: float = ACCURACY, cost: Cost = "evaluations"
    ) -> Profile:
        """Return shares of problems solved against ratios of `costs` (Dolan and Moré 2002)."""
        return performance_profile(self.costs(accuracy, cost))

    def data_profile(self, accuracy: float = ACCURACY, *, groups: bool = True) -> Profile:
        """Return shares of problems solved against `costs` in evaluations (Moré and Wild 2009).

        Parameters
        ----------
        accuracy : float, default 0.1
            tau.
        groups : bool, default True
            Whether the unit is n + 1 evaluations, as in the paper, or one.
        """
        sizes = [problem.size if groups else 0 for problem in self.problems for _ in problem.starts]
        return data_profile(self.costs(accuracy, "evaluations"), sizes)

    # -- pictures ----------------------------------------------------------------------------------

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the convergence of every method on the only problem, or the performance profile."""
        if len(self.problems) == 1:
            return self.plot_convergence(ax=ax)
        return self.plot_performance_profile(ax=ax)

    def plot_convergence(
        self, problem: str | None = None, *, cost: Cost = "evaluations", ax: Axes | None = None
    ) -> Axes:
        """Draw the best feasible value against `cost`: median and quartiles of the starts."""
        from constrained_actmax.plotting import plot_convergence

        record = self.problem(problem)
        curves = {
            name: [
                trial.progress(cost, record.sense, record.tolerance)
                for trial in self.of(record.label, name)
                if trial.outcome == "ran"
            ]
            for name in self.labels
        }
        return plot_convergence(
            curves,
            unit="model evaluations" if cost == "evaluations" else "seconds",
            objective=record.objective,
            ax=ax,
        )

    def plot_violation(self, problem: str | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw how far the array that each method returned was outside the constraints."""
        from constrained_actmax.plotting import plot_violation

        record = self.problem(problem)
        values = {
            name: np.array(
                [t.raw_violation for t in self.of(record.label, name) if t.outcome == "ran"]
            )
            for name in self.labels
        }
        return plot_violation(values, tolerance=record.tolerance, ax=ax)

    def plot_waterfall(self, problem: str | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw the final values of all starts, best first, infeasible ones by another shape."""
        from constrained_actmax.plotting import plot_waterfall

        record = self.problem(problem)
        values: dict[str, tuple[Vector, np.ndarray]] = {}
        for name in self.labels:
            ran = [trial for trial in self.of(record.label, name) if trial.outcome == "ran"]
            values[name] = (
                np.array([trial.value for trial in ran]),
                np.array([trial.feasible for trial in ran], dtype=bool),
            )
        return plot_waterfall(
            values, larger=record.sense == "maximize", objective=record.objective, ax=ax
        )

    def plot_inputs(
        self, problem: str | None = None, *, raw: bool = False, columns: int = 4
    ) -> np.ndarray:
        """Draw the best final input of each method side by side, with its value.

        Parameters
        ----------
        problem : str, optional
            Which one.
        raw : bool, default False
            Whether the returned array is drawn, before projection.
        columns : int, default 4
            How many side by side.
        """
        from constrained_actmax.plotting import plot_final_inputs

        record = self.problem(problem)
        panels = []
        for name in self.labels:
            trial = self.best_trial(record.label, name)
            if trial is None:
                continue
            value, outside = trial.value, not trial.feasible
            if raw:
                value, outside = trial.raw_value, trial.raw_violation > record.tolerance
            panels.append((name, trial.raw if raw else trial.x, value, not outside))
        return plot_final_inputs(
            panels, record.layout, lower=record.lower, upper=record.upper, columns=columns
        )

    def plot_performance_profile(
        self, accuracy: float = ACCURACY, *, cost: Cost = "evaluations", ax: Axes | None = None
    ) -> Axes:
        """Draw the performance profile (Dolan and Moré 2002)."""
        from constrained_actmax.plotting import plot_profile

        profile = self.performance_profile(accuracy, cost)
        unit = f"{cost} over those of the cheapest method"
        return plot_profile(
            profile.at, profile.shares, self.labels, unit=unit, accuracy=accuracy, log=True, ax=ax
        )

    def plot_data_profile(
        self, accuracy: float = ACCURACY, *, groups: bool = False, ax: Axes | None = None
    ) -> Axes:
        """Draw the data profile (Moré and Wild 2009), by default in plain evaluations."""
        from constrained_actmax.plotting import plot_profile

        profile = self.data_profile(accuracy, groups=groups)
        unit = "groups of n + 1 evaluations" if groups else "model evaluations"
        return plot_profile(
            profile.at, profile.shares, self.labels, unit=unit, accuracy=accuracy, ax=ax
        )

    def best_trial(self, problem: str, method: str) -> Trial | None:
        """Return the trial of a method with the best feasible value, else the least violating."""
        ran = [trial for trial in self.of(problem, method) if trial.outcome == "ran"]
        if not ran:
            return None
        sign = self.problem(problem).sign
        return min(
            ran,
            key=lambda t: (not t.feasible, -sign * t.value if t.feasible else t.violation),
        )

    # -- files -------------------------------------------------------------------------------------

    def to_html(self, path: str | Path, *, title: str | None = None) -> Path:
        """Write a page that stands alone: verdict, tables, pictures, settings, code.

        Parameters
        ----------
        path : str or Path
            The file, or a folder that gets ``report.html``.
        title : str, optional
            Of the page.

        Returns
        -------
        Path
            The file.
        """
        from constrained_actmax.report import write_report

        return write_report(self, path, title=title)

    def save(self, folder: str | Path) -> Path:
        """Write everything into a folder, without pickle; `load_comparison` reads it.

        Over an older comparison: until the last file has its name the folder holds the older one.
        """
        path = folder_for("save", folder)
        runs = folder_for("save", path / "runs")
        names = [trial.name for trial in self.trials]
        for name, trial in zip(names, self.trials, strict=True):
            trial.save(runs, name)
        save_head(path, self.problems, self.methods, self.budget, self.seed, self.versions, names)
        return path

    def __str__(self) -> str:
        frame = self.to_frame()
        shown = frame[["value", "feasible", "raw_violation", "evaluations", "seconds", "wins"]]
        lines = [
            shown.to_string(float_format=lambda v: f"{v:.4g}", na_rep="-"),
            "",
            str(self.best()),
        ]
        for (method, outcome, reason), rows in self.errors().groupby(
            ["method", "outcome", "reason"], sort=False
        ):
            where = list(dict.fromkeys(rows.problem))
            on = "every problem" if len(where) == len(self.problems) > 1 else ", ".join(where)
            lines.append(f"{method} on {on}: {outcome}: {reason}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"Comparison of {len(self.methods)} methods on {len(self.problems)} problems, "
            f"{len(self.trials)} trials"
        )

    # -- numbers -----------------------------------------------------------------------------------

    def _values(self, problem: ProblemRecord) -> dict[str, Vector]:
        """Return the value of each start by method, NaN where there is no feasible point."""
        values = {name: np.full(len(problem.starts), np.nan) for name in self.labels}
        for trial in self.of(problem.label):
            if trial.feasible:
                values[trial.method][trial.start] = trial.value
        return values

    def _gains(self, problem: ProblemRecord) -> dict[str, Vector]:
        """Return, by method and start, the share of the largest gain over the start."""
        values = self._values(problem)
        gained = {
            name: np.nan_to_num(problem.sign * (v - problem.start_values), nan=0.0)
            for name, v in values.items()
        }
        largest = np.max(np.stack(list(gained.values())), axis=0)
        safe = np.where(largest > 0, largest, 1.0)
        return {name: np.where(largest > 0, g / safe, 0.0) for name, g in gained.items()}

    def _wins(self, problem: ProblemRecord) -> tuple[dict[str, int], dict[str, int]]:
        values = self._values(problem)
        table = problem.sign * np.stack([values[name] for name in self.labels])
        wins, ties = dict.fromkeys(self.labels, 0), dict.fromkeys(self.labels, 0)
        for column in table.T:
            if not np.isfinite(column).any():
                continue
            top = np.nanmax(column)
            near = np.flatnonzero(column >= top - TIE * problem.range)
            for row in near:
                (wins if len(near) == 1 else ties)[self.labels[row]] += 1
        return wins, ties

    def _summary(self, problem: ProblemRecord, method: str, wins: int, ties: int) -> dict[str, Any]:
        trials = self.of(problem.label, method)
        ran = [trial for trial in trials if trial.outcome == "ran"]
        values = np.array([trial.value for trial in ran if trial.feasible])
        sign = problem.sign
        reasons = {trial.reason for trial in trials if trial.outcome != "ran"}
        statuses = Counter(
            trial.status if trial.outcome == "ran" else trial.outcome for trial in trials
        )
        return {
            "problem": problem.label,
            "method": method,
            "runs": len(trials),
            "value": _median(values),
            "quartile_1": float(np.quantile(values, 0.25)) if values.size else math.nan,
            "quartile_3": float(np.quantile(values, 0.75)) if values.size else math.nan,
            "best": float(sign * np.max(sign * values)) if values.size else math.nan,
            "feasible": len(values) / len(ran) if ran else math.nan,
            "violation": max((trial.violation for trial in ran), default=math.nan),
            "raw_value": _median([trial.raw_value for trial in ran]),
            "raw_violation": _median([trial.raw_violation for trial in ran]),
            "kkt": _median([trial.stationarity for trial in ran]),
            "evaluations": _median([trial.evaluations for trial in ran]),
            "calls": _median([trial.calls for trial in ran]),
            "seconds": _median([trial.seconds for trial in ran]),
            "wins": wins,
            "ties": ties,
            "status": ", ".join(f"{count} {name}" for name, count in statuses.most_common()),
            "reason": "; ".join(sorted(reasons)),
        }


def _median(values: Sequence[float] | Vector) -> float:
    array = np.asarray(values, dtype=np.float64)
    return float(np.median(array)) if array.size else math.nan


def _first_reached(
    progress: Sequence[tuple[Vector, Vector]], problem: ProblemRecord, start: int, accuracy: float
) -> list[float]:
    """Return the cost at which each best-so-far curve reaches the target; infinite if never."""
    sign = problem.sign
    ends = [sign * best[-1] for _, best in progress if best.size and np.isfinite(best[-1])]
    if not ends:
        return [math.inf] * len(progress)
    first, top = sign * float(problem.start_values[start]), max(ends)
    target = top - accuracy * max(0.0, top - first)
    costs = []
    for cost, best in progress:
        reached = np.flatnonzero(np.nan_to_num(sign * best, nan=-np.inf) >= target)
        costs.append(max(float(cost[reached[0]]), 1e-9) if reached.size else math.inf)
    return costs


# -- the folder ------------------------------------------------------------------------------------


def save_head(
    folder: Path,
    problems: Sequence[ProblemRecord],
    methods: Sequence[MethodRecord],
    budget: Budget | None,
    seed: int | None,
    versions: Mapping[str, str],
    trials: Sequence[str],
) -> None:
    """Write ``comparison.json``, which names the trials in order, and ``problems.npz``."""
    folder = folder_for("compare", folder)
    arrays = {
        f"{index}_{name}": array
        for index, problem in enumerate(problems)
        for name, array in problem.arrays().items()
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    content = buffer.getvalue()
    data = {
        "format": FORMAT,
        "problems": [problem.plain() for problem in problems],
        "methods": [asdict(method) for method in methods],
        "budget": None if budget is None else asdict(budget),
        "seed": seed,
        "versions": dict(versions),
        "trials": list(trials),
        "arrays": digest(content),
    }
    write_pair(folder / "comparison.json", to_json(data), folder / "problems.npz", content)


def load_comparison(folder: str | Path) -> Comparison:
    """Read what `Comparison.save`, or `compare` with a folder, wrote.

    Parameters
    ----------
    folder : str or Path
        The folder. Of a comparison that was cut off, what is there is read.

    Raises
    ------
    SpecificationError
        If the folder holds no comparison, or one of a newer format.
    """
    path = Path(folder)
    way_out = "compare again, into another folder"
    with reading("load_comparison", path, "comparison", way_out):
        return _loaded(path)


def _loaded(path: Path) -> Comparison:
    data = from_json((path / "comparison.json").read_text(encoding="utf-8"))
    if data.get("format") not in (FORMAT, LISTED_APART, FIRST_FORMAT):
        raise SpecificationError(
            f"load_comparison: format {data.get('format')!r} is not {FORMAT}; "
            "it was saved by another version of the library."
        )
    content = read_second(path / "problems.npz", data.get("arrays"))
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    names = data.get("trials")
    if names is None:
        names = from_json((path / "trials.json").read_text(encoding="utf-8"))
    problems = tuple(
        ProblemRecord.read(
            record,
            {
                name.removeprefix(f"{number}_"): array
                for name, array in arrays.items()
                if name.startswith(f"{number}_")
            },
        )
        for number, record in enumerate(data["problems"])
    )
    loaded = [Trial.load(path / "runs", name) for name in names]
    if data["format"] == FIRST_FORMAT:
        loaded = [
            None if record is None else replace(record, stationarity=math.nan) for record in loaded
        ]
    return Comparison(
        problems=problems,
        methods=tuple(MethodRecord(**record) for record in data["methods"]),
        trials=tuple(record for record in loaded if record is not None),
        budget=None if data["budget"] is None else Budget(**data["budget"]),
        seed=data["seed"],
        versions=data["versions"],
    )

"""What a run returns: status, counts, history, and the point with how good it is."""

from __future__ import annotations

import enum
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from constrained_actmax.certificate import Certificate
from constrained_actmax.constraint_records import ConstraintRecord, Constraints, Multipliers
from constrained_actmax.errors import SpecificationError
from constrained_actmax.json_form import from_json, to_json
from constrained_actmax.layout import Layout, Structure, Vector, is_integer, is_table
from constrained_actmax.quoting import Quoted, quoted
from constrained_actmax.storage import digest, folder_for, read_second, reading, write_pair
from constrained_actmax.table import Table

if TYPE_CHECKING:
    import pandas as pd
    from scipy.optimize import OptimizeResult

#: Version of the saved form.
FORMAT = 2
#: How many starts `print(result)` lists.
LISTED_STARTS = 6


class Status(enum.IntEnum):
    """Why a run ended; CONVERGED, PROVEN, TARGET and FEASIBLE are successes; SciPy's `status`."""

    CONVERGED = 0
    STALLED = 1
    BUDGET = 2
    INTERRUPTED = 3
    INFEASIBLE = 4
    UNBOUNDED = 5
    ZERO_GRADIENT = 6
    NON_FINITE = 7
    SOLVER_ERROR = 8
    PROVEN = 9
    TARGET = 10
    FEASIBLE = 11

    @property
    def sentence(self) -> str:
        """The sentence that a user reads, where nothing is known of the point."""
        return _SENTENCES[self]

    def message(self, *, feasible: bool, smooth: bool | None) -> str:
        """Return the sentence for a run of which more is known.

        Parameters
        ----------
        feasible : bool
            Whether a feasible point is returned.
        smooth : bool or None
            False where the functions are known to be nonsmooth.
        """
        if self is Status.STALLED and smooth is False:
            return STALLED_AT_KINK
        if self is Status.NON_FINITE and feasible:
            return f"{NON_FINITE}: the best feasible point before that."
        if self is Status.NON_FINITE:
            return f"{NON_FINITE}, and no point that satisfies the constraints was found before."
        return self.sentence


#: How a run ends that has done what it was asked for, where its point is feasible.
SUCCESSES = (Status.CONVERGED, Status.PROVEN, Status.TARGET, Status.FEASIBLE)
STALLED_AT_KINK = (
    "Stalled: no more progress, often at a kink of the network; usable, not optimal to tol."
)
NON_FINITE = "The model returned NaN or infinity"
#: How the detail of a start begins of which a method has proven more than a residual says.
LOCAL_OPTIMUM = "A local optimum: no direction across the kinks of the network improves it."
NO_BETTER_NEIGHBOUR = "No better neighbour: no step or swap of a discrete input improves on it"
PROVEN_INFEASIBLE = "Infeasible, proven"
#: By status, how a detail begins that is the whole message.
WHOLE = {Status.STALLED: NO_BETTER_NEIGHBOUR, Status.INFEASIBLE: PROVEN_INFEASIBLE}
#: How it begins where neither that nor a better direction was found.
UNDECIDED = "Degenerate, not decided: {} kinks meet here."
FIRST_ORDER = "First-order: no direction across the kinks improves on it to first order."


_SENTENCES = {
    Status.CONVERGED: "Converged: the projected gradient is below tol.",
    Status.STALLED: "Stalled: no more progress; usable, not optimal to tol.",
    Status.BUDGET: "Budget used up: the best feasible point so far.",
    Status.INTERRUPTED: "Interrupted: the best feasible point so far.",
    Status.INFEASIBLE: "Infeasible: no point that satisfies the constraints was found.",
    Status.UNBOUNDED: "Unbounded: the objective grows without bound; add a bounded set.",
    Status.ZERO_GRADIENT: (
        "Zero gradient at the starting point: the objective is flat there (saturated, or inactive "
        "units)."
    ),
    Status.NON_FINITE: f"{NON_FINITE}.",
    Status.SOLVER_ERROR: "The solver failed.",
    Status.PROVEN: "Proven: no feasible input is better by more than the requested gap.",
    Status.TARGET: "Target reached: a feasible point with a value at least as good as the target.",
    Status.FEASIBLE: "Feasible: the point keeps all constraints, the aim of this search.",
}


@dataclass(frozen=True, repr=False)
class Termination(Quoted):
    """How one solver ended from one start.

    Parameters
    ----------
    x : numpy.ndarray
        The solver's last or best point (n,).
    status : Status
        Why it stopped.
    iterations : int
        Accepted steps.
    detail : str
        The solver's own words, for the message.
    """

    x: Vector
    status: Status
    iterations: int = 0
    detail: str = ""


@dataclass(frozen=True)
class Budget:
    """Limits of a whole call, all starts together.

    Parameters
    ----------
    evaluations : int, optional
        Evaluations of the model, one row of a batch each.
    seconds : float, optional
        Wall-clock time since the call began. What cannot be interrupted is counted and waited for:
        importing TensorFlow, loading, tracing and compiling a model, which a first call pays once,
        reading its structure, the probes for the scales, and a call of the model, a projection or
        a program that has begun. A limit that is over by then returns the starting point.
    """

    evaluations: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.evaluations is not None and not (
            is_integer(self.evaluations) and self.evaluations >= 1
        ):
            raise SpecificationError(
                f"Budget: evaluations must be an integer >= 1, got {quoted(self.evaluations)}."
            )
        seconds = self.seconds
        if seconds is not None and not (isinstance(seconds, Real) and float(seconds) > 0):
            raise SpecificationError(f"Budget: seconds must be > 0, got {quoted(self.seconds)}.")


@dataclass(repr=False)
class History(Quoted):
    """What happened, one entry an iteration, as plain lists; the arrays are made when asked.

    Attributes
    ----------
    start, nit, evaluations : list of int
        Which start, its iteration, and evaluations of the whole call by then.
    seconds : list of float
        Since the call began solving.
    value : list of float
        The objective as written, at the iterate.
    violation : list of float
        Largest violation of any constraint at the iterate, a pure number.
    """

    start: list[int] = field(default_factory=list)
    nit: list[int] = field(default_factory=list)
    evaluations: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    violation: list[float] = field(default_factory=list)


@dataclass(frozen=True, repr=False)
class Optimality(Quoted):
    r"""First-order optimality of a point, whichever method returned it.

    With the problem's scales: w the sizes of the entries, s the largest, G the typical slope of
    the objective over its set, F its range (`Scales`), as they are at the answer.

    Parameters
    ----------
    stationarity : float
        The projected gradient of the Lagrangian in the problem's own units,
        :math:`\|P_C(x - t\,\nabla L(x)) - x\|_\infty / s` with :math:`t = s^2 / G`, and the same
        for each entry with its own w where the set is bounds, linear rows and L1 balls. A pure
        number, of size 1 at a plain starting point in any units and for any number of entries;
        converged means at most `tol`. At kinks of a network whose structure is known: the most by
        which the objective improves to first order across them, within one s, over F; or a bound
        on it from above (`undecided_kinks`).
    residual : float
        :math:`\|P_C(x - \nabla f(x) - J(x)^\top\mu) - x\|_\infty`, in input units.
    violation : float
        Largest violation of any constraint, a pure number: of a set relative to its own size, of a
        function in units of what it changes over the set. Feasible means at most
        `feasibility_tolerance`.
    complementarity : float
        :math:`\max_i |\mu_i| \min(c_i - l_i, u_i - c_i) / F` over the functional constraints, a
        pure number; 0 without any. Converged means at most `feasibility_tolerance`.
    constraints : Constraints
        One `ConstraintRecord` each.
    frank_wolfe_gap : float or None
        Frank-Wolfe's :math:`\max_{p \in C} \nabla f(x)^\top (x - p)`, in units of the objective,
        measured after that method alone: zero at stationary points, and where f is convex (a
        concave objective that is maximised) a bound on the distance to the optimal value.
    undecided_kinks : int
        Kinks that meet at the point, if they are more than the search for a direction across them
        decides; else 0.
    """

    stationarity: float
    residual: float
    violation: float
    complementarity: float = 0.0
    constraints: Constraints = field(default_factory=Constraints)
    frank_wolfe_gap: float | None = None
    undecided_kinks: int = 0

    @property
    def multipliers(self) -> Multipliers:
        """By constraint, in the user's words and units: the multipliers that are known."""
        return self.constraints.multipliers


@dataclass(frozen=True, repr=False)
class Start(Quoted):
    """How one start ended, measured by the library at the point that it returned.

    Parameters
    ----------
    x0, x : numpy.ndarray
        Where it began and ended, flat.
    value : float
        The objective as written.
    feasible : bool
        Whether every constraint holds to its tolerance.
    violation, stationarity : float
        Largest violation and stationarity residual, pure numbers; see `Optimality`. At a kink, of
        a start that neither converged nor is the answer, the residual is that of one side.
    status : Status
        Why it ended.
    nit : int
        Accepted steps.
    detail : str
        The solver's own words.
    """

    x0: Vector
    x: Vector
    value: float
    feasible: bool
    violation: float
    stationarity: float
    status: Status
    nit: int
    detail: str = ""


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """The best feasible input that was found, how good it is, and how it was found.

    Every number was measured again by the library at the returned point; none is the solver's.

    Attributes
    ----------
    x : array, list or dict of arrays
        The input in the model's own structure, float64, user's units, without a batch axis.
    batch : array, list or dict of arrays
        The same with a batch axis, preprocessed: ready for ``model.predict``.
    value, fun : float
        The objective as written, and the number that was minimised (-value when maximising).
    feasible : bool
        Whether every constraint holds to its tolerance; if not, `x` is the least violating point.
    constraints : Constraints
        One `ConstraintRecord` each: words, value, violation, tolerance, multiplier and name; found
        by index, by name or by the object that was written.
    violations : list of (str, float)
        Each constraint in the user's words, with its violation in its own units.
    tolerances : list of float or None
        For each of them the violation that counts as none, in the same units; None for a set.
    maxcv : float
        Largest violation, a pure number; see `Optimality`.
    optimality : Optimality
        KKT residuals and, by constraint, multipliers.
    status, message, success : Status, str, bool
        Why it ended; CONVERGED, PROVEN, TARGET and FEASIBLE with a feasible point are successes.
    nfev, njev, calls, nit : int
        Evaluations of one row (each with its gradient), calls of the model, iterations of the
        best start.
    seconds : float
        Wall-clock time since the call began; of several problems side by side, since this one did.
    method, reason : str
        The solver, and why `auto` took it.
    starts : list of Start
        Every start, in order.
    history : History
        One entry an iteration.
    seed : int or None
        What the starts were drawn with.
    notes : list of str
        What the user should know: a start that was moved, a solver that was replaced.
    layout : Layout
        Names and shapes of the inputs.
    bounds : tuple of numpy.ndarray
        Flat lower and upper bounds, infinite where there is none.
    settings, versions : dict
        The solver's settings and the model's description; versions of what computed it.
    certificate : Certificate or None
        What no allowed input exceeds, where `certify` or the method has shown it.
    tables : tuple of Table
        The columns of `Features` among the constraints, in which `to_frame` answers.
    x0 : numpy.ndarray or None
        The flat point that the problem was given.
    """

    x: Structure
    batch: Structure
    value: float
    fun: float
    feasible: bool
    maxcv: float
    optimality: Optimality
    status: Status
    message: str
    nfev: int
    calls: int
    nit: int
    seconds: float
    method: str
    reason: str
    sense: Literal["maximize", "minimize"]
    objective: str
    starts: list[Start]
    history: History
    seed: int | None
    notes: list[str]
    layout: Layout
    bounds: tuple[Vector, Vector]
    settings: dict[str, Any]
    versions: dict[str, str]
    certificate: Certificate | None = None
    tables: tuple[Table, ...] = ()
    x0: Vector | None = None

    @property
    def constraints(self) -> Constraints:
        """How the point satisfies each constraint."""
        return self.optimality.constraints

    @property
    def violations(self) -> list[tuple[str, float]]:
        """Each constraint in the user's words, with its violation in its own units."""
        return [(constraint.words, constraint.violation) for constraint in self.constraints]

    @property
    def tolerances(self) -> list[float | None]:
        """For each constraint the violation that counts as none; None for a set."""
        return [constraint.tolerance for constraint in self.constraints]

    @property
    def success(self) -> bool:
        """Whether the point is feasible, and converged, proven optimal or as good as the target."""
        return self.feasible and self.status in SUCCESSES

    @property
    def njev(self) -> int:
        """Gradient evaluations: one with every value."""
        return self.nfev

    @property
    def flat(self) -> Vector:
        """The input as one flat float64 vector."""
        return self.layout.flatten(self.x, "x")

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        return self.__str__()

    def _lines(self) -> list[str]:
        verb = "maximised" if self.sense == "maximize" else "minimised"
        if self.feasible:
            first = f"Feasible: {verb} {self.objective} = {self.value:.6g}"
        else:
            first = (
                f"NOT FEASIBLE (violation {self.maxcv:.3g}): the least violating point found, "
                f"{self.objective} = {self.value:.6g}"
            )
        kkt = self.optimality
        lines = [
            first,
            self.message,
            f"  method        {self.method}" + (f" (auto: {self.reason})" if self.reason else ""),
        ]
        for index, constraint in enumerate(self.constraints):
            violation, tolerance, multiplier = (
                constraint.violation,
                constraint.tolerance,
                constraint.multiplier,
            )
            slope = ""
            if isinstance(multiplier, float) and abs(multiplier) > 0:
                slope = f", multiplier {multiplier:+.4g} (change of the value per unit)"
            label = "constraints " if index == 0 else "            "
            state = "satisfied" if violation == 0 else f"violated by {violation:.3g}"
            if violation and self.feasible:
                allowed = "" if tolerance is None else f" {tolerance:.2g}"
                state = f"satisfied within its tolerance{allowed} (violation {violation:.1g})"
            elif violation and tolerance is not None:
                state += f" (tolerance {tolerance:.2g})"
            lines.append(f"  {label}  {constraint}: {state}{slope}")
        lines.append(
            f"  KKT residual  {kkt.stationarity:.3g} scaled, {kkt.residual:.3g} in input units"
            + (f"; complementarity {kkt.complementarity:.3g}" if kkt.complementarity else "")
            + (
                f"; Frank-Wolfe gap {kkt.frank_wolfe_gap:.3g}"
                if kkt.frank_wolfe_gap is not None
                else ""
            )
        )
        lines.append(
            f"  evaluations   {self.nfev} in "
            f"{_counted(self.calls, 'model call')}, {_counted(self.nit, 'iteration')}, "
            f"{self.seconds:.2f} s{self._probes()}"
        )
        if len(self.starts) > 1:
            values = sorted(
                (start.value for start in self.starts), reverse=self.sense == "maximize"
            )
            listed = ", ".join(f"{value:.5g}" for value in values[:LISTED_STARTS])
            more = ", ..." if len(values) > LISTED_STARTS else ""
            lines.append(f"  starts        {len(values)}: {listed}{more}")
        if self.certificate is not None:
            lines.append(f"  certificate   {self.certificate}")
        if self.seed is not None:
            lines.append(f"  seed          {self.seed}")
        lines.extend(f"  note          {note}" for note in self.notes)
        return lines

    def _probes(self) -> str:
        probes = self.settings.get("scales", {}).get("evaluations", 0)
        return f"; {probes} more for the scales" if probes else ""

    def _repr_html_(self) -> str:
        """Show a small picture beside the printed lines, in a notebook."""
        import html

        from constrained_actmax.plotting import picture_data_url

        text = html.escape(str(self))
        return (
            f'<div style="display:flex;gap:1em;align-items:center">'
            f'<img alt="the input found" style="max-height:12em" src="{picture_data_url(self)}">'
            f"<pre>{text}</pre></div>"
        )

    def to_frame(self, before: Structure | None = None) -> pd.DataFrame:
        """Return what changed, one a row: before, after, and the difference.

        Parameters
        ----------
        before : array_like or structure of them, optional
            The input to compare with, in the model's structure, or for `Features` a row of the
            table; by default `x0`, and without one where the start that gave this answer began.

        Returns
        -------
        pandas.DataFrame
            Columns ``before``, ``after``, ``change``. With `Features` the table's own columns that
            changed, in their units and categories, and ``unit`` where one is known. Else entries,
            named by feature where the model has one input with `feature_names`, and by input and
            index otherwise, such as ``image[3, 4]``.
        """
        import pandas as pd

        after = self.flat
        changes: list[dict[str, Any]] = []
        whole = self.tables[0].on is None if self.tables else False
        if before is None and self.x0 is not None:
            origin = self.x0
        elif before is None:
            own = [start for start in self.starts if np.array_equal(start.x, after)]
            origin = (own or self.starts)[0].x0
        elif whole and (is_table(before) or isinstance(before, Mapping)):
            origin = self.tables[0].encode(before)[0]
        else:
            origin = self.layout.flatten(before, "before")
        left = origin != after
        for table in self.tables:
            where = self.layout.slices[table.on or self.layout.inputs[0].name]
            changes.extend(table.changes(origin[where], after[where]))
            left[where] = False
        for index in np.flatnonzero(left).tolist():
            change = {"before": origin[index], "after": after[index]}
            change |= {"entry": self.layout.label(index), "change": after[index] - origin[index]}
            changes.append(change)
        units = ["unit"] if any(change.get("unit") for change in changes) else []
        frame = pd.DataFrame(changes, columns=["entry", "before", "after", "change", *units])
        return frame.set_index("entry")

    def plot(self) -> np.ndarray:
        """Draw the input: grey, colour, a line, or labelled bars; one panel for each input.

        Returns
        -------
        numpy.ndarray of matplotlib.axes.Axes
            One for each input.
        """
        from constrained_actmax.plotting import plot_result

        return plot_result(self)

    def to_html(self, path: str | Path, *, title: str | None = None) -> Path:
        """Write a page that stands alone: the answer, what it satisfies, settings, code.

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

    def to_scipy(self) -> OptimizeResult:
        """Return the result as SciPy's own object, x flat."""
        from scipy.optimize import OptimizeResult

        return OptimizeResult(
            x=self.flat,
            fun=self.fun,
            success=self.success,
            status=int(self.status),
            message=self.message,
            nfev=self.nfev,
            njev=self.njev,
            nit=self.nit,
            maxcv=self.maxcv,
        )

    def save(self, folder: str | Path) -> Path:
        """Write ``result.json`` and ``arrays.npz`` into a folder, without pickle.

        Parameters
        ----------
        folder : str or Path
            Made where it is missing; an earlier result in it is replaced, and stays whole until
            the new one is.

        Returns
        -------
        Path
            The folder.
        """
        path = folder_for("save", folder)
        data: dict[str, Any] = {
            "format": FORMAT,
            "layout": self.layout.to_dict(),
            "optimality": {
                name: value
                for name, value in vars(self.optimality).items()
                if name != "constraints"
            },
            "constraints": [asdict(constraint) for constraint in self.constraints],
            "status": self.status.name,
            "history": asdict(self.history),
            "starts": [
                {name: value for name, value in vars(start).items() if name not in ("x0", "x")}
                | {"status": start.status.name}
                for start in self.starts
            ],
        }
        if self.certificate is not None:
            data["certificate"] = self.certificate.to_dict()
        if self.tables:
            data["tables"] = [table.to_dict() for table in self.tables]
        for name in _PLAIN:
            data[name] = getattr(self, name)
        arrays = {"x": self.flat, "lower": self.bounds[0], "upper": self.bounds[1]}
        if self.x0 is not None:
            arrays["x0"] = self.x0
        arrays["starts_x0"] = np.stack([start.x0 for start in self.starts])
        arrays["starts_x"] = np.stack([start.x for start in self.starts])
        for place_, part in enumerate(_parts(self.batch)):
            arrays[f"batch_{place_}"] = part
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        content = buffer.getvalue()
        data["arrays"] = digest(content)
        text = to_json(data)
        write_pair(path / "result.json", text, path / "arrays.npz", content)
        return path


_PLAIN = (
    "value",
    "fun",
    "feasible",
    "maxcv",
    "message",
    "nfev",
    "calls",
    "nit",
    "seconds",
    "method",
    "reason",
    "sense",
    "objective",
    "seed",
    "notes",
    "settings",
    "versions",
)


@dataclass(frozen=True)
class Failure:
    """A problem of several that could not be solved; the others go on.

    Attributes
    ----------
    problem : str
        The problem in words.
    error : str
        Name of the error.
    message : str
        What it said.
    """

    problem: str
    error: str
    message: str
    feasible: bool = False
    success: bool = False

    def __str__(self) -> str:
        return f"FAILED ({self.error}): {self.message}\n  problem       {self.problem}"


def load_result(folder: str | Path) -> Result:
    """Read what `Result.save` wrote.

    Parameters
    ----------
    folder : str or Path
        The folder it was saved in.

    Raises
    ------
    SpecificationError
        If the folder holds no result, one that is cut off, or one of a newer format.
    """
    if not isinstance(folder, str | Path):
        raise SpecificationError(f"load_result: expected a folder, got {quoted(folder)}.")
    path = Path(folder)
    if not (path / "result.json").is_file():
        raise SpecificationError(
            f"load_result: {str(path)!r} holds no result.json with arrays.npz."
        )
    with reading("load_result", path, "result", "solve the problem again and save it"):
        return _loaded(path)


def _loaded(path: Path) -> Result:
    data = from_json((path / "result.json").read_text(encoding="utf-8"))
    if data.get("format") == 1:
        _from_first_format(data)
    if data.get("format") == FORMAT and "constraints" not in data:
        _gather_constraints(data)
    if data.get("format") != FORMAT:
        raise SpecificationError(
            f"load_result: format {data.get('format')!r} is not {FORMAT}; "
            "it was saved by another version of the library."
        )
    content = read_second(path / "arrays.npz", data.get("arrays"))
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = dict(stored)
    layout = Layout.from_dict(data["layout"])
    parts = [arrays[f"batch_{place_}"] for place_ in range(len(layout.inputs))]
    batch: Structure = parts[0]
    if layout.structure == "list":
        batch = parts
    elif layout.structure == "dict":
        batch = dict(zip(layout.names, parts, strict=True))
    starts = [
        Start(
            x0=arrays["starts_x0"][row],
            x=arrays["starts_x"][row],
            **{**record, "status": Status[record["status"]]},
        )
        for row, record in enumerate(data["starts"])
    ]
    records = [ConstraintRecord(**record) for record in data["constraints"]]
    plain = {name: data[name] for name in _PLAIN}
    certified, optimality = data.get("certificate"), data["optimality"]
    if "gap" in optimality:  # its name before there were certificates
        optimality["frank_wolfe_gap"] = optimality.pop("gap")
    return Result(
        x=layout.unflatten(arrays["x"]),
        batch=batch,
        optimality=Optimality(**optimality, constraints=Constraints(records)),
        status=Status[data["status"]],
        starts=starts,
        history=_history(data["history"]),
        layout=layout,
        bounds=(arrays["lower"], arrays["upper"]),
        certificate=None if certified is None else Certificate.from_dict(certified),
        tables=tuple(Table.from_dict(record) for record in data.get("tables", ())),
        x0=arrays.get("x0"),
        **plain,
    )


def _history(data: dict[str, Any]) -> History:
    """Return a saved history; what it calls evaluations was called rows before."""
    return History(**{"evaluations" if key == "rows" else key: data[key] for key in data})


def _from_first_format(data: dict[str, Any]) -> None:
    """Bring what the first format saved into the present one: residuals had units.

    Of the starts nothing but those was saved, so that their pure number is not known.
    """
    for start in data["starts"]:
        start["stationarity"] = math.nan
    optimality = data["optimality"]
    relative = optimality.pop("relative_stationarity")
    optimality["residual"], optimality["stationarity"] = optimality["stationarity"], relative
    data["tolerances"] = [None] * len(data["violations"])
    data["format"] = FORMAT


def _gather_constraints(data: dict[str, Any]) -> None:
    """Make one record for each constraint from the lists that were saved before there were any.

    Multipliers stood by printed forms: of constraints that print alike the last one's was kept.
    """
    multipliers = data["optimality"].pop("multipliers")
    records: list[dict[str, Any]] = []
    pairs = zip(data["violations"], data["tolerances"], strict=True)
    for (words, violation), tolerance in reversed(list(pairs)):
        multiplier = multipliers.pop(words, None)
        record = ConstraintRecord(words, None, violation, tolerance, multiplier)
        records.insert(0, asdict(record))
    data["constraints"] = records


def _parts(structure: Structure) -> list[Any]:
    if isinstance(structure, Mapping):
        return list(structure.values())
    return list(structure) if isinstance(structure, list | tuple) else [structure]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

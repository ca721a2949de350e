"""A run as plain values: what a TOML file says, and what the flags of the command line make."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

import constrained_actmax as cax
from constrained_actmax import sets
from constrained_actmax.errors import SpecificationError, suggest
from constrained_actmax.layout import Layout
from constrained_actmax.plotting.images import pixel_range, read_image
from constrained_actmax.storage import UNREADABLE, first_line

#: The model that the package ships, where a path is asked for.
EXAMPLE = "example"

SECTIONS = ("goal", "model", "objective", "constraints", "solve", "out")
MODEL_KEYS = (
    "path",
    "labels",
    "feature_names",
    "input_shape",
    "precision",
    "scaling",
    "signature",
    "xla",
)
SOLVE_KEYS = (
    "method",
    "starts",
    "seed",
    "x0",
    "tol",
    "feasibility_tolerance",
    "budget",
    "target",
    "options",
)
OBJECTIVES = (
    "Channel",
    "Direction",
    "Layer",
    "LogProbability",
    "Logit",
    "Margin",
    "Neuron",
    "Norm",
    "Output",
    "Probability",
    "SquaredDistance",
    "TotalVariation",
)
#: Parameters of objectives that take a tuple, where TOML has only lists.
POSITIONS = ("target", "index")
#: The objective that `Features.distance` is.
CHANGE = "Change"
#: Sets that need a function or are no set of their own.
NOT_IN_A_FILE = ("ConvexSet", "CvxpySet", "HeuristicSet")


@dataclass(frozen=True)
class Specification:
    """A model, an objective, constraints and settings as plain values.

    Parameters
    ----------
    model, objective, solve : mapping
        The tables of the file.
    constraints : tuple of mapping
        Its ``[[constraints]]``.
    goal : {"maximize", "minimize"}, optional
        What the file is for.
    out : str, optional
        The folder for pictures and the saved run.
    source : str
        The file, for messages; empty where flags said it.
    folder : Path
        Where relative paths start.
    resize : bool
        Whether pictures of another size are scaled.
    """

    model: Mapping[str, Any]
    objective: Mapping[str, Any]
    constraints: tuple[Mapping[str, Any], ...] = ()
    solve: Mapping[str, Any] = field(default_factory=dict)
    goal: str | None = None
    out: str | None = None
    source: str = ""
    folder: Path = field(default_factory=Path)
    resize: bool = False

    @classmethod
    def read(cls, path: Path, *, resize: bool = False) -> Specification:
        """Return what a TOML file says, with every key checked.

        Raises
        ------
        SpecificationError
            If the file is missing, is no TOML, or holds a key that is not known.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SpecificationError(f"{path}: cannot be read ({error}).") from None
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SpecificationError(f"{path}: not a TOML file: {error}.") from None
        with _said_in(str(path)):
            _check_keys(data, SECTIONS, "the file")
            for name in ("model", "objective"):
                if name not in data:
                    raise SpecificationError(f"the table [{name}] is missing.")
            goal = data.get("goal")
            if goal not in (None, "maximize", "minimize"):
                raise SpecificationError(f'goal must be "maximize" or "minimize", got {goal!r}.')
            tables = {name: _table(data.get(name, {}), name) for name in SECTIONS[1:3]}
            constraints = data.get("constraints", [])
            if not isinstance(constraints, list):
                raise SpecificationError("constraints: write each as [[constraints]].")
            return cls(
                model=tables["model"],
                objective=tables["objective"],
                constraints=tuple(
                    _table(constraint, f"constraints[{index}]")
                    for index, constraint in enumerate(constraints)
                ),
                solve=_table(data.get("solve", {}), "solve"),
                goal=goal,
                out=data.get("out"),
                source=str(path),
                folder=path.parent,
                resize=resize,
            )

    def problem(self, goal: str) -> tuple[cax.Problem, dict[str, Any]]:
        """Return the problem, and the other arguments of `solve`.

        Raises
        ------
        SpecificationError
            If anything does not fit; the message starts with where it was said.
        """
        with _said_in(self.source):
            if self.goal not in (None, goal):
                raise SpecificationError(f"it says goal = {self.goal!r}; run that command.")
            oracle = self._oracle()
            values = _Values(self, oracle.layout)
            constraints = []
            for index, table in enumerate(self.constraints):
                with _said_in(self._place(f"constraints[{index}]")):
                    constraints.append(_constraint(table, values))
            arguments = dict(self.solve)
            _check_keys(arguments, SOLVE_KEYS, "solve")
            x0 = arguments.pop("x0", None)
            if x0 is not None:
                with _said_in(self._place("solve.x0")):
                    x0 = _start(x0, constraints, values)
            with _said_in(self._place("objective")):
                if self.objective.get("type") == CHANGE:
                    objective = _change(self.objective, constraints, x0)
                else:
                    objective = _objective(self.objective, values)
            if "budget" in arguments:
                with _said_in(self._place("solve.budget")):
                    arguments["budget"] = _call(cax.Budget, arguments["budget"])
            options: dict[str, Any] = {}
            if "feasibility_tolerance" in arguments:
                options["feasibility_tolerance"] = arguments.pop("feasibility_tolerance")
            sense: Any = goal
            return (
                cax.Problem(oracle, objective, constraints, sense=sense, x0=x0, **options),
                arguments,
            )

    def path(self, name: str) -> Path:
        """Return a path that was said relative to the file."""
        return self.folder / name

    def _place(self, key: str) -> str:
        return key if self.source else ""

    def _oracle(self) -> cax.Oracle:
        model = dict(self.model)
        with _said_in(self._place("model")):
            _check_keys(model, MODEL_KEYS, "model")
            if not isinstance(model.get("path"), str):
                raise SpecificationError(
                    f'path must name a model file or folder, or be "{EXAMPLE}" for the one that '
                    "the package ships."
                )
        path = self.path(model.pop("path"))
        shipped = self.model["path"] == EXAMPLE and not path.exists()
        if not shipped and not path.exists():
            raise SpecificationError(f"{path}: no such model.")
        if "labels" in model:
            model["labels"] = self._labels(model["labels"])
        elif shipped:
            model["labels"] = list(cax.examples.CLASS_NAMES)
        if "input_shape" in model:
            model["input_shape"] = tuple(model["input_shape"])
        if "scaling" in model:
            with _said_in("model.scaling"):
                model["preprocess"] = _call(cax.Scaling, model.pop("scaling"))
        return cax.Oracle(cax.examples.load_model() if shipped else str(path), **model)

    def box(self, layout: Layout, name: str) -> tuple[float, float]:
        """Return what the boxes of an input allow every entry, infinite without one."""
        return _Values(self, layout).box(name)

    def _labels(self, labels: Any) -> Any:
        if not isinstance(labels, str):
            return labels
        try:
            lines = self.path(labels).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SpecificationError(f"labels: {labels} cannot be read ({error}).") from None
        return [line.strip() for line in lines if line.strip()]


@dataclass(frozen=True)
class _Values:
    """Reads the numbers of a specification: written out, from a file, or a class mean."""

    specification: Specification
    layout: Layout

    def structure(self, value: Any) -> Any:
        """Return a value for each input, or for the one there is."""
        if isinstance(value, Mapping) and set(value) & set(self.layout.names):
            return {name: self.array(item, name) for name, item in value.items()}
        return self.array(value, None)

    def array(self, value: Any, on: str | None) -> Any:
        """Return what a value means: itself, or what its table points to."""
        if not isinstance(value, Mapping):
            return value
        if set(value) == {"example"}:
            return cax.examples.reference(value["example"])
        if "file" in value and set(value) <= {"file", "name"}:
            return self._file(self.specification.path(value["file"]), value.get("name"), on)
        if all(isinstance(item, int | float) for item in value.values()):
            return dict(value)  # coefficients by feature name
        raise SpecificationError(
            'expected numbers, { file = "x.npy" }, { file = "x.npz", name = "a" }, '
            f'{{ file = "x.png" }} or {{ example = "Shirt" }}, got {dict(value)!r}.'
        )

    def _file(self, path: Path, name: str | None, on: str | None) -> npt.NDArray[Any]:
        if not path.is_file():
            raise SpecificationError(f"{path}: no such file.")
        if path.suffix not in (".npy", ".npz"):
            return self._picture(path, on)
        try:
            return self._stored(path, name)
        except SpecificationError:
            raise
        except UNREADABLE as error:
            raise SpecificationError(
                f"{path}: not an array of numbers ({first_line(error)})."
            ) from error

    @staticmethod
    def _stored(path: Path, name: str | None) -> npt.NDArray[Any]:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if name is None and len(loaded.files) == 1:
                name = loaded.files[0]
            if name not in loaded.files:
                raise SpecificationError(
                    f"{path}: no array {name!r}. {suggest(name, loaded.files)}"
                )
            return np.asarray(loaded[name])

    def box(self, name: str) -> tuple[float, float]:
        """Return what the boxes of an input allow every entry: black and white of its pictures."""
        lowest, highest = [], []
        for table in self.specification.constraints:
            if table.get("type") == "Box" and table.get("on") in (None, name):
                with _said_in("Box"):
                    lowest.append(np.max(self.array(table.get("lower", -np.inf), None)))
                    highest.append(np.min(self.array(table.get("upper", np.inf), None)))
        return float(max(lowest, default=-np.inf)), float(min(highest, default=np.inf))

    def _picture(self, path: Path, on: str | None) -> npt.NDArray[np.float64]:
        input_ = self.layout.inputs[0] if on is None else self.layout.input(on)
        low, high = self.box(input_.name)
        if not (np.isfinite(low) and np.isfinite(high)):
            raise SpecificationError(
                f"{path}: finite bounds are needed to know what black and white stand for; give "
                "--bounds LOW HIGH, or a Box in the file."
            )
        low, high = pixel_range(low, high)
        return read_image(path, input_.shape, low, high, resize=self.specification.resize)


def _objective(table: Mapping[str, Any], values: _Values) -> Any:
    """Return the objective that a table means: one, or a weighted sum of its terms."""
    if "terms" in table:
        _check_keys(table, ("terms",), "a sum")
        if not isinstance(table["terms"], list) or not table["terms"]:
            raise SpecificationError("terms must be a list of tables.")
        total: Any = None
        for index, term in enumerate(table["terms"]):
            with _said_in(f"terms[{index}]"):
                part = _objective(_table(term, "a term"), values)
            total = part if total is None else total + part
        return total
    arguments = dict(table)
    name = arguments.pop("type", None)
    if name not in OBJECTIVES:
        raise SpecificationError(f"type: no objective {name!r}. {suggest(name, OBJECTIVES)}")
    weight = arguments.pop("weight", 1)
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise SpecificationError(f"weight must be a number, got {weight!r}.")
    for key, value in arguments.items():
        if key in POSITIONS and isinstance(value, list):
            arguments[key] = tuple(value)
        elif isinstance(value, Mapping):
            on = arguments.get("on")
            arguments[key] = values.structure(value) if on is None else values.array(value, on)
    made = _call(getattr(cax, name), arguments)
    return made if weight == 1 else weight * made


def _constraint(table: Mapping[str, Any], values: _Values) -> Any:
    """Return the set, or the limits on an output, that a table means."""
    arguments = dict(table)
    if "output" in arguments:
        objective = _objective(_table(arguments.pop("output"), "output"), values)
        _check_keys(arguments, ("lower", "upper", "equal"), "a bound on an output")
        if not arguments or ("equal" in arguments and len(arguments) > 1):
            raise SpecificationError("give lower, upper or both; or equal alone.")
        low = arguments.get("lower", arguments.get("equal"))
        high = arguments.get("upper", arguments.get("equal"))
        return cax.Between(low, objective, high)
    name = arguments.pop("type", None)
    if name == "Features":
        return _features(arguments, values)
    known = [*set_names(), "Features"]
    if name not in known:
        raise SpecificationError(f"type: no set {name!r}. {suggest(name, known)}")
    for key, value in arguments.items():
        if isinstance(value, Mapping):
            arguments[key] = values.array(value, arguments.get("on"))
    return _call(getattr(cax, name), arguments)


def _features(arguments: Mapping[str, Any], values: _Values) -> cax.Features:
    """Return the features of a table in a CSV file, and what is said of its columns."""
    _check_keys(arguments, ("frame", "columns", "on"), "Features")
    if not isinstance(arguments.get("frame"), str):
        raise SpecificationError("Features: frame must name a CSV file of the table's rows.")
    path = values.specification.path(arguments["frame"])
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise SpecificationError(f"{path}: no table ({first_line(error)}).") from None
    said = {
        name: _call(cax.Feature, item)
        for name, item in _table(arguments.get("columns", {}), "columns").items()
    }
    return cax.Features.from_frame(frame, said, on=arguments.get("on"))


def _start(x0: Any, constraints: Sequence[Any], values: _Values) -> Any:
    """Return a point, or the entries of a table's row that is said by column."""
    for constraint in constraints:
        if (
            isinstance(constraint, cax.Features)
            and isinstance(x0, Mapping)
            and set(x0) & set(constraint.features)
        ):
            return constraint.transform(x0)[0]
    return values.structure(x0)


def _change(table: Mapping[str, Any], constraints: Sequence[Any], x0: Any) -> Any:
    """Return what it costs to change the person that a table's row says."""
    _check_keys(table, ("type",), CHANGE)
    features = [constraint for constraint in constraints if isinstance(constraint, cax.Features)]
    if not features or x0 is None:
        raise SpecificationError(f"{CHANGE}: give constraints of type Features, and solve.x0.")
    return features[0].distance(x0)


def set_names() -> list[str]:
    """Return the names of the sets that a file can ask for."""
    names = []
    for name in sets.__all__:
        if name not in cax.__all__ or name in NOT_IN_A_FILE:
            continue
        kind = getattr(sets, name)
        if isinstance(kind, type) and issubclass(kind, sets.ConvexSet):
            names.append(name)
    return names


def _call(kind: Any, arguments: Any) -> Any:
    """Call a class with a table's values, and say which key it does not know."""
    table = _table(arguments, kind.__name__)
    signature = inspect.signature(kind)
    _check_keys(table, tuple(signature.parameters), kind.__name__)
    missing = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and name not in table
    ]
    if missing:
        raise SpecificationError(f"{kind.__name__}: {missing[0]} is missing.")
    return kind(**table)


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], who: str) -> None:
    for key in table:
        if key not in known:
            raise SpecificationError(f"{who}: no key {key!r}. {suggest(key, known)}")


def _table(value: Any, who: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SpecificationError(f"{who}: expected a table, got {value!r}.")
    return value


@contextmanager
def _said_in(section: str) -> Iterator[None]:
    """Put where something was said before the message of an error of the specification."""
    try:
        yield
    except SpecificationError as error:
        if not section:
            raise
        raise type(error)(f"{section}: {error}") from error.__cause__

"""What a comparison remembers of its problems and methods, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from constrained_actmax.baselines import Baseline
from constrained_actmax.layout import Layout, Vector
from constrained_actmax.problem import Problem
from constrained_actmax.solvers.base import Solver


@dataclass(frozen=True)
class ProblemRecord:
    """One problem in words and numbers.

    Parameters
    ----------
    label : str
        What tables call it.
    objective : str
        In the user's words.
    constraints : tuple of str
        Each, in the user's words.
    sense : {"maximize", "minimize"}
        Which way.
    model : str
        The model's name.
    size : int
        n.
    tolerance : float
        Largest violation that counts as feasible, a pure number.
    layout : Layout
        Names and shapes of the inputs.
    lower, upper : numpy.ndarray
        Flat bounds.
    starts : numpy.ndarray, shape (k, n)
        Inside C.
    start_values : numpy.ndarray, shape (k,)
        The objective there.
    options : dict
        Of the model, as far as text can say them: labels.
    range : float
        What the objective changes over C: values nearer than a share of it are ties.
    """

    label: str
    objective: str
    constraints: tuple[str, ...]
    sense: str
    model: str
    size: int
    tolerance: float
    layout: Layout
    lower: Vector
    upper: Vector
    starts: np.ndarray
    start_values: Vector
    options: dict[str, Any] = field(default_factory=dict)
    range: float = 1.0

    @classmethod
    def of(cls, label: str, problem: Problem, starts: np.ndarray) -> ProblemRecord:
        """Return the record of a problem; the objective is evaluated at the starts."""
        lower, upper = problem.set.bounds()
        values = [float(problem.evaluate(x[np.newaxis]).f[0]) for x in starts]
        return cls(
            label=label,
            objective=problem.objective_text,
            constraints=(
                *(str(member) for member in problem.set.members),
                *(constraint.description for constraint in problem.imposed),
            ),
            sense=problem.sense,
            model=str(problem.user_oracle.describe().get("model", "function")),
            size=problem.size,
            tolerance=max(problem.feasibility_tolerance, problem.set.tolerance),
            layout=problem.layout,
            lower=lower,
            upper=upper,
            starts=starts,
            start_values=problem.sign * np.asarray(values),
            options=_options(problem),
            range=problem.range,
        )

    @property
    def sign(self) -> float:
        """1 where larger is better, else -1."""
        return 1.0 if self.sense == "maximize" else -1.0

    def __str__(self) -> str:
        allowed = ", ".join(self.constraints) or "nothing"
        return f"{self.sense} {self.objective} of {self.model} subject to {allowed}"

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what is stored as arrays."""
        return {name: getattr(self, name) for name in ARRAYS}

    def plain(self) -> dict[str, Any]:
        """Return what is stored as text."""
        data = {
            field_.name: getattr(self, field_.name)
            for field_ in fields(self)
            if field_.name not in (*ARRAYS, "layout")
        }
        return data | {"layout": self.layout.to_dict()}

    @classmethod
    def read(cls, data: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> ProblemRecord:
        """Return a record from what `plain` and `arrays` gave."""
        values = dict(data)
        values["layout"] = Layout.from_dict(values["layout"])
        values["constraints"] = tuple(values["constraints"])
        values |= {name: arrays[name] for name in ARRAYS}
        return cls(**values)


ARRAYS = ("lower", "upper", "starts", "start_values")


@dataclass(frozen=True)
class MethodRecord:
    """One method and its settings.

    Parameters
    ----------
    label : str
        What tables call it.
    name : str
        The method.
    settings : dict of str
        Every setting as text; empty for "auto".
    limits : str
        What an entrant cannot do; empty for the library's own methods.
    kind : str
        Name of its class; empty for "auto".
    """

    label: str
    name: str
    settings: dict[str, str]
    limits: str = ""
    kind: str = ""

    @classmethod
    def of(cls, label: str, method: str | Solver) -> MethodRecord:
        """Return the record of a method."""
        if isinstance(method, str):
            return cls(label, method, {})
        settings = {field_.name: _short(getattr(method, field_.name)) for field_ in fields(method)}
        limits = method.limits if isinstance(method, Baseline) else ""
        return cls(label, method.name, settings, limits, type(method).__name__)

    def __str__(self) -> str:
        listed = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        return f"{self.name}({listed})" if listed else self.name


def _options(problem: Problem) -> dict[str, Any]:
    labels = getattr(problem.user_oracle, "labels", None)
    return {"labels": list(labels)} if isinstance(labels, tuple) else {}


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"array of shape {value.shape}"
    return repr(value)

"""One method on one problem from one start: what came out, and how it is stored."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from constrained_actmax.json_form import from_json, to_json
from constrained_actmax.layout import Vector
from constrained_actmax.storage import beside, digest

#: Digits of the digest that names a trial's files.
NAME_LENGTH = 20

Outcome = Literal["ran", "refused", "failed"]


@dataclass(frozen=True)
class Trial:
    """One method on one problem from one start, measured by the library.

    Attributes
    ----------
    problem, method : str
        Labels.
    start : int
        Number of the start.
    outcome : {"ran", "refused", "failed"}
        Whether there is a point; if not, `reason` says why.
    reason : str
        Why it ended, or why it did not run.
    solver : str
        The method that ran, which "auto" chose.
    value, violation, stationarity : float
        The objective as written, the largest violation and the stationarity residual, both pure
        numbers (`Optimality`), at the array that the method returned *after* projection on C.
    feasible : bool
        Whether that point satisfies every constraint.
    raw_value, raw_violation : float
        The same at the array as it was returned.
    status : str
        Name of the `Status`.
    nit, evaluations, calls : int
        Iterations; evaluations; model calls.
    seconds : float
        Wall-clock time, compilation excluded.
    x, raw : numpy.ndarray, shape (n,)
        The projected and the returned array; empty where nothing ran.
    history : dict of numpy.ndarray
        ``evaluations``, ``seconds``, ``value``, ``violation`` of the iterates and, last, of `x`.
    """

    problem: str
    method: str
    start: int
    outcome: Outcome
    reason: str = ""
    solver: str = ""
    value: float = math.nan
    violation: float = math.nan
    stationarity: float = math.nan
    feasible: bool = False
    raw_value: float = math.nan
    raw_violation: float = math.nan
    status: str = ""
    nit: int = 0
    evaluations: int = 0
    calls: int = 0
    seconds: float = math.nan
    x: Vector = field(default_factory=lambda: np.empty(0), repr=False)
    raw: Vector = field(default_factory=lambda: np.empty(0), repr=False)
    history: dict[str, Vector] = field(default_factory=dict, repr=False)

    def progress(self, cost: str, sense: str, tolerance: float) -> tuple[Vector, Vector]:
        """Return the cost at each iterate and the best feasible value by then (NaN before one).

        Parameters
        ----------
        cost : {"evaluations", "seconds"}
            What is counted.
        sense : {"maximize", "minimize"}
            Which way is better.
        tolerance : float
            Largest violation that counts as feasible, a pure number.
        """
        if not self.history:
            return np.empty(0), np.empty(0)
        values, outside = self.history["value"], self.history["violation"]
        sign = 1.0 if sense == "maximize" else -1.0
        counted = np.where((outside <= tolerance) & np.isfinite(values), sign * values, -np.inf)
        best = np.maximum.accumulate(counted)
        return self.history[cost], np.where(np.isfinite(best), sign * best, np.nan)

    def save(self, folder: Path, name: str) -> None:
        """Write ``NAME.npz`` and then ``NAME.json``, so that the second stands for both."""
        text, content = self._files()
        unfinished = beside(folder / f"{name}.npz")
        unfinished.write_bytes(content)
        unfinished.replace(folder / f"{name}.npz")
        unfinished = beside(folder / f"{name}.json")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(folder / f"{name}.json")

    @property
    def name(self) -> str:
        """A name for its files that no other trial has."""
        text, content = self._files()
        return digest(text.encode() + content)[:NAME_LENGTH]

    def _files(self) -> tuple[str, bytes]:
        arrays = {"x": self.x, "raw": self.raw}
        arrays |= {f"history_{key}": array for key, array in self.history.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        return to_json({key: getattr(self, key) for key in PLAIN}), buffer.getvalue()

    @classmethod
    def load(cls, folder: Path, name: str) -> Trial | None:
        """Read what `save` wrote; None if it is not there, or only half."""
        if not (folder / f"{name}.json").is_file() or not (folder / f"{name}.npz").is_file():
            return None
        plain = from_json((folder / f"{name}.json").read_text(encoding="utf-8"))
        plain.setdefault("evaluations", plain.get("rows"))  # their name in earlier releases
        with np.load(folder / f"{name}.npz", allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        history = {
            key.removeprefix("history_"): array
            for key, array in arrays.items()
            if key.startswith("history_")
        }
        if "rows" in history:
            history["evaluations"] = history.pop("rows")
        numbers: dict[str, Any] = {
            key: math.nan if plain[key] is None else plain[key]  # as it was written once
            for key in PLAIN
        }
        return cls(**numbers, x=arrays["x"], raw=arrays["raw"], history=history)


PLAIN = tuple(field_.name for field_ in fields(Trial) if field_.name not in ("x", "raw", "history"))

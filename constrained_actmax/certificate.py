"""What no allowed input can exceed, beside the best input found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np

from constrained_actmax.layout import Vector


@dataclass(frozen=True, eq=False)
class Certificate:
    r"""A bound that no allowed input exceeds (or goes below), beside the best value found.

    It speaks of the network with its own constants in float64, on the allowed set enlarged by the
    tolerances within which a point counts as feasible.

    Parameters
    ----------
    sense : {"maximize", "minimize"}
        Whether `dual_bound` is an upper or a lower bound.
    objective : str
        What is bounded, in the user's words.
    dual_bound : float
        No allowed input has a larger value (a smaller one when minimising), in the objective's
        units; infinite where nothing is known.
    best_value : float
        Of the best feasible input known, in float64; NaN where none is.
    gap : float
        Their distance, >= 0.
    relative_gap : float
        The same divided by what the objective changes over the set; of a distance to the nearest
        input, by the best one found.
    proven : bool
        Whether the gap is at most ``atol + rtol * range``, or with a target whether no allowed
        input is better; or infeasibility is proven.
    infeasible : bool
        Whether it is proven that no input satisfies the bounds on outputs.
    rigour : {"rigorous", "numerical", "solver"}
        Whether rounding errors are bounded too; "solver" where the bound is a solver's own.
    doubts : tuple of str
        Why it is not "rigorous".
    method : str
        "linear bounds", "branch and bound", "linear program" or "mixed-integer program": what has
        shown the bound.
    nodes : int
        Boxes that were bounded.
    seconds : float
        Wall-clock time.
    difference : float
        Largest distance between the deployed model and the float64 network at a few seeded points,
        relative to the largest value: sampled, not proven.
    x : numpy.ndarray or None
        The best input known, flat.
    target : float or None
        The value of which it was asked whether an allowed input is better.
    relative_to : str
        What the relative gap is divided by, in words.
    """

    sense: Literal["maximize", "minimize"]
    objective: str
    dual_bound: float
    best_value: float
    gap: float
    relative_gap: float
    proven: bool
    infeasible: bool
    rigour: Literal["rigorous", "numerical", "solver"]
    doubts: tuple[str, ...]
    method: str
    nodes: int
    seconds: float
    difference: float
    x: Vector | None
    target: float | None = None
    relative_to: str = "the range of the values"

    @property
    def refuted(self) -> bool:
        """Whether `x` is better than the target."""
        if self.target is None or math.isnan(self.best_value):
            return False
        sign = 1.0 if self.sense == "maximize" else -1.0
        return sign * self.best_value > sign * self.target

    @property
    def verdict(self) -> Literal["proven", "refuted", "open", "infeasible, proven"]:
        """What is known: "proven", "refuted" (of a target), "infeasible, proven", or "open"."""
        if self.infeasible:
            return "infeasible, proven"
        if self.refuted:
            return "refuted"
        return "proven" if self.proven else "open"

    @property
    def share(self) -> str:
        """The relative gap in words."""
        share = self.relative_gap
        if share > 1.0:
            return f"{share:.3g} times {self.relative_to}"
        return f"{100.0 * share:.2g} % of {self.relative_to}"

    @property
    def how(self) -> str:
        """What has shown the bound, in words."""
        boxes = f"{self.nodes} box{'' if self.nodes == 1 else 'es'}"
        return f"{self.method}, {boxes}, {self.seconds:.2f} s, {self.rigour}"

    def __str__(self) -> str:
        how = self.how
        if self.infeasible:
            return f"Infeasible, proven: no allowed input satisfies the bounds on outputs; {how}."
        upper = self.sense == "maximize"
        if not math.isfinite(self.dual_bound):
            return f"Not proven: no bound of {self.objective} is known; {how}."
        digits = self._digits()
        bound = outward(self.dual_bound, digits, upper)
        beyond = "exceeds" if upper else "goes below"
        if self.target is not None:
            first = {
                "proven": f"Proven: no allowed input {beyond} {self.target:.12g}",
                "refuted": f"Refuted: an allowed input {beyond} {self.target:.12g}",
                "open": f"Open: whether an allowed input {beyond} {self.target:.12g} is not known",
            }[self.verdict]
            best_known = "no feasible input is known"
            if not math.isnan(self.best_value):
                best_known = f"the best found has {self.best_value:.{digits}g}"
            return f"{first}; {best_known}, and none {beyond} {bound}; {how}."
        first = f"No allowed input {beyond} {bound}"
        if math.isnan(self.best_value):
            best_known = "no feasible input is known, and whether one exists is not proven"
        else:
            best_known = f"the best found is {self.best_value:.{digits}g}"
            best_known += f"; gap {self.gap:.2g}, {self.share}"
            best_known += ", proven" if self.proven else ": not proven to be the optimum"
        return f"{first}; {best_known}; {how}."

    def __repr__(self) -> str:
        return str(self)

    def _digits(self) -> int:
        """Return how many digits tell bound and value apart, at least five."""
        size = abs(self.dual_bound)
        if not (0.0 < self.gap < math.inf) or size == 0.0:
            return 5
        return int(min(12, max(5, 2 + math.ceil(math.log10(size / self.gap)))))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for saving."""
        data = asdict(self)
        data["x"] = None if self.x is None else np.asarray(self.x).tolist()
        data["doubts"] = list(self.doubts)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Certificate:
        """Return the certificate that `to_dict` wrote."""
        x = data["x"]
        return cls(
            **{
                **data,
                "doubts": tuple(data["doubts"]),
                "x": None if x is None else np.asarray(x, dtype=np.float64),
            }
        )


def outward(value: float, digits: int, upward: bool) -> str:
    """Return a number in so many digits, rounded so that the bound still holds."""
    text = f"{value:.{digits}g}"
    if (float(text) >= value) if upward else (float(text) <= value):
        return text
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1)
    return f"{value + (unit if upward else -unit):.{digits}g}"


class Proof(Protocol):
    """What bounds the optimum in a run."""

    def certificate(self, x: Vector | None, slack: float) -> Certificate:
        """Return what is known at the end of a run that returns a feasible point, or none.

        The certificate names this point (n,) if it is the best one, or worse by roundings alone:
        by no more than a share ``slack`` of the range, with the same verdict on the gap.
        """

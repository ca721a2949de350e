"""The optimum against a budget: how much one more unit of a constraint buys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Vector
from constrained_actmax.problem import Problem
from constrained_actmax.result import Budget, Result
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.solvers.base import Solver
from constrained_actmax.solving import solve

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False, eq=False)
class TradeOff:
    """Optima of one problem for several radii of one of its sets.

    Attributes
    ----------
    radii : numpy.ndarray, shape (K,)
        Ascending.
    results : tuple of Result
        One for each.
    set : str
        The kind of the set whose radius changes.
    """

    radii: Vector
    results: tuple[Result, ...]
    set: str

    @property
    def values(self) -> Vector:
        """The objective as written, at each radius."""
        return np.array([result.value for result in self.results])

    @property
    def multipliers(self) -> Vector:
        """The rate at which the optimal value changes with the radius; NaN where unknown."""
        collected = []
        for result in self.results:
            named = [
                multiplier
                for name, multiplier in result.optimality.multipliers.items()
                if name.startswith(f"{self.set}(") and isinstance(multiplier, float)
            ]
            collected.append(named[0] if len(named) == 1 else np.nan)
        return np.array(collected)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each radius.

        Returns
        -------
        pandas.DataFrame
            ``radius``, ``value``, ``multiplier``, ``slope`` (from the radius before, what the
            multiplier should lie near), ``feasible``, ``violation``, ``kkt``, ``status``,
            ``evaluations``, ``seconds``.
        """
        import pandas as pd

        steps = np.diff(self.radii)
        with np.errstate(divide="ignore", invalid="ignore"):
            slopes = np.diff(self.values) / steps
        return pd.DataFrame(
            {
                "radius": self.radii,
                "value": self.values,
                "multiplier": self.multipliers,
                "slope": np.concatenate([[np.nan], slopes]),
                "feasible": [result.feasible for result in self.results],
                "violation": [result.maxcv for result in self.results],
                "kkt": [result.optimality.stationarity for result in self.results],
                "status": [result.status.name for result in self.results],
                "evaluations": [result.nfev for result in self.results],
                "seconds": [result.seconds for result in self.results],
            }
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the value against the radius, with the multiplier as a slope at each point."""
        from constrained_actmax.plotting import plot_tradeoff

        return plot_tradeoff(
            self.radii,
            self.values,
            self.multipliers,
            np.array([result.feasible for result in self.results]),
            objective=self.results[0].objective,
            constraint=self.set,
            ax=ax,
        )

    def __str__(self) -> str:
        shown = self.to_frame()[["radius", "value", "multiplier", "slope", "status"]]
        return str(shown.to_string(index=False, float_format=lambda v: f"{v:.5g}"))

    def __repr__(self) -> str:
        return f"TradeOff over {len(self.radii)} radii of {self.set}"


def trace(
    problem: Problem,
    radius: Iterable[float],
    *,
    method: str | Solver = "auto",
    starts: int = 1,
    budget: Budget | None = None,
    seed: int = 0,
    tol: float | None = None,
) -> TradeOff:
    r"""Return the optimum of a problem against the radius of its one set that has a radius.

    Radii are taken in ascending order and each solve starts from the last optimum, which is still
    feasible, so values never get worse along the way. The multiplier of the set is the slope
    :math:`\partial f^* / \partial r` that first-order theory expects.

    Parameters
    ----------
    problem : Problem
        Exactly one of its constraints has a radius: a ball, or a total-variation, nuclear-norm or
        group ball.
    radius : iterable of float
        What to try.
    method : str or Solver, default "auto"
        As in `solve`.
    starts : int, default 1
        Starts of each solve, the last optimum among them.
    budget : Budget, optional
        Of each solve.
    seed : int, default 0
        Seeds the draws.
    tol : float, optional
        As in `solve`.

    Returns
    -------
    TradeOff
        A frame and a picture.

    Raises
    ------
    SpecificationError
        If no set of the problem has a radius, or several do.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> model = cax.examples.load_model()
    >>> problem = cax.Problem(model, cax.Logit(7), [cax.Box(0, 1), cax.L1Ball(60)])
    >>> curve = cax.trace(problem, radius=[20, 40], budget=cax.Budget(evaluations=100))
    >>> bool(curve.values[1] > curve.values[0])
    True
    """
    radii = np.unique(np.asarray(list(radius), dtype=np.float64))
    if not radii.size or not np.isfinite(radii).all():
        raise SpecificationError(f"trace: radius needs finite numbers, got {radius!r}.")
    recipe = dict(problem.recipe)
    written = recipe.pop("constraints")
    constraints = list(written) if isinstance(written, list | tuple) else [written]
    positions = [index for index, constraint in enumerate(constraints) if _has_radius(constraint)]
    if len(positions) != 1:
        names = ", ".join(str(constraints[index]) for index in positions) or "none"
        raise SpecificationError(
            f"trace: exactly one constraint must have a radius, here {names}; use one ball, such "
            "as L1Ball(60)."
        )
    (index,) = positions
    recipe["model"] = problem.user_oracle
    for option in list(recipe):
        if option not in _KEPT:
            recipe.pop(option)  # they belong to the oracle, which is kept
    results: list[Result] = []
    last: Any = None
    for constraint in radii:
        changed = list(constraints)
        changed[index] = replace(constraints[index], radius=float(constraint))
        again = Problem(**recipe, constraints=changed)
        results.append(
            solve(
                again,
                method=method,
                x0=problem.recipe["x0"] if last is None else last,
                starts=starts,
                seed=seed,
                budget=budget,
                tol=tol,
            )
        )
        if results[-1].feasible:
            last = results[-1].x
    return TradeOff(radii, tuple(results), type(constraints[index]).__name__)


_KEPT = ("model", "objective", "sense", "bounds", "x0", "feasibility_tolerance")


def _has_radius(constraint: Any) -> bool:
    return isinstance(constraint, ConvexSet) and any(
        part.name == "radius" for part in fields(constraint)
    )

"""What can be said of a problem before it is solved."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from constrained_actmax.errors import RefusedError
from constrained_actmax.layout import Structure
from constrained_actmax.oracles.finite_differences import central_pair
from constrained_actmax.problem import Problem, require_problem
from constrained_actmax.quoting import Quoted
from constrained_actmax.scales import Scales
from constrained_actmax.solvers.selection import SOLVERS, refusal, select
from constrained_actmax.starting_points import starting_points

#: Methods for problems of one kind, or made of others: that they refuse says little.
SPECIAL = (
    "active-signature",
    "branch-and-bound",
    "chain",
    "converge-and-search",
    "nearest-point",
    "relax-and-round",
    "search-and-finish",
)


@dataclass(frozen=True, repr=False)
class Check(Quoted):
    """What `check` found out.

    Attributes
    ----------
    problem : str
        The question in words.
    inputs : list of str
        Name and shape of each input.
    variables, constraints : int
        n and m.
    projection : str
        How the set projects, and what that costs.
    method : str
        What ``method="auto"`` would take, and why.
    refused : dict
        The other methods that cannot take the problem, with the reason.
    methods : list of str
        Those that can.
    start_value, start_violation : float
        At a drawn start.
    gradient_error : float
        Relative difference between the derivative along one direction and a central difference.
    gradient_size : float
        ``max |gradient|`` at the start; 0 means that the objective is flat there.
    milliseconds : float
        One evaluation of one row, median.
    smooth : bool or None
        False where the network has kinks.
    scales : Scales
        The sizes that tolerances are measured in.
    tolerances : dict of str to float
        For each constraint on a function the violation that counts as none, in its own units.
    noise : float
        Relative noise of the objective's value: the machine epsilon of the model's arithmetic, or
        more where that was measured.
    stepped : str
        Inputs that reach the output only through steps, along which gradients are zero and points
        are compared by value; empty without any.
    """

    problem: str
    inputs: list[str]
    variables: int
    constraints: int
    projection: str
    method: str
    refused: dict[str, str]
    methods: list[str]
    start_value: float
    start_violation: float
    gradient_error: float
    gradient_size: float
    milliseconds: float
    smooth: bool | None
    scales: Scales
    tolerances: dict[str, float]
    noise: float
    stepped: str

    def __str__(self) -> str:
        smoothness = {True: "smooth", False: "nonsmooth (ReLU, max, or steps)", None: "unknown"}
        lines = [
            self.problem,
            f"  inputs        {', '.join(self.inputs)}: {self.variables:,} variables",
            f"  objective     {smoothness[self.smooth]}; at the starting point "
            f"{self.start_value:.6g}, largest partial derivative {self.gradient_size:.3g}",
            f"  gradient      differs from a central difference by {self.gradient_error:.1e}",
            f"  noise         {self.noise:.1e} of the value",
            f"  projection    {self.projection}",
            f"  feasibility   violation {self.start_violation:.1e} at the starting point",
            f"  scales        entries {self.scales.describe_columns()}; objective "
            f"{self.scales.range:.3g} over {self.scales.evaluations} points, typical slope "
            f"{self.scales.slope:.3g} over an entry's size",
            *(
                f"  tolerance     {name}: {allowed:.3g}"
                for name, allowed in self.tolerances.items()
            ),
            f"  auto chooses  {self.method}",
            f"  evaluation    {self.milliseconds:.2f} ms",
        ]
        if self.stepped:
            lines.append(f"  steps         no gradient along {self.stepped}: compared by value")
        lines.append(f"  methods       {', '.join(self.methods)}")
        lines.extend(f"  refused       {reason}" for reason in self._reasons())
        return "\n".join(lines)

    def _reasons(self) -> list[str]:
        """Return the refusals of methods for any problem, equal ones once with all names."""
        names: dict[str, list[str]] = {}
        for name, reason in self.refused.items():
            if name not in SPECIAL:
                names.setdefault(reason.removeprefix(name), []).append(name)
        reasons = []
        for reason, (first, *others) in names.items():
            also = f" (as {', '.join(others)})" if others else ""
            reasons.append(f"{first}{also}{reason}")
        return reasons


def check(problem: Problem, *, x0: Structure | None = None, seed: int = 0) -> Check:
    """Look at a problem before solving it: shapes, gradient, feasibility, method, cost.

    Parameters
    ----------
    problem : Problem
        What is asked.
    x0 : array_like or structure of them, optional
        Where to look; by default the problem's own, else a drawn start.
    seed : int, default 0
        For the draw and for the direction of the gradient test.

    Returns
    -------
    Check
        Prints itself.
    """
    require_problem("check", problem)
    rng = np.random.default_rng(seed)
    points, _, _ = starting_points(problem, x0, 1, seed)
    points = np.clip(points, *problem.set.bounds())  # projections may be off by rounding
    x = points[0]
    evaluation = problem.evaluate(points)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        problem.evaluate(points)
        seconds.append(time.perf_counter() - began)
    # Each entry moves by a share of its own range: columns may have units of very unlike sizes.
    lower, upper = problem.set.bounding_box()
    width = np.where(np.isfinite(upper - lower), upper - lower, 2 * np.maximum(1.0, np.abs(x)))
    unit = rng.standard_normal(x.size)
    direction = unit / max(float(np.linalg.norm(unit)), np.finfo(np.float64).tiny) * width / 2
    bounds, step = problem.set.bounds(), problem.oracle.epsilon ** (1 / 3)
    direction[bounds[0] == bounds[1]] = 0.0
    trio, step = central_pair(x, direction, bounds, step)
    there = problem.evaluate(trio)
    difference = float(there.f[1] - there.f[2]) / (2 * step)
    slope = float(there.gradient[0] @ direction)
    refused = {}
    for name, kind in SOLVERS.items():
        reason = refusal(kind(), problem)
        if reason is not None:
            refused[name] = reason
    try:
        solver, why = select(problem, "auto", None)
        method = f"{solver.name}: {why}"
    except RefusedError as error:
        method = f"none: {error}"
    return Check(
        problem=repr(problem),
        inputs=[f"{input_.name} {input_.shape}" for input_ in problem.layout.inputs],
        variables=problem.size,
        constraints=problem.constraints,
        projection=problem.set.projection_method,
        method=method,
        refused=refused,
        methods=[name for name in SOLVERS if name not in refused],
        start_value=problem.sign * float(evaluation.f[0]),
        start_violation=float(problem.violation(points, evaluation.c)[0]),
        gradient_error=abs(difference - slope) / max(abs(slope), abs(difference), 1e-12),
        gradient_size=float(np.max(np.abs(evaluation.gradient[0]), initial=0.0)),
        milliseconds=1e3 * float(np.median(seconds)),
        smooth=problem.smooth,
        scales=problem.scales,
        tolerances=dict(
            zip(
                (constraint.description for constraint in problem.imposed),
                problem.tolerances,
                strict=True,
            )
        ),
        noise=problem.oracle.epsilon,
        stepped=problem.stepped_names,
    )

"""What refusals name takes the problem; what errors of options name is what was asked."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import constrained_actmax as cax
from constrained_actmax.solvers.selection import SOLVERS, by_rule, named, refusal

BALL = scipy.optimize.NonlinearConstraint(lambda x: x @ x, -np.inf, 1.0, jac=lambda x: 2 * x)
KEPT = scipy.optimize.NonlinearConstraint(
    lambda x: x @ x, -np.inf, 1.0, jac=lambda x: 2 * x, keep_feasible=True
)
SETS = {
    "box": [cax.Box(0, 1)],
    "no bounds": [],
    "function": [cax.Box(0, 1), BALL],
    "kept function": [cax.Box(0, 1), KEPT],
    "one norm": [cax.Box(0, 1), cax.NuclearNormBall(1.0)],
    "whole numbers": [cax.Box(0, 3), cax.Integers()],
    "whole numbers and a function": [cax.Box(0, 3), cax.Integers(), BALL],
    "few entries": [cax.Box(0, 1), cax.Cardinality(2)],
}


def problem(allowed: list[Any], gradients: bool, smooth: bool | None) -> cax.Problem:
    """Return a linear function of four entries, of a 2 x 2 matrix, over a set."""
    weights = np.arange(1.0, 5.0)

    def function(x: np.ndarray) -> Any:
        value = float(weights @ np.ravel(x))
        return (value, weights.reshape(x.shape)) if gradients else value

    jac = True if gradients else None
    oracle = cax.FunctionOracle(function, (2, 2), jac=jac, smooth=smooth)
    return cax.Problem(oracle, constraints=allowed, sense="maximize", x0=np.zeros((2, 2)))


@pytest.mark.parametrize("gradients", [True, False], ids=["gradients", "values"])
@pytest.mark.parametrize("allowed", SETS)
def test_every_method_that_a_refusal_names_takes_the_problem(allowed: str, gradients: bool) -> None:
    asked = problem(SETS[allowed], gradients, None)
    for method in SOLVERS:
        reason = refusal(named(method), asked)
        if reason is None:
            continue
        way = re.search("use method=(.*)", reason)
        for other in re.findall("'([^']+)'", "" if way is None else way[1]):
            solver = by_rule(asked)[0] if other == "auto" else named(other)
            assert refusal(solver, asked) is None, reason


@pytest.mark.parametrize("method", [*SOLVERS, "auto"])
def test_an_error_of_options_names_what_was_asked(method: str) -> None:
    asked = problem([cax.Box(0, 1), BALL], True, False)
    solver = by_rule(asked)[0] if method == "auto" else named(method)
    words = f"options: '{solver.name}' has no option 'maxiterations'"
    with pytest.raises(cax.SpecificationError, match=words):
        solver.with_options({"maxiterations": 3})

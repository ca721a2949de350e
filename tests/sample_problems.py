"""Small problems with a known answer, as plain NumPy functions."""

from __future__ import annotations

import numpy as np
import scipy.optimize

from constrained_actmax import FunctionOracle, Problem
from constrained_actmax.sets.base import ConvexSet


def bowl(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return A (positive definite) and b of the quadratic x'Ax / 2 - b'x."""
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((n, n))
    return half @ half.T / n + 0.05 * np.eye(n), 2.0 * rng.standard_normal(n)


def quadratic(n: int, sets: list[ConvexSet], seed: int = 0) -> Problem:
    """Return the minimisation of that quadratic on some sets."""
    a, b = bowl(n, seed)
    oracle = FunctionOracle(
        lambda x: (0.5 * float(x @ a @ x) - float(b @ x), a @ x - b), n, smooth=True, name="bowl"
    )
    return Problem(oracle, constraints=sets, sense="minimize")


def rosenbrock(n: int, sets: list[ConvexSet]) -> Problem:
    """Return the minimisation of Rosenbrock's function on some sets."""
    oracle = FunctionOracle(
        lambda x: (float(scipy.optimize.rosen(x)), scipy.optimize.rosen_der(x)),
        n,
        smooth=True,
        name="rosenbrock",
    )
    return Problem(oracle, constraints=sets, sense="minimize")


def distance_l1(center: np.ndarray, sets: list[ConvexSet]) -> Problem:
    """Return the minimisation of the sum of |x - center|: a kink along every axis."""
    oracle = FunctionOracle(
        lambda x: (float(np.abs(x - center).sum()), np.sign(x - center)),
        center.size,
        smooth=False,
        name="l1 distance",
    )
    return Problem(oracle, constraints=sets, sense="minimize")

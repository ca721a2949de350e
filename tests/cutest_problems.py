"""Small constrained problems of CUTEst outside Hock and Schittkowski, as NumPy functions.

Restated from the papers that the collection names (Gould, Orban and Toint (2015), CUTEst: a
Constrained and Unconstrained Testing Environment with safe threads, Comput. Optim. Appl. 60): BT
are of Boggs and Tolle (1989), CB of Charalambous and Conn (1978), MAKELA of Makela and
Neittaanmaki (1992), POLAK of Polak, Mayne and Higgins (1991), ZECEVIC of Zecevic's thesis. `best`
is the value that the collection's files state. Minimax problems minimise a last variable u that is
at least each function. Gradients and Jacobians are complex steps, Im f(x + ih) / h (Squire and
Trapp 1998), exact to rounding: every function is written for complex numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

INF = np.inf
STEP = 1e-40  # nothing is subtracted, so that it may be as small as that
SQRT2 = float(np.sqrt(2.0))


@dataclass(frozen=True, eq=False)
class Small:
    """Minimise f(x) subject to a box, c_i(x) = 0 for the first `equal` rows and c_i(x) >= 0 else.

    Parameters
    ----------
    name, best : str, float
        CUTEst's, with the best value that is known.
    start : sequence of float
        CUTEst's.
    objective, constraints : callable
        Of x, real or complex; a number, and a list of m.
    equal : int
        How many of the constraints are equalities.
    lower, upper : float or sequence of float
        Bounds of x.
    """

    name: str
    best: float
    start: Any
    objective: Callable[[Any], Any]
    constraints: Callable[[Any], Any]
    equal: int = 0
    lower: Any = -INF
    upper: Any = INF

    @property
    def x0(self) -> np.ndarray:
        """The starting point, inside the bounds."""
        return np.clip(np.array(self.start, dtype=float), *self.bounds)

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds of x, (n,)."""
        n = len(self.start)
        return np.broadcast_to(self.lower, n) * 1.0, np.broadcast_to(self.upper, n) * 1.0

    def f(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the objective and its gradient."""
        with np.errstate(all="ignore"):
            steps = [self.objective(row) for row in _stepped(x)]
            return float(np.real(self.objective(x))), np.imag(steps) / STEP

    def c(self, x: np.ndarray) -> np.ndarray:
        """Return the constraint functions, (m,)."""
        with np.errstate(all="ignore"):
            return np.array(self.constraints(x), dtype=float)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """Return the Jacobian of c, (m, n)."""
        with np.errstate(all="ignore"):
            return np.imag([self.constraints(row) for row in _stepped(x)]).T / STEP

    @property
    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds of c."""
        m = len(self.c(self.x0))
        return np.zeros(m), np.where(np.arange(m) < self.equal, 0.0, INF)


def _stepped(x: np.ndarray) -> np.ndarray:
    return x + 1j * STEP * np.eye(len(x))


def _minimax(name: str, best: float, start: Any, pieces: Callable[[Any], Any]) -> Small:
    """Return: minimise u subject to u >= each piece."""
    return Small(name, best, start, lambda x: x[-1], lambda x: [x[-1] - one for one in pieces(x)])


def _rosen_suzuki(x1: Any, x2: Any, x3: Any, x4: Any) -> list[Any]:
    f = x1**2 + x2**2 + 2 * x3**2 + x4**2 - 5 * x1 - 5 * x2 - 21 * x3 + 7 * x4
    squares = x1**2 + x2**2 + x3**2
    return [
        f,
        f + 10 * (squares + x4**2 + x1 - x2 + x3 - x4 - 8),
        f + 10 * (squares + x2**2 + 2 * x4**2 - x1 - x4 - 10),
        f + 10 * (squares + 2 * x1 - x2 - x4 - 5),
    ]


def _polak6(x: Any) -> list[Any]:
    first = x[0] - (x[3] + 1) ** 4
    return _rosen_suzuki(first, x[1] - first**4, x[2], x[3])


def _womflet(x: Any) -> list[Any]:
    ratio, square = 10 * x[0] / (x[0] + 0.1), 2 * x[1] ** 2
    return [
        0.5 * (x[0] + ratio + square),
        0.5 * (-x[0] + ratio + square),
        0.5 * (x[0] - ratio + square),
    ]


def _wood_chain(x: Any) -> Any:
    a, b, c, d = x[:7], x[1:8], x[2:9], x[3:10]
    return (
        100 * (b - a**2) ** 2
        + (a - 1) ** 2
        + 90 * (d - c**2) ** 2
        + (c - 1) ** 2
        + 10.1 * ((b - 1) ** 2 + (d - 1) ** 2)
        + 19.8 * (b - 1) * (d - 1)
    ).sum()


PROBLEMS = [
    Small(
        "BT1",
        -1.0,
        [0.08, 0.06],
        lambda x: 100 * x[0] ** 2 + 100 * x[1] ** 2 - x[0] - 100,
        lambda x: [x[0] ** 2 + x[1] ** 2 - 1],
        1,
    ),
    Small(
        "BT2",
        0.0325682,
        [10, 10, 10],
        lambda x: (x[0] - 1) ** 2 + (x[0] - x[1]) ** 2 + (x[1] - x[2]) ** 4,
        lambda x: [x[0] * (1 + x[1] ** 2) + x[2] ** 4 - 4 - 3 * SQRT2],
        1,
    ),
    Small(
        "BT3",
        4.09302326,
        [20] * 5,
        lambda x: (x[0] - x[1]) ** 2 + (x[1] + x[2] - 2) ** 2 + (x[3] - 1) ** 2 + (x[4] - 1) ** 2,
        lambda x: [x[0] + 3 * x[1], x[2] + x[3] - 2 * x[4], x[1] - x[4]],
        3,
    ),
    Small(
        "BT4",
        -45.5105508,
        [4.0382, -2.9470, -0.09115],
        lambda x: x[0] - x[1] + x[1] ** 3,
        lambda x: [x[0] ** 2 + x[1] ** 2 + x[2] ** 2 - 25, x[0] + x[1] + x[2] - 1],
        2,
    ),
    Small(
        "BT7",
        306.5,
        [-2, 1, 1, 1, 1],
        lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (x[0] - 1) ** 2,
        lambda x: [
            x[0] * x[1] - x[2] ** 2 - 1,
            x[1] ** 2 - x[3] ** 2 + x[0],
            x[4] ** 2 + x[0] - 0.5,
        ],
        3,
    ),
    Small(
        "BT8",
        1.0,
        [1, 1, 1, 0, 0],
        lambda x: x[0] ** 2 + x[1] ** 2 + x[2] ** 2,
        lambda x: [x[0] - 1 - x[3] ** 2 + x[1] ** 2, x[0] ** 2 + x[1] ** 2 - x[4] ** 2 - 1],
        2,
    ),
    Small("BT10", -1.0, [2, 2], lambda x: -x[0], lambda x: [x[1] - x[0] ** 3, x[1] - x[0] ** 2], 2),
    Small(
        "BT12",
        6.18811881,
        [15.811, 1.5811, 0, 15.083, 3.7164],
        lambda x: 0.01 * x[0] ** 2 + x[1] ** 2,
        lambda x: [
            x[0] + x[1] - x[2] ** 2 - 25,
            x[0] ** 2 + x[1] ** 2 - x[3] ** 2 - 25,
            x[0] - x[4] ** 2 - 2,
        ],
        3,
    ),
    _minimax(
        "CB2",
        1.9522245,
        [2, 2, 1],
        lambda x: [
            x[0] ** 2 + x[1] ** 4,
            (2 - x[0]) ** 2 + (2 - x[1]) ** 2,
            2 * np.exp(x[1] - x[0]),
        ],
    ),
    _minimax(
        "CB3",
        2.0,
        [2, 2, 1],
        lambda x: [
            x[0] ** 4 + x[1] ** 2,
            (2 - x[0]) ** 2 + (2 - x[1]) ** 2,
            2 * np.exp(x[1] - x[0]),
        ],
    ),
    _minimax(
        "DEMYMALO",
        -3.0,
        [1, 1, 1],
        lambda x: [5 * x[0] + x[1], -5 * x[0] + x[1], x[0] ** 2 + x[1] ** 2 + 4 * x[1]],
    ),
    _minimax(
        "MAKELA1",
        -SQRT2,
        [3, 3, 1],
        lambda x: [-x[0] - x[1], -x[0] - x[1] + x[0] ** 2 + x[1] ** 2 - 1],
    ),
    _minimax(
        "MAKELA2",
        7.2,
        [-1, 5, 1],
        lambda x: [
            x[0] ** 2 + x[1] ** 2,
            x[0] ** 2 + x[1] ** 2 + 10 * (4 - 4 * x[0] - x[1]),
            x[0] ** 2 + x[1] ** 2 + 10 * (6 - x[0] - 2 * x[1]),
        ],
    ),
    _minimax(
        "MAKELA3",
        0.0,
        [*range(1, 11), *range(-11, -21, -1), 1],
        lambda x: [one**2 for one in x[:20]],
    ),
    _minimax(
        "MAKELA4",
        0.0,
        [*range(1, 11), *range(-11, -21, -1), 1],
        lambda x: [*x[:20], *(-x[:20])],
    ),
    _minimax(
        "MIFFLIN1",
        -1.0,
        [0.8, 0.6, 1],
        lambda x: [-x[0], -x[0] + 20 * (x[0] ** 2 + x[1] ** 2 - 1)],
    ),
    _minimax(
        "MIFFLIN2",
        -1.0,
        [-1, -1, 1],
        lambda x: [
            -x[0] + 3.75 * (x[0] ** 2 + x[1] ** 2 - 1),
            -x[0] + 0.25 * (x[0] ** 2 + x[1] ** 2 - 1),
        ],
    ),
    _minimax(
        "POLAK1",
        float(np.e),
        [50, 0.05, 0],
        lambda x: [np.exp(0.001 * x[0] ** 2 + (x[1] + way) ** 2) for way in (-1, 1)],
    ),
    _minimax("POLAK6", -44.0, [0] * 5, _polak6),
    _minimax("ROSENMMX", -44.0, [0] * 5, lambda x: _rosen_suzuki(*x[:4])),
    _minimax("WOMFLET", 0.0, [3, 1, 1], _womflet),
    _minimax(
        "MADSEN",
        0.6164324,
        [3, 1, 1],
        lambda x: [
            sign * one
            for one in (x[0] ** 2 + x[1] ** 2 + x[0] * x[1], np.sin(x[0]), np.cos(x[1]))
            for sign in (1, -1)
        ],
    ),
    _minimax(
        "KIWCRESC",
        0.0,
        [-1.5, 2, 1],
        lambda x: [
            x[0] ** 2 + (x[1] - 1) ** 2 + x[1] - 1,
            -(x[0] ** 2) - (x[1] - 1) ** 2 + x[1] + 1,
        ],
    ),
    _minimax(
        "MINMAXRB",
        0.0,
        [-1.2, 1, 1],
        lambda x: [
            10 * (x[1] - x[0] ** 2),
            -10 * (x[1] - x[0] ** 2),
            1 - x[0],
            x[0] - 1,
        ],
    ),
    Small(
        "ZECEVIC2",
        -4.125,
        [0.1, -0.1],
        lambda x: 2 * x[1] ** 2 - 2 * x[0] - 3 * x[1],
        lambda x: [2 - x[0] - x[1], 4 - x[0] - 4 * x[1]],
        0,
        0,
        10,
    ),
    Small(
        "ZECEVIC3",
        97.30952,
        [0.1, -0.1],
        lambda x: 7 * x[0] ** 2 + 3 * x[1] ** 2 - 84 * x[0] - 24 * x[1] + 300,
        lambda x: [x[0] * x[1] - 1, 9 - x[0] ** 2 - x[1] ** 2],
        0,
        0,
        10,
    ),
    Small(
        "CANTILVR",
        1.3399595938,
        [1] * 5,
        lambda x: 0.0624 * x.sum(),
        lambda x: [1 - (np.array([61, 37, 19, 7, 1]) / x**3).sum()],
        0,
        1e-6,
    ),
    Small(
        "S316-322",
        334.3145751,
        [0, 0],
        lambda x: (x[0] - 20) ** 2 + (x[1] + 20) ** 2,
        lambda x: [x[0] ** 2 / 100 + x[1] ** 2 / 100 - 1],
        1,
    ),
    Small(
        "ALSOTAME",
        0.0820850,
        [0, 0],
        lambda x: np.exp(x[0] - 2 * x[1]),
        lambda x: [np.sin(-x[0] + x[1] - 1)],
        1,
        [-2, -1.5],
        [2, 1.5],
    ),
    Small("TAME", 0.0, [0, 0], lambda x: (x[0] - x[1]) ** 2, lambda x: [x[0] + x[1] - 1], 1, 0),
    Small(
        "SIMPLLPA",
        1.0,
        [0.1, 0.1],
        lambda x: 2 * x[0] + x[1],
        lambda x: [x[0] + x[1] - 1, x[0] + 2 * x[1] - 1.5],
        0,
        0,
    ),
    Small(
        "SIMPLLPB",
        1.1,
        [0.1, 0.1],
        lambda x: 2 * x[0] + x[1],
        lambda x: [x[0] + x[1] - 1, x[0] + 2 * x[1] - 1.5, 2 * x[0] + x[1] - 1.1],
        0,
        0,
    ),
    Small(
        "LOOTSMA",
        SQRT2,
        [1.5, 1.5, 3],
        lambda x: x[0] ** 3 - 6 * x[0] ** 2 + 11 * x[0] + x[2],
        lambda x: [
            x[2] ** 2 - x[0] ** 2 - x[1] ** 2,
            x[0] ** 2 + x[1] ** 2 + x[2] ** 2 - 4,
        ],
        0,
        0,
        [INF, INF, 5],
    ),
    Small(
        "BYRDSPHR",
        -4.68330049,
        [5, 1e-4, -1e-4],
        lambda x: -x.sum(),
        lambda x: [(x**2).sum() - 9, (x[0] - 1) ** 2 + x[1] ** 2 + x[2] ** 2 - 9],
        2,
    ),
    Small(
        "EXTRASIM",
        1.0,
        [0, 0],
        lambda x: x[0] + 1,
        lambda x: [x[0] + 2 * x[1] - 2],
        1,
        [0, -INF],
    ),
    Small(
        "SUPERSIM",
        2 / 3,
        [0, 0],
        lambda x: x[0],
        lambda x: [x[0] + 2 * x[1] - 2, 2 * x[0] + x[1] - 2],
        2,
        [0, -INF],
    ),
    Small(
        "GENHS28",
        0.92717369,
        [-4] + [1] * 9,
        lambda x: ((x[:-1] + x[1:]) ** 2).sum(),
        lambda x: list(x[:-2] + 2 * x[1:-1] + 3 * x[2:] - 1),
        8,
    ),
    Small(
        "TWOBARS",
        1.50865242,
        [1, 1],
        lambda x: x[0] * np.sqrt(1 + x[1] ** 2),
        lambda x: [
            1 - 0.124 * np.sqrt(1 + x[1] ** 2) * (8 / x[0] + sign / (x[0] * x[1]))
            for sign in (1, -1)
        ],
        0,
        [0.2, 0.1],
        [4, 1.6],
    ),
    Small(
        "MWRIGHT",
        24.97881,
        [-1, 2, 1, -2, -2],
        lambda x: (
            x[0] ** 2
            + (x[0] - x[1]) ** 2
            + (x[1] - x[2]) ** 3
            + (x[2] - x[3]) ** 4
            + (x[3] - x[4]) ** 4
        ),
        lambda x: [
            x[0] + x[1] ** 2 + x[2] ** 3 - 2 - 3 * SQRT2,
            x[1] - x[2] ** 2 + x[3] + 2 - 2 * SQRT2,
            x[0] * x[4] - 2,
        ],
        3,
    ),
    Small(
        "DIXCHLNG",
        2471.8978,
        [-2, -0.5, 3, 1 / 3, -4, -0.25, 5, 0.2, -6, -1 / 6],
        _wood_chain,
        lambda x: [np.prod(x[:count]) - 1 for count in (2, 4, 6, 8, 10)],
        5,
    ),
]
BY_NAME = {one.name: one for one in PROBLEMS}


def optimality(one: Small, x: np.ndarray) -> tuple[float, float]:
    """Return the KKT residual and the violation of a point, by a least-squares fit of multipliers.

    The residual is max |grad f - A'm| / max(1, max |grad f|) with A the rows that are equal to
    their bounds within 1e-6 (of their slope, or of max(1, |x|)), scaled to length 1, and m the
    multipliers of the right sign that fit best: `scipy.optimize.lsq_linear`, none of our code.
    """
    from scipy.optimize import lsq_linear

    _, slope = one.f(x)
    c, jacobian, (low, high) = one.c(x), one.jacobian(x), one.bounds
    if not (np.isfinite(slope).all() and np.isfinite(jacobian).all()):
        return np.inf, np.inf
    outside = np.concatenate([np.abs(c[: one.equal]), -c[one.equal :], low - x, x - high])
    lengths = np.maximum(np.linalg.norm(jacobian, axis=1), 1e-12)
    unit, near = np.eye(len(x)), 1e-6 * np.maximum(1.0, np.abs(x))
    equalities = jacobian[: one.equal]
    active = jacobian[one.equal :][c[one.equal :] <= 1e-6 * np.maximum(1.0, lengths[one.equal :])]
    rows = np.concatenate([equalities, active, unit[x - low <= near], -unit[high - x <= near]])
    residual = slope
    if len(rows):
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        least = np.where(np.arange(len(rows)) < one.equal, -INF, 0.0)
        fit = lsq_linear(rows.T, slope, (least, INF), tol=1e-15, max_iter=500)
        residual = slope - rows.T @ fit.x
    size = max(1.0, float(np.abs(slope).max()))
    return float(np.abs(residual).max()) / size, max(0.0, float(outside.max()))

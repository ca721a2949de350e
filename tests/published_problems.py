"""Published test problems with known answers, written as TensorFlow functions in float64.

Numbers HS are those of Hock and Schittkowski (1981), Test Examples for Nonlinear Programming Codes,
with its starting points. Answers without a closed form were polished by Newton's method on the
optimality conditions, from the book's digits. `multipliers` are rates: by how much the least value
grows when the constraint's active limit grows by one, so the book's lambda for c(x) >= 0. The book
prints them for a few problems only; all were derived from the optimality conditions, and
tests/solvers/test_published.py verifies every answer by them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

import constrained_actmax as cax

INF = np.inf
Columns = list[Any]


@dataclass(frozen=True, eq=False)
class Published:
    """One problem: minimise f(x) subject to box and lower <= c(x) <= upper.

    Parameters
    ----------
    name, start : str, sequence of float
        What it is called, and the published starting point.
    objective : callable
        Takes the list of the columns of x, each (B,), and returns (B,).
    value, point : float, sequence of float
        Least value and a point that has it.
    constraints : callable, optional
        Takes the columns and returns a list of m columns.
    lower, upper : sequence of float
        Limits of c.
    box : tuple of sequences, optional
        Bounds of x.
    multipliers : sequence of float
        Rates dvalue / dlimit, one for each row of c.
    unique : bool
        Whether the point is unique and well determined.
    """

    name: str
    start: Any
    objective: Callable[[Columns], Any]
    value: float
    point: Any
    constraints: Callable[[Columns], Columns] | None = None
    lower: Any = ()
    upper: Any = ()
    box: tuple[Any, Any] | None = None
    multipliers: Any = ()
    unique: bool = True

    @property
    def size(self) -> int:
        """Length n of x."""
        return len(self.start)

    @property
    def only_bounds(self) -> bool:
        """Whether there is nothing but bounds."""
        return self.constraints is None

    @property
    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper limits of c, (m,)."""
        return np.array(self.lower, float), np.array(self.upper, float)

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds of x, (n,)."""
        low, high = self.box or (-INF, INF)
        return np.broadcast_to(low, self.size), np.broadcast_to(high, self.size)

    def sets_and_limits(self, limits: Any = None) -> list[Any]:
        """Return the constraints as a user writes them, maybe with other limits of c."""
        lower, upper = self.limits if limits is None else limits
        found: list[Any] = [] if self.box is None else [cax.Box(*self.box)]
        if self.constraints is not None:
            found.append(cax.Function(_rows(self), lower, upper, name="c"))
        return found

    def problem(self, limits: Any = None, **options: Any) -> cax.Problem:
        """Return the minimisation."""
        constraints = self.sets_and_limits(limits)
        return cax.Problem(_oracle(self), cax.Output(0), constraints, sense="minimize", **options)


@cache
def _rows(one: Published) -> Callable[[Any], Any]:
    """Return c of a batch; one object for each problem, so that it is compiled once."""
    given = one.constraints
    assert given is not None
    return lambda x: tf.stack(given(tf.unstack(x, axis=1)), axis=1)


@cache
def _oracle(one: Published) -> cax.Oracle:
    @tf.function(input_signature=[tf.TensorSpec((None, one.size), tf.float64)])
    def function(x: Any) -> Any:
        return one.objective(tf.unstack(x, axis=1))[:, None]

    return cax.Oracle(function, cax.Output(0), xla=False)


def _rosenbrock(x: Columns) -> Any:
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def _hs25(x: Columns) -> Any:
    i = np.arange(1, 100)
    u = tf.constant(25 + (-50 * np.log(0.01 * i)) ** (2 / 3))[None]
    x1, x2, x3 = (one[:, None] for one in x)
    return tf.reduce_sum((-0.01 * i + tf.exp(-((u - x2) ** x3) / x1)) ** 2, axis=1)


def _wood(x: Columns) -> Any:
    return (
        100 * (x[1] - x[0] ** 2) ** 2
        + (1 - x[0]) ** 2
        + 90 * (x[3] - x[2] ** 2) ** 2
        + (1 - x[2]) ** 2
        + 10.1 * ((x[1] - 1) ** 2 + (x[3] - 1) ** 2)
        + 19.8 * (x[1] - 1) * (x[3] - 1)
    )


def _hs100(x: Columns) -> Any:
    x1, x2, x3, x4, x5, x6, x7 = x
    return (
        (x1 - 10) ** 2
        + 5 * (x2 - 12) ** 2
        + x3**4
        + 3 * (x4 - 11) ** 2
        + 10 * x5**6
        + 7 * x6**2
        + x7**4
        - 4 * x6 * x7
        - 10 * x6
        - 8 * x7
    )


def _hs100_rows(x: Columns) -> Columns:
    x1, x2, x3, x4, x5, x6, x7 = x
    return [
        127 - 2 * x1**2 - 3 * x2**4 - x3 - 4 * x4**2 - 5 * x5,
        282 - 7 * x1 - 3 * x2 - 10 * x3**2 - x4 + x5,
        196 - 23 * x1 - x2**2 - 6 * x6**2 + 8 * x7,
        -4 * x1**2 - x2**2 + 3 * x1 * x2 - 2 * x3**2 - 5 * x6 + 11 * x7,
    ]


def _hs113(x: Columns) -> Any:
    x1, x2, x3, x4, x5, x6, x7, x8, x9, x10 = x
    return (
        x1**2
        + x2**2
        + x1 * x2
        - 14 * x1
        - 16 * x2
        + (x3 - 10) ** 2
        + 4 * (x4 - 5) ** 2
        + (x5 - 3) ** 2
        + 2 * (x6 - 1) ** 2
        + 5 * x7**2
        + 7 * (x8 - 11) ** 2
        + 2 * (x9 - 10) ** 2
        + (x10 - 7) ** 2
        + 45
    )


def _hs113_rows(x: Columns) -> Columns:
    x1, x2, x3, x4, x5, x6, x7, x8, x9, x10 = x
    return [
        105 - 4 * x1 - 5 * x2 + 3 * x7 - 9 * x8,
        -10 * x1 + 8 * x2 + 17 * x7 - 2 * x8,
        8 * x1 - 2 * x2 - 5 * x9 + 2 * x10 + 12,
        -3 * (x1 - 2) ** 2 - 4 * (x2 - 3) ** 2 - 2 * x3**2 + 7 * x4 + 120,
        -5 * x1**2 - 8 * x2 - (x3 - 6) ** 2 + 2 * x4 + 40,
        -0.5 * (x1 - 8) ** 2 - 2 * (x2 - 4) ** 2 - 3 * x5**2 + x6 + 30,
        -(x1**2) - 2 * (x2 - 2) ** 2 + 2 * x1 * x2 - 14 * x5 + 6 * x6,
        3 * x1 - 6 * x2 - 12 * (x9 - 8) ** 2 + 7 * x10,
    ]


def _electrons(x: Columns) -> Any:
    points = [tf.stack(x[3 * i : 3 * i + 3], axis=1) for i in range(len(x) // 3)]
    return sum(
        1.0 / tf.norm(points[i] - points[j], axis=1) for i in range(len(points)) for j in range(i)
    )


def _on_sphere(x: Columns) -> Columns:
    return [x[i] ** 2 + x[i + 1] ** 2 + x[i + 2] ** 2 - 1 for i in range(0, len(x), 3)]


def _spread(count: int) -> list[float]:
    """Return points round a spiral on the sphere."""
    height = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (1 + 5**0.5) * np.arange(count)
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), height], 1).ravel().tolist()


TETRAHEDRON = (np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 3**0.5).ravel()
R2, R3, R7 = 2**0.5, 3**0.5, 7**0.5

PROBLEMS = [
    Published("HS1", [-2, 1], _rosenbrock, 0.0, [1, 1], box=([-INF, -1.5], INF)),
    Published(
        "HS3",
        [10, 1],
        lambda x: x[1] + 1e-5 * (x[1] - x[0]) ** 2,
        0.0,
        [0, 0],
        box=([-INF, 0], INF),
        unique=False,  # the curvature along x_1 is 2e-5
    ),
    Published(
        "HS4",
        [1.125, 0.125],
        lambda x: (x[0] + 1) ** 3 / 3 + x[1],
        8 / 3,
        [1, 0],
        box=([1, 0], INF),
    ),
    Published(
        "HS5",
        [0, 0],
        lambda x: tf.sin(x[0] + x[1]) + (x[0] - x[1]) ** 2 - 1.5 * x[0] + 2.5 * x[1] + 1,
        -R3 / 2 - np.pi / 3,
        [-np.pi / 3 + 0.5, -np.pi / 3 - 0.5],
        box=([-1.5, -3], [4, 3]),
    ),
    Published(
        "HS6",
        [-1.2, 1],
        lambda x: (1 - x[0]) ** 2,
        0.0,
        [1, 1],
        lambda x: [10 * (x[1] - x[0] ** 2)],
        [0],
        [0],
        multipliers=[0],
    ),
    Published(
        "HS7",
        [2, 2],
        lambda x: tf.math.log(1 + x[0] ** 2) - x[1],
        -R3,
        [0, R3],
        lambda x: [(1 + x[0] ** 2) ** 2 + x[1] ** 2 - 4],
        [0],
        [0],
        multipliers=[-1 / (2 * R3)],
    ),
    Published(
        "HS10",
        [-10, 10],
        lambda x: x[0] - x[1],
        -1.0,
        [0, 1],
        lambda x: [-3 * x[0] ** 2 + 2 * x[0] * x[1] - x[1] ** 2 + 1],
        [0],
        [INF],
        multipliers=[0.5],
    ),
    Published(
        "HS12",
        [0, 0],
        lambda x: 0.5 * x[0] ** 2 + x[1] ** 2 - x[0] * x[1] - 7 * x[0] - 7 * x[1],
        -30.0,
        [2, 3],
        lambda x: [25 - 4 * x[0] ** 2 - x[1] ** 2],
        [0],
        [INF],
        multipliers=[0.5],
    ),
    Published(
        "HS14",
        [2, 2],
        lambda x: (x[0] - 2) ** 2 + (x[1] - 1) ** 2,
        9 - 2.875 * R7,
        [(R7 - 1) / 2, (R7 + 1) / 4],
        lambda x: [-0.25 * x[0] ** 2 - x[1] ** 2 + 1, x[0] - 2 * x[1] + 1],
        [0, 0],
        [INF, 0],
        multipliers=[1.8465914396061112, -1.594491118252307],
    ),
    Published(
        "HS21",
        [-1, -1],
        lambda x: 0.01 * x[0] ** 2 + x[1] ** 2 - 100,
        -99.96,
        [2, 0],
        lambda x: [10 * x[0] - x[1] - 10],
        [0],
        [INF],
        box=([2, -50], 50),
        multipliers=[0],
    ),
    Published(
        "HS22",
        [2, 2],
        lambda x: (x[0] - 2) ** 2 + (x[1] - 1) ** 2,
        1.0,
        [1, 1],
        lambda x: [-x[0] - x[1] + 2, -(x[0] ** 2) + x[1]],
        [0, 0],
        [INF, INF],
        multipliers=[2 / 3, 2 / 3],
    ),
    Published(
        "HS24",
        [1, 0.5],
        lambda x: ((x[0] - 3) ** 2 - 9) * x[1] ** 3 / (27 * R3),
        -1.0,
        [3, R3],
        lambda x: [x[0] / R3 - x[1], x[0] + R3 * x[1], -x[0] - R3 * x[1] + 6],
        [0, 0, 0],
        [INF, INF, INF],
        box=(0, INF),
        multipliers=[R3 / 2, 0, 0.5],
    ),
    Published(
        "HS25",
        [100, 12.5, 3],
        _hs25,
        0.0,
        [50, 25, 1.5],
        box=([0.1, 0, 0], [100, 25.6, 5]),
    ),
    Published(
        "HS26",
        [-2.6, 2, 2],
        lambda x: (x[0] - x[1]) ** 2 + (x[1] - x[2]) ** 4,
        0.0,
        [1, 1, 1],
        lambda x: [(1 + x[1] ** 2) * x[0] + x[2] ** 4 - 3],
        [0],
        [0],
        multipliers=[0],
        unique=False,  # a quartic valley
    ),
    Published(
        "HS27",
        [2, 2, 2],
        lambda x: 0.01 * (x[0] - 1) ** 2 + (x[1] - x[0] ** 2) ** 2,
        0.04,
        [-1, 1, 0],
        lambda x: [x[0] + x[2] ** 2 + 1],
        [0],
        [0],
        multipliers=[-0.04],
    ),
    Published(
        "HS28",
        [-4, 1, 1],
        lambda x: (x[0] + x[1]) ** 2 + (x[1] + x[2]) ** 2,
        0.0,
        [0.5, -0.5, 0.5],
        lambda x: [x[0] + 2 * x[1] + 3 * x[2] - 1],
        [0],
        [0],
        multipliers=[0],
    ),
    Published(
        "HS29",
        [1, 1, 1],
        lambda x: -x[0] * x[1] * x[2],
        -16 * R2,
        [4, 2 * R2, 2],
        lambda x: [-(x[0] ** 2) - 2 * x[1] ** 2 - 4 * x[2] ** 2 + 48],
        [0],
        [INF],
        multipliers=[1 / R2],
        unique=False,  # even changes of sign
    ),
    Published(
        "HS31",
        [1, 1, 1],
        lambda x: 9 * x[0] ** 2 + x[1] ** 2 + 9 * x[2] ** 2,
        6.0,
        [1 / R3, R3, 0],
        lambda x: [x[0] * x[1] - 1],
        [0],
        [INF],
        box=([-10, 1, -10], [10, 10, 1]),
        multipliers=[6],
    ),
    Published(
        "HS34",
        [0, 1.05, 2.9],
        lambda x: -x[0],
        -np.log(np.log(10)),
        [np.log(np.log(10)), np.log(10), 10],
        lambda x: [x[1] - tf.exp(x[0]), x[2] - tf.exp(x[1])],
        [0, 0],
        [INF, INF],
        box=(0, [100, 100, 10]),
        multipliers=[1 / np.log(10), 0.1 / np.log(10)],
    ),
    Published(
        "HS35",
        [0.5, 0.5, 0.5],
        lambda x: (
            9
            - 8 * x[0]
            - 6 * x[1]
            - 4 * x[2]
            + 2 * x[0] ** 2
            + 2 * x[1] ** 2
            + x[2] ** 2
            + 2 * x[0] * x[1]
            + 2 * x[0] * x[2]
        ),
        1 / 9,
        [4 / 3, 7 / 9, 4 / 9],
        lambda x: [3 - x[0] - x[1] - 2 * x[2]],
        [0],
        [INF],
        box=(0, INF),
        multipliers=[2 / 9],
    ),
    Published(
        "HS36",
        [10, 10, 10],
        lambda x: -x[0] * x[1] * x[2],
        -3300.0,
        [20, 11, 15],
        lambda x: [72 - x[0] - 2 * x[1] - 2 * x[2]],
        [0],
        [INF],
        box=(0, [20, 11, 42]),
        multipliers=[110],
    ),
    Published(
        "HS37",
        [10, 10, 10],
        lambda x: -x[0] * x[1] * x[2],
        -3456.0,
        [24, 12, 12],
        lambda x: [72 - x[0] - 2 * x[1] - 2 * x[2], x[0] + 2 * x[1] + 2 * x[2]],
        [0, 0],
        [INF, INF],
        box=(0, 42),
        multipliers=[144, 0],
    ),
    Published("HS38", [-3, -1, -3, -1], _wood, 0.0, [1, 1, 1, 1], box=(-10, 10)),
    Published(
        "HS39",
        [2, 2, 2, 2],
        lambda x: -x[0],
        -1.0,
        [1, 1, 0, 0],
        lambda x: [x[1] - x[0] ** 3 - x[2] ** 2, x[0] ** 2 - x[1] - x[3] ** 2],
        [0, 0],
        [0, 0],
        multipliers=[1, 1],
    ),
    Published(
        "HS40",
        [0.8] * 4,
        lambda x: -x[0] * x[1] * x[2] * x[3],
        -0.25,
        [2 ** (-1 / 3), 2**-0.5, 2 ** (-11 / 12), 2**-0.25],
        lambda x: [x[0] ** 3 + x[1] ** 2 - 1, x[0] ** 2 * x[3] - x[2], x[3] ** 2 - x[1]],
        [0, 0, 0],
        [0, 0, 0],
        multipliers=[-0.5, 2 ** (-13 / 12), -0.5 / R2],
        unique=False,  # x_3 and x_4 may change sign together
    ),
    Published(
        "HS42",
        [1] * 4,
        lambda x: sum((x[i] - (i + 1)) ** 2 for i in range(4)),
        28 - 10 * R2,
        [2, 2, 0.6 * R2, 0.8 * R2],
        lambda x: [x[0] - 2, x[2] ** 2 + x[3] ** 2 - 2],
        [0, 0],
        [0, 0],
        multipliers=[2, 1 - 5 / R2],
    ),
    Published(
        "HS43",
        [0] * 4,
        lambda x: (
            x[0] ** 2
            + x[1] ** 2
            + 2 * x[2] ** 2
            + x[3] ** 2
            - 5 * x[0]
            - 5 * x[1]
            - 21 * x[2]
            + 7 * x[3]
        ),
        -44.0,
        [0, 1, 2, -1],
        lambda x: [
            8 - x[0] ** 2 - x[1] ** 2 - x[2] ** 2 - x[3] ** 2 - x[0] + x[1] - x[2] + x[3],
            10 - x[0] ** 2 - 2 * x[1] ** 2 - x[2] ** 2 - 2 * x[3] ** 2 + x[0] + x[3],
            5 - 2 * x[0] ** 2 - x[1] ** 2 - x[2] ** 2 - 2 * x[0] + x[1] + x[3],
        ],
        [0] * 3,
        [INF] * 3,
        multipliers=[1, 0, 2],
    ),
    Published(
        "HS48",
        [3, 5, -3, 2, -2],
        lambda x: (x[0] - 1) ** 2 + (x[1] - x[2]) ** 2 + (x[3] - x[4]) ** 2,
        0.0,
        [1] * 5,
        lambda x: [x[0] + x[1] + x[2] + x[3] + x[4] - 5, x[2] - 2 * (x[3] + x[4]) + 3],
        [0, 0],
        [0, 0],
        multipliers=[0, 0],
    ),
    Published(
        "HS52",
        [2] * 5,
        lambda x: (
            (4 * x[0] - x[1]) ** 2 + (x[1] + x[2] - 2) ** 2 + (x[3] - 1) ** 2 + (x[4] - 1) ** 2
        ),
        1859 / 349,
        (np.array([-33, 11, 180, -158, 11]) / 349).tolist(),
        lambda x: [x[0] + 3 * x[1], x[2] + x[3] - 2 * x[4], x[1] - x[4]],
        [0] * 3,
        [0] * 3,
        multipliers=[-1144 / 349, -1014 / 349, 2704 / 349],
    ),
    Published(
        "HS60",
        [2] * 3,
        lambda x: (x[0] - 1) ** 2 + (x[0] - x[1]) ** 2 + (x[1] - x[2]) ** 4,
        0.03256820025506984,
        [1.1048590197333166, 1.1966741822882572, 1.535262260325326],
        lambda x: [x[0] * (1 + x[1] ** 2) + x[2] ** 4 - 4 - 3 * R2],
        [0],
        [0],
        box=(-10, 10),
        multipliers=[0.010726727888350166],
    ),
    Published(
        "HS63",
        [2] * 3,
        lambda x: 1000 - x[0] ** 2 - 2 * x[1] ** 2 - x[2] ** 2 - x[0] * x[1] - x[0] * x[2],
        961.7151721300521,
        [3.5121213418747197, 0.21698794151522277, 3.552171154827017],
        lambda x: [
            8 * x[0] + 14 * x[1] + 7 * x[2] - 56,
            x[0] ** 2 + x[1] ** 2 + x[2] ** 2 - 25,
        ],
        [0, 0],
        [0, 0],
        box=(0, INF),
        multipliers=[-0.27493710206563005, -1.2234635604844073],
    ),
    Published(
        "HS66",
        [0, 1.05, 2.9],
        lambda x: 0.2 * x[2] - 0.8 * x[0],
        0.5181632741815408,
        [0.1841264879228475, 1.2021678731970424, 3.327322322599094],
        lambda x: [x[1] - tf.exp(x[0]), x[2] - tf.exp(x[1])],
        [0, 0],
        [INF, INF],
        box=(0, [100, 100, 10]),
        multipliers=[0.6654644645198194, 0.2],
    ),
    Published(
        "HS71",
        [1, 5, 5, 1],
        lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2],
        17.014017289156303,
        [1, 4.742999637264418, 3.8211499841848733, 1.3794082931726726],
        lambda x: [
            x[0] * x[1] * x[2] * x[3] - 25,
            x[0] ** 2 + x[1] ** 2 + x[2] ** 2 + x[3] ** 2 - 40,
        ],
        [0, 0],
        [INF, 0],
        box=(1, 5),
        multipliers=[0.5522936601207268, -0.16146856677050572],
    ),
    Published(
        "HS76",
        [0.5] * 4,
        lambda x: (
            x[0] ** 2
            + 0.5 * x[1] ** 2
            + x[2] ** 2
            + 0.5 * x[3] ** 2
            - x[0] * x[2]
            + x[2] * x[3]
            - x[0]
            - 3 * x[1]
            + x[2]
            - x[3]
        ),
        -103 / 22,
        [3 / 11, 23 / 11, 0, 6 / 11],
        lambda x: [
            5 - x[0] - 2 * x[1] - x[2] - x[3],
            4 - 3 * x[0] - x[1] - 2 * x[2] + x[3],
            x[1] + 4 * x[2] - 1.5,
        ],
        [0] * 3,
        [INF] * 3,
        box=(0, INF),
        multipliers=[5 / 11, 0, 0],
    ),
    Published(
        "HS78",
        [-2, 1.5, 2, -1, -1],
        lambda x: x[0] * x[1] * x[2] * x[3] * x[4],
        -2.9197004089636818,
        [
            -1.7171435703943823,
            1.5957096901835546,
            1.8272457529271942,
            -0.763643078184131,
            -0.7636430781841305,
        ],
        lambda x: [
            x[0] ** 2 + x[1] ** 2 + x[2] ** 2 + x[3] ** 2 + x[4] ** 2 - 10,
            x[1] * x[2] - 5 * x[3] * x[4],
            x[0] ** 3 + x[1] ** 3 + 1,
        ],
        [0] * 3,
        [0] * 3,
        multipliers=[-0.7444459309751796, 0.7035751900173159, -0.09680552489506616],
    ),
    Published(
        "HS100",
        [1, 2, 0, 4, 0, 1, 1],
        _hs100,
        680.630057374402,
        [
            2.3304993728795704,
            1.9513723728968901,
            -0.4775413923888716,
            4.365726233655811,
            -0.6244869705268172,
            1.0381310186079584,
            1.5942267116118685,
        ],
        _hs100_rows,
        [0] * 4,
        [INF] * 4,
        multipliers=[1.1397199591673743, 0, 0, 0.36861451718721217],
    ),
    Published(
        "HS113",
        [2, 3, 5, 5, 1, 2, 7, 3, 6, 10],
        _hs113,
        24.30620906817984,
        [
            2.1719963712554544,
            2.363682973697278,
            8.773925738476851,
            5.095984487948454,
            0.9906547649638543,
            1.4305739789363172,
            1.3216442081617017,
            9.82872580788632,
            8.280091670098345,
            8.375926663921321,
        ],
        _hs113_rows,
        [0] * 8,
        [INF] * 8,
        multipliers=[
            1.716533153468175,
            0.4745201541889703,
            1.3759266639213226,
            0.02054555510242258,
            0.31202850893533296,
            0,
            0.2870493192908777,
            0,
        ],
    ),
    # Maratos (1978), as in Nocedal and Wright (2006), example 15.4; the start is SciPy's.
    Published(
        "Maratos",
        [0.5, 0.5 * R3],
        lambda x: 2 * (x[0] ** 2 + x[1] ** 2 - 1) - x[0],
        -1.0,
        [1, 0],
        lambda x: [x[0] ** 2 + x[1] ** 2 - 1],
        [0],
        [0],
        multipliers=[1.5],
    ),
    # Nocedal and Wright (2006), problem 15.1, with SciPy's start.
    Published(
        "hyperbolic",
        [0, 0],
        lambda x: 0.5 * (x[0] - 2) ** 2 + 0.5 * (x[1] - 0.5) ** 2,
        0.08571355555623639,
        [1.9528233455026371, 0.08865893180608721],
        lambda x: [1 / (x[0] + 1) - x[1]],
        [0.25],
        [INF],
        box=(0, INF),
        multipliers=[0.41134106819391275],
    ),
    # Thomson's problem (Dolan, Moré and Munson 2004, COPS 3.0, problem 2), for four charges the
    # regular tetrahedron: six distances sqrt(8/3). By homogeneity the multipliers are -f / 8.
    Published(
        "electrons",
        _spread(4),
        _electrons,
        6 / (8 / 3) ** 0.5,
        TETRAHEDRON.tolist(),
        _on_sphere,
        [0] * 4,
        [0] * 4,
        multipliers=[-6 / (8 / 3) ** 0.5 / 8] * 4,
        unique=False,  # all rotations
    ),
]

BY_NAME = {one.name: one for one in PROBLEMS}

# What a run has to reach with tol=1e-10.
VALUE, POINT, RATES, VIOLATION = 1e-6, 1e-4, 1e-3, 1e-7


def rates(result: cax.Result) -> np.ndarray:
    """Return the multipliers that a result reports, one for each row of c."""
    found = list(result.optimality.multipliers.values())
    return np.atleast_1d(np.array(found[0] if found else [], dtype=float))


def misses(one: Published, result: cax.Result) -> list[str]:
    """Return what a result misses of the published answer, in words; empty where it has it."""
    found = []
    if result.maxcv > VIOLATION:
        found.append(f"violation {result.maxcv:.1e}")
    if not abs(result.value - one.value) <= VALUE * max(1.0, abs(one.value)):
        found.append(f"value {result.value:.6g}")
    if one.unique and not np.abs(result.flat - one.point).max() <= POINT:
        found.append(f"x off by {np.abs(result.flat - one.point).max():.1e}")
    given = np.array(one.multipliers, dtype=float)
    if not one.only_bounds:
        error = np.abs(rates(result) - given).max()
        if not error <= RATES * max(1.0, np.abs(given).max()):
            found.append(f"multipliers off by {error:.1e}")
    return found

"""Branch and bound over discrete inputs: optima by brute force, divisions, units."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import constrained_actmax as cax
from constrained_actmax.certificates.choices import Choices
from constrained_actmax.kernels.discrete import is_empty
from constrained_actmax.layout import Layout
from constrained_actmax.sets import Intersection

N, UNITS = 5, 10
SIZES = (0.5, 0.8, 1.25, 2.0)
RNG = np.random.default_rng(5)
WEIGHTS = RNG.standard_normal((N, UNITS)), RNG.standard_normal(UNITS)
DEEPER = RNG.standard_normal((UNITS, UNITS)) / 2, RNG.standard_normal(UNITS)
OUT = RNG.standard_normal((UNITS, 2))


def network(x: np.ndarray) -> np.ndarray:
    """Both outputs of a ReLU network (B, 2), in NumPy."""
    h = np.maximum(x @ WEIGHTS[0] + WEIGHTS[1], 0.0)
    return np.maximum(h @ DEEPER[0] + DEEPER[1], 0.0) @ OUT


@pytest.fixture(scope="module")
def oracle() -> cax.Oracle:
    def outputs(x: tf.Tensor) -> tf.Tensor:
        h = tf.nn.relu(x @ WEIGHTS[0] + WEIGHTS[1])
        return tf.nn.relu(h @ DEEPER[0] + DEEPER[1]) @ OUT

    return cax.Oracle(outputs, input_shape=(N,), precision="float64")


def product(*parts: Sequence[float]) -> np.ndarray:
    return np.array(list(itertools.product(*parts)), dtype=float)


COUNTS = product(*[range(-1, 3)] * N)
CHANGED = (COUNTS != [0, 1, 0, -1, 2]).sum(axis=1)
COLOURED = np.array([(*hot, *rest) for hot in np.eye(3) for rest in product(range(-2, 4), SIZES)])

COLOURS = "categories, counts, sizes"
#: Sets of discrete points, and all of their points.
FINITE = {
    "counts": ([cax.Box(-1, 2), cax.Integers()], COUNTS),
    "counts, row": (
        [cax.Box(-1, 2), cax.Integers(), cax.Linear([1, 2, -1, 3, 1], 1, 2)],
        COUNTS[np.abs(COUNTS @ [1, 2, -1, 3, 1] - 1.5) <= 0.5],
    ),
    "counts, ball": (
        [cax.Box(-1, 2), cax.Integers(), cax.L2Ball(2.3)],
        COUNTS[np.linalg.norm(COUNTS, axis=1) <= 2.3],
    ),
    "few changes": (
        [cax.Box(-1, 2), cax.Integers(), cax.Cardinality(2, center=[0, 1, 0, -1, 2])],
        COUNTS[CHANGED <= 2],
    ),
    COLOURS: (
        [
            cax.OneHot([0, 0, 0, -1, -1]),
            cax.Integers([3]),
            cax.Levels([4], SIZES),
            cax.Box([0, 0, 0, -2, 0], [1, 1, 1, 3, 9]),
        ],
        COLOURED,
    ),
}


@pytest.mark.parametrize(
    ("name", "limited"),
    [("counts, row", False), ("counts, ball", True), ("few changes", False), (COLOURS, True)],
)
def test_the_proven_optimum_is_that_of_all_combinations(
    oracle: cax.Oracle, name: str, limited: bool
) -> None:
    members, every = FINITE[name]
    values = network(every)
    bound = float(np.quantile(values[:, 1], 0.3))
    limits = [cax.Output(1) <= bound] if limited else []
    kept = values[:, 1] <= bound + 1e-9 if limited else np.full(len(every), True)
    problem = cax.Problem(oracle, cax.Output(0), [*members, *limits])
    result = cax.solve(problem, method=cax.RelaxAndRound(most_combinations=1, kicks=1), seed=0)
    assert result.status is cax.Status.PROVEN
    assert result.certificate is not None
    optimum = float(values[kept, 0].max())
    assert result.value == pytest.approx(optimum, abs=result.certificate.gap + 1e-9)
    assert result.certificate.dual_bound >= optimum - 1e-9
    assert np.any(np.all(every[kept] == np.ravel(result.x), axis=1))


def test_continuous_inputs_are_branched_on_after_the_discrete_ones(oracle: cax.Oracle) -> None:
    members = [cax.Box(-1, 2), cax.Integers([0, 2, 3, 4]), cax.Cardinality(3)]
    certificate = cax.certify(cax.Problem(oracle, cax.Output(0), members))
    grid = product(range(-1, 3), np.linspace(-1, 2, 301), *[range(-1, 3)] * 3)
    grid = grid[(grid != 0).sum(axis=1) <= 3]
    best = float(network(grid)[:, 0].max())
    assert certificate.proven
    assert best - 1e-9 <= certificate.best_value <= certificate.dual_bound
    assert certificate.x is not None
    assert certificate.best_value == pytest.approx(float(network(certificate.x[None])[0, 0]))
    assert np.count_nonzero(certificate.x) <= 3
    assert certificate.dual_bound <= best + 0.02  # the grid is that fine


@pytest.mark.parametrize("name", FINITE)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=5, deadline=None)
def test_the_parts_of_a_box_hold_all_that_it_holds(name: str, seed: int) -> None:
    members, every = FINITE[name]
    choices = Choices(Intersection(members).bind(Layout.of_array((N,))))
    rng = np.random.default_rng(seed)
    box = choices.union.tightened(tuple(np.sort(every[rng.integers(len(every), size=2)], axis=0)))
    while not is_empty(box) and choices.open(*box).any():
        inside = every[np.all((every >= box[0]) & (every <= box[1]), axis=1)]
        entry = int(rng.choice(np.flatnonzero(choices.open(*box))))
        parts = [choices.union.tightened(one) for one in choices.parts(entry, *box)]
        held = [np.all((inside >= low) & (inside <= high), axis=1) for low, high in parts]
        assert np.any(held, axis=0).all()
        widths = [np.sum(high - low) for low, high in parts if not is_empty((low, high))]
        assert max(widths, default=0.0) < np.sum(box[1] - box[0])  # so it ends
        box = parts[int(rng.integers(len(parts)))]


@given(factor=st.floats(1e-6, 1e6))
@settings(max_examples=4, deadline=None)
def test_the_design_is_the_same_in_any_unit(factor: float) -> None:
    units = np.array([factor, 1.0, 1.0 / factor, 1.0])
    target = np.array([0.37, 2.4, 0.81, -1.3])
    curvature = np.array([[3, 1, 0.5, 0], [1, 2, 0.7, 0.3], [0.5, 0.7, 2, -1], [0, 0.3, -1, 2]])

    def f(x: np.ndarray) -> tuple[float, np.ndarray]:
        off = x / units - target
        return float(off @ curvature @ off), 2 * (curvature @ off) / units

    limits = [cax.Box(-4 * units, 5 * units), cax.Integers([1, 3])]
    x = cax.minimize(cax.FunctionOracle(f, (4,), smooth=True), constraints=limits, seed=0).x / units
    held = product(range(-4, 6), range(-4, 6))
    best = min(
        (float(f(np.insert(rest, [1, 2], (a, b)) * units)[0]), a, b)
        for a, b in held
        for rest in [free(target, curvature, a, b)]
    )
    assert x[[1, 3]].tolist() == [best[1], best[2]]
    assert f(x * units)[0] <= best[0] + 1e-8


def free(target: np.ndarray, curvature: np.ndarray, a: float, b: float) -> np.ndarray:
    """Return the best first and third entries, the others held."""
    moves, stays = [0, 2], [1, 3]
    off = np.array([a, b]) - target[stays]
    way = np.linalg.solve(curvature[np.ix_(moves, moves)], -curvature[np.ix_(moves, stays)] @ off)
    return target[moves] + way

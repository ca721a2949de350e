"""Local maxima at kinks: the claim is checked by enumeration, with a network of NumPy's own."""

from __future__ import annotations

import itertools
import re
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import constrained_actmax as cax
from constrained_actmax import kinks
from constrained_actmax.optimality import measure
from constrained_actmax.result import Status

#: Within this distance a point lies on a kink, or on a bound of the set.
NEAR = 1e-6
#: Ascent over the range of the objective that counts as none.
NONE = 1e-6

Weights = list[tuple[np.ndarray, np.ndarray]]


def dense(weights: Weights) -> keras.Model:
    """A dense ReLU network with these weights."""
    inputs = keras.Input((weights[0][0].shape[0],))
    x = inputs
    layers = []
    for place, (W, _) in enumerate(weights):
        last = place == len(weights) - 1
        layers.append(keras.layers.Dense(W.shape[1], activation=None if last else "relu"))
        x = layers[-1](x)
    model = keras.Model(inputs, x)
    for layer, (W, b) in zip(layers, weights, strict=True):
        layer.set_weights([W, b])
    return model


def random_weights(sizes: tuple[int, ...], seed: int, bias: float = 0.3) -> Weights:
    rng = np.random.default_rng(seed)
    return [
        (rng.standard_normal((a, b)) * np.sqrt(2 / a), bias * rng.standard_normal(b))
        for a, b in itertools.pairwise(sizes)
    ]


def rounded(weights: Weights) -> Weights:
    """The weights as a float32 network has them."""
    return [
        (W.astype(np.float32).astype(float), b.astype(np.float32).astype(float)) for W, b in weights
    ]


def largest_ascent(weights: Weights, x: np.ndarray, A: np.ndarray, b: np.ndarray) -> float:
    """The largest f'(x; d) over {d : A d <= 0 where A x = b, |d| <= 1}, by all signatures."""
    h, sides = x, []
    for W, c in weights[:-1]:
        z = h @ W + c
        lengths = np.linalg.norm(W, axis=0) + 1.0
        sides.append(
            [
                (-1, 1) if abs(v) <= NEAR * s else (np.sign(v),)
                for v, s in zip(z, lengths, strict=True)
            ]
        )
        h = np.maximum(z, 0.0)
    choices = [side for layer in sides for side in layer]
    assert np.prod([len(one) for one in choices], dtype=float) <= 2**12
    tangent = A[b - A @ x <= NEAR]
    best = 0.0
    for signature in itertools.product(*choices):
        J, rows, start = np.eye(len(x)), [], 0
        for W, _ in weights[:-1]:
            J = J @ W
            side = np.array(signature[start : start + W.shape[1]])
            free = np.array([len(one) > 1 for one in choices[start : start + W.shape[1]]])
            rows.append((J * side)[:, free].T)
            J = J * (side > 0)
            start += W.shape[1]
        g = (J @ weights[-1][0])[:, 0]
        cone = np.concatenate([*(-one for one in rows), tangent])
        found = linprog(-g, A_ub=cone, b_ub=np.zeros(len(cone)), bounds=(-1, 1), method="highs")
        if found.status == 0:
            best = max(best, -found.fun)
    return best


def box_rows(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([np.eye(n), -np.eye(n)]), np.ones(2 * n)


def solved(model: Any, sets: Any, **given: Any) -> cax.Result:
    return cax.maximize(model, cax.Output(0), sets, method="active-signature", **given)


#: f = 0.1 x1 + x2 - 0.6 relu(x1) - 2 relu(x2 - relu(x1)) as a network.
COUNTEREXAMPLE: Weights = [
    (np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), np.array([0.0, 3.0, 3.0])),
    (
        np.array([[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]),
        np.array([3.0, 0.0, -3.0, 0.0]),
    ),
    (np.array([[-0.6], [1.0], [-2.0], [0.1]]), np.array([-1.5])),
]


def test_the_origin_of_the_counterexample_to_the_short_test_is_no_maximum() -> None:
    # The best point of the region x1 <= 0, x2 <= 0. Crossing either kink alone loses if the normal
    # of the other is thought fixed, but f rises along (1, 1) with slope 0.5.
    problem = cax.Problem(dense(COUNTEREXAMPLE), cax.Output(0), cax.Box(-1, 1))
    origin = np.zeros((1, 2))
    measured = measure(problem, origin[0], problem.evaluate(origin))
    assert largest_ascent(COUNTEREXAMPLE, origin[0], *box_rows(2)) == pytest.approx(0.5)
    # The set is two wide, and a direction goes as far as that.
    assert measured.stationarity == pytest.approx(0.5 / problem.scales.range, rel=1e-6)
    found = cax.solve(problem, x0=np.array([-0.5, -0.2]), method="active-signature")
    assert found.status is Status.CONVERGED
    assert found.message.startswith("Converged. A local optimum: no direction across the kinks")
    assert found.value == pytest.approx(0.5)
    assert found.x == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_what_is_called_a_local_maximum_is_one(depth: int) -> None:
    n, layers = 5, set()
    for seed in range(3):
        weights = rounded(random_weights((n, *[12] * depth, 1), 100 * depth + seed))
        found = solved(dense(weights), cax.Box(-1, 1), starts=3, seed=seed)
        for start in found.starts:
            assert start.status is Status.CONVERGED, start.detail
            assert "local optimum" in start.detail
            assert start.stationarity <= NONE
            ascent = largest_ascent(weights, start.x, *box_rows(n))
            assert ascent <= NONE * found.settings["scales"]["range"]
            layers.update(kinks_by_layer(weights, start.x))
    assert len(layers) >= 2  # at kinks of different layers, where later normals bend


def kinks_by_layer(weights: Weights, x: np.ndarray) -> list[int]:
    """The layer of every kink that a point lies on."""
    found, h = [], x
    for place, (W, b) in enumerate(weights[:-1]):
        z = h @ W + b
        found += [place] * int(np.sum(np.abs(z) <= NEAR))
        h = np.maximum(z, 0.0)
    return found


def test_dependent_normals_are_decided_by_directions() -> None:
    # Each first-layer unit twice and biases of zero: at the origin twice as many kinks as inputs.
    rng = np.random.default_rng(5)
    half = rng.standard_normal((3, 4))
    W1, b1 = np.concatenate([half, half], axis=1), np.zeros(8)
    for sign, top in ((-1.0, True), (1.0, False)):
        weights = rounded([(W1, b1), (sign * np.abs(rng.standard_normal((8, 1))), np.zeros(1))])
        problem = cax.Problem(dense(weights), cax.Output(0), cax.Box(-1, 1))
        found = cax.solve(problem, x0=np.zeros(3), method="active-signature")
        assert found.status is Status.CONVERGED
        assert largest_ascent(weights, found.flat, *box_rows(3)) <= NONE
        # The sum of negative ReLUs has its maximum at the origin, that of positive ones a minimum.
        assert (found.value == pytest.approx(0.0, abs=1e-9)) == top


@pytest.mark.parametrize("margin", [0.1, -0.1])
def test_many_kinks_that_pay_are_decided_where_bounds_say_how_entries_move(margin: float) -> None:
    # f = sum_u v_u relu(w_u'x) - c'x over [0, 1]^n is convex, so the origin is a local maximum if
    # and only if f falls along every axis: if c_k > sum_u v_u relu(w_uk).
    n, units = 6, 160
    rng = np.random.default_rng(8)
    W, v = rng.standard_normal((n, units)), rng.uniform(0.1, 1.0, units)
    c = np.maximum(W, 0.0) @ v + 0.1
    c[2] += margin - 0.1
    first = np.concatenate([W, np.eye(n)], axis=1)
    weights = [
        (first, np.append(np.zeros(units), np.full(n, 3.0))),  # no kinks of the linear term
        (np.append(v, -c)[:, np.newaxis], np.array([3.0 * c.sum()])),
    ]
    found = solved(dense(weights), cax.Box(0, 1), x0=np.zeros(n))
    assert found.status is Status.CONVERGED, found.message
    assert (found.value <= 1e-4) == (margin > 0)


def least_at_zero(units: int) -> Weights:
    """f = sum_u relu(w_u'x) has its least value at 0, where TensorFlow's slope is zero."""
    W = np.random.default_rng(0).standard_normal((10, units))
    return rounded([(W, np.zeros(units)), (np.ones((units, 1)), np.zeros(1))])


def test_a_point_at_which_nothing_is_decided_is_no_optimum() -> None:
    units = kinks.MOST_KINKS + 500
    found = solved(dense(least_at_zero(units)), cax.Box(-1, 1), x0=np.zeros(10))
    assert found.value <= 1e-6
    assert found.status is Status.STALLED
    assert f"Degenerate, not decided: {units} kinks meet here." in found.message
    assert found.optimality.undecided_kinks == units
    assert found.optimality.stationarity == np.inf  # of no direction is known how f changes


def test_the_residual_of_an_undecided_point_is_a_bound_on_every_slope() -> None:
    weights = least_at_zero(200)
    problem = cax.Problem(dense(weights), cax.Output(0), cax.Box(-1, 1))
    measured = measure(problem, np.zeros(10), problem.evaluate(np.zeros((1, 10))))
    assert measured.undecided_kinks == 200
    corners = np.array(list(itertools.product([-1, 1], repeat=10)))
    slopes = np.maximum(corners @ weights[0][0], 0.0).sum(axis=1) / problem.scales.range
    assert measured.stationarity >= slopes.max() * (1 - 1e-9)


@pytest.mark.parametrize("ball", [None, cax.L1Ball(2.0)], ids=str)
def test_of_many_kinks_any_direction_of_ascent_will_do(ball: Any) -> None:
    weights = least_at_zero(200)
    sets = [cax.Box(-1, 1), *([] if ball is None else [ball])]
    found = solved(dense(weights), sets, x0=np.zeros(10))
    assert found.status is Status.CONVERGED, found.message
    A, b = box_rows(10)
    if ball is not None:
        signs = np.array(list(itertools.product([-1, 1], repeat=10)), dtype=float)
        A, b = np.concatenate([A, signs]), np.append(b, np.full(len(signs), 2.0))
    assert largest_ascent(weights, found.flat, A, b) <= NONE * found.settings["scales"]["range"]


@settings(max_examples=5, deadline=None)
@example(seed=2, limits=(0, 1), evaluations=1, method="active-signature")
@example(seed=4, limits=(0, 2000), evaluations=1, method="active-signature")
@given(
    seed=st.integers(0, 2**16),
    limits=st.sampled_from([(20_000, 2000), (0, 2000), (0, 1)]),
    evaluations=st.sampled_from([1, 60]),
    method=st.sampled_from(["active-signature", "spg", "frank-wolfe"]),
)
def test_where_kinks_tie_converged_is_a_local_maximum_however_little_is_decided(
    seed: int, limits: tuple[int, int], evaluations: int, method: str
) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 4))
    sizes = (n, *[4] * int(rng.integers(1, 3)), 1)
    weights = [
        (rng.integers(-2, 3, (a, b)).astype(float), rng.integers(-1, 2, b) * (rng.random() < 0.4))
        for a, b in itertools.pairwise(sizes)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinks, "MOST_HELD", limits[0])
        patch.setattr(kinks, "MOST_KINKS", limits[1])
        found = cax.maximize(
            dense(weights),
            cax.Output(0),
            cax.Box(-1, 1),
            x0=rng.integers(-1, 2, n) * float(seed % 2),
            method=method,
            budget=cax.Budget(evaluations=evaluations),
        )
    if found.status is Status.CONVERGED:
        slope = largest_ascent(weights, found.flat, *box_rows(n))
        assert slope <= found.settings["tol"] * found.settings["scales"]["range"]


@pytest.mark.parametrize(
    "sets",
    [
        [cax.Box(-1, 1), cax.L1Ball(1.5)],
        [cax.L1Ball(1.5, center=0.1)],
        [cax.Box(-1, 1), cax.Linear(np.ones((1, 5)), upper=0.3)],
    ],
    ids=["box and l1", "l1", "rows"],
)
def test_polyhedral_sets(sets: list[cax.ConvexSet]) -> None:
    weights = rounded(random_weights((5, 12, 12, 1), 31))
    signs = np.array(list(itertools.product([-1, 1], repeat=5)), dtype=float)
    A, b = [signs], [np.full(32, 1.5)]
    if len(sets) == 1:
        b = [np.full(32, 1.5) + signs @ np.full(5, 0.1)]
    elif isinstance(sets[1], cax.Linear):
        A, b = [np.ones((1, 5))], [np.array([0.3])]
    if len(sets) == 2:
        box, bound = box_rows(5)
        A, b = [*A, box], [*b, bound]
    found = solved(dense(weights), sets, starts=3, seed=0)
    for start in found.starts:
        assert start.status is Status.CONVERGED, start.detail
        ascent = largest_ascent(weights, start.x, np.concatenate(A), np.concatenate(b))
        assert ascent <= NONE * found.settings["scales"]["range"]


@pytest.mark.parametrize("ball", [cax.L2Ball(1.0), cax.TotalVariationBall(1.0)], ids=str)
def test_sets_that_are_no_polyhedra_or_have_many_rows(ball: cax.ConvexSet) -> None:
    # No enumeration: from the answer no feasible point nearby is better, in a dense sample and
    # along the differences of other starts' answers.
    n = 9
    weights = rounded(random_weights((n, 12, 12, 1), 32))
    if isinstance(ball, cax.TotalVariationBall):
        model = keras.Sequential([keras.Input((3, 3, 1)), keras.layers.Flatten(), dense(weights)])
    else:
        model = dense(weights)
    problem = cax.Problem(model, cax.Output(0), [cax.Box(-1, 1), ball])
    found = cax.solve(problem, starts=3, seed=0, method="active-signature")
    rng = np.random.default_rng(0)
    for start in found.starts:
        assert start.status is Status.CONVERGED, start.detail
        near = problem.set.project(start.x + 1e-4 * rng.standard_normal((5000, n)))
        assert problem.user_oracle.values(near)[:, 0].max() <= start.value + 1e-6


def test_bounds_on_outputs_are_rows() -> None:
    weights = rounded(random_weights((4, 10, 10, 2), 33))
    model = dense(weights)
    free = cax.maximize(model, cax.Output(0), cax.Box(-1, 1), starts=4, seed=0)
    h = free.flat
    for W, b in weights[:-1]:
        h = np.maximum(h @ W + b, 0.0)
    other = float((h @ weights[-1][0] + weights[-1][1])[1])
    bound = other - 0.5  # so that it is active
    problem = cax.Problem(model, cax.Output(0), [cax.Box(-1, 1), cax.Output(1) <= bound])
    outside = cax.solve(problem, x0=free.x, method="active-signature")
    assert outside.status is Status.INFEASIBLE
    first = cax.solve(problem, starts=4, seed=0, method="augmented-lagrangian")
    found = cax.solve(problem, x0=first.x, method="active-signature")
    assert found.feasible
    assert found.value >= first.value - 1e-5
    assert found.status is Status.CONVERGED, found.message
    assert found.value < free.value
    rng = np.random.default_rng(0)
    near = np.clip(found.flat + 1e-3 * rng.standard_normal((20000, 4)), -1, 1)
    h = near
    for W, b in weights[:-1]:
        h = np.maximum(h @ W + b, 0.0)
    values = h @ weights[-1][0] + weights[-1][1]
    assert values[values[:, 1] <= bound, 0].max() <= found.value + 1e-5


def pooled_ascent(K: np.ndarray, b: np.ndarray, w: np.ndarray, x: np.ndarray) -> float:
    """The same for w'max over windows of relu(K x + b), two windows of four units, in a box."""
    z = K @ x + b
    h = np.maximum(z, 0.0)
    sides = [(0, 1) if abs(v) <= NEAR else (int(v > 0),) for v in z]
    windows = [[2 * i + c for i in range(4)] for c in range(2)]
    winners = [[i for i in one if h[i] >= h[one].max() - NEAR] for one in windows]
    A, bound = box_rows(len(x))
    tangent = A[bound - A @ x <= NEAR]
    best = 0.0
    for signature in itertools.product(*sides):
        on = np.array(signature, dtype=float)
        J = on[:, np.newaxis] * K
        tight = np.array([len(one) > 1 for one in sides])
        rows = -((2 * on - 1)[:, np.newaxis] * K)[tight]
        for chosen in itertools.product(*winners):
            g = sum(w[c] * J[chosen[c]] for c in range(2))
            ties = [J[i] - J[chosen[c]] for c in range(2) for i in winners[c] if i != chosen[c]]
            cone = np.concatenate([rows, tangent, np.array(ties).reshape(-1, len(x))])
            found = linprog(-g, A_ub=cone, b_ub=np.zeros(len(cone)), bounds=(-1, 1))
            if found.status == 0:
                best = max(best, -found.fun)
    return best


@pytest.mark.parametrize("seed", range(3))
def test_convolution_and_max_pooling(seed: int) -> None:
    layers = keras.layers
    rng = np.random.default_rng(seed)
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Conv2D(2, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    kernel = rng.standard_normal((3, 3, 1, 2)).astype(np.float32)
    bias = rng.standard_normal(2).astype(np.float32)
    w = np.array([[1.0], [-1.0]], dtype=np.float32)
    model.layers[0].set_weights([kernel, bias])
    model.layers[-1].set_weights([w, np.zeros(1)])
    K = np.zeros((8, 16))
    for row, column, c in itertools.product(range(2), range(2), range(2)):
        for i, j in itertools.product(range(3), range(3)):
            K[4 * row + 2 * column + c, 4 * (row + i) + column + j] = kernel[i, j, 0, c]
    b = np.tile(bias.astype(float), 4)
    found = solved(model, cax.Box(-1, 1), starts=4, seed=seed)
    for start in found.starts:
        assert start.status is Status.CONVERGED, start.detail
        assert pooled_ascent(K, b, w[:, 0].astype(float), start.x) <= 1e-5


def test_kinks_whose_crossing_costs_are_crossed_within_one_program() -> None:
    # Concave: all kinks bend downwards, and the maximum is that of one linear program in x and the
    # hidden units. The way from the start crosses dozens of regions.
    rng = np.random.default_rng(3)
    weights = rounded(
        [
            (rng.standard_normal((20, 60)), 0.3 * rng.standard_normal(60)),
            (-rng.uniform(0.5, 1.5, (60, 1)), np.zeros(1)),
        ]
    )
    (W, b), (v, _) = weights
    found = solved(dense(weights), cax.Box(-1, 1), x0=np.full(20, 0.9))
    A = np.concatenate([W.T, -np.eye(60)], axis=1)
    bounds = [(-1, 1)] * 20 + [(0, None)] * 60
    best = linprog(np.append(np.zeros(20), -v[:, 0]), A_ub=A, b_ub=-b, bounds=bounds)
    assert found.status is Status.CONVERGED
    assert found.value == pytest.approx(-best.fun, abs=1e-5)
    programs = re.search(r"(\d+) programs", found.message)
    assert programs is not None
    assert int(programs[1]) <= 10


def test_functions_that_are_curved_between_kinks_are_called_first_order() -> None:
    weights = rounded(random_weights((4, 10, 3), 34))
    problem = cax.Problem(dense(weights), cax.LogProbability(1, link="softmax"), cax.Box(-1, 1))
    found = cax.solve(problem, starts=3, seed=0, method="active-signature")
    for start in found.starts:
        if start.status is Status.CONVERGED:
            assert start.detail.startswith("First-order")
            near = np.random.default_rng(0).standard_normal((5000, 4))
            near = np.clip(start.x + 1e-3 * near, -1, 1)
            assert problem.user_oracle.values(near)[:, 0].max() <= start.value + 1e-5
    assert found.status is Status.CONVERGED


def test_at_kinks_multipliers_are_the_slopes_of_the_optimal_value() -> None:
    step, seen = 1e-3, 0
    for seed in (35, 36, 40):
        weights = rounded(random_weights((8, 20, 20, 2), seed))
        oracle = cax.Oracle(dense(weights))
        draws = np.random.default_rng(seed).uniform(0, 1, (200, 8))
        second = np.asarray(oracle.model(draws.astype(np.float32)))[:, 1]
        limit = float(np.quantile(second, 0.3))
        inside = draws[second.argmin()]
        radius = float(inside.sum())

        def best(r: float, u: float, x0: np.ndarray, oracle: cax.Oracle = oracle) -> cax.Result:
            sets = [cax.Box(0, 1), cax.L1Ball(r), cax.Output(1) <= u]
            problem = cax.Problem(oracle, cax.Output(0), sets)
            return cax.solve(problem, method="active-signature", x0=x0)

        found = best(radius, limit, inside)
        assert found.optimality.residual <= 1e-6
        more_ink = best(radius + step, limit, found.x)
        for place, more in ((1, more_ink), (2, best(radius, limit + step, found.x))):
            rate = found.optimality.constraints[place].multiplier
            assert isinstance(rate, float)
            assert rate == pytest.approx((more.value - found.value) / step, rel=0.02, abs=1e-3)
            seen += bool(abs(rate) > 0.01)
    assert seen >= 3


@pytest.mark.parametrize("method", ["auto", "active-signature"])
def test_free_directions_without_gain_are_not_unbounded(method: str) -> None:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, -keras.ops.abs(inputs))
    result = cax.maximize(
        model, cax.Output(0), x0=np.array([0.6, -0.4, 0.2]), method=method, seed=0
    )
    assert result.status is not Status.UNBOUNDED
    assert result.value >= -0.6 - 1e-6


def test_a_last_stage_follows_methods_whose_points_leave_the_set() -> None:
    oracle = cax.Oracle(dense(rounded(random_weights((8, 20, 20, 3), 41))))
    sets = [cax.Box(0, 1), cax.L1Ball(2.0), cax.Output(1) <= -0.1]
    problem = cax.Problem(oracle, cax.Output(0), sets)
    # SLSQP converges by a test of its own, where the residual is above the tolerance.
    found = cax.solve(problem, method=cax.SearchAndFinish(search=cax.SLSQP()), starts=2, seed=0)
    for start in found.starts:
        assert start.feasible
        assert start.status is Status.CONVERGED
        assert start.detail.startswith("A local optimum")
    # One start after the other: each gets its share (COBYQA reports some evaluations alone).
    inner = cax.SearchAndFinish(search=cax.COBYQA())
    budget = cax.Budget(evaluations=200)
    shared = cax.solve(problem, method=inner, starts=2, seed=0, budget=budget)
    assert shared.nfev <= 200
    assert min(shared.history.start.count(start) for start in (0, 1)) >= 10


def test_a_trust_region_that_shrank_at_kinks_grows_again_behind_them() -> None:
    weights = rounded(random_weights((8, 20, 20, 3), 38))
    sets = [cax.Box(0, 1), cax.L1Ball(2.0)]
    problem = cax.Problem(dense(weights), cax.LogProbability(0, link="softmax"), sets)
    found = cax.solve(problem, starts=4, seed=0, method="active-signature")
    for start in found.starts:
        assert start.status is Status.CONVERGED
        assert start.stationarity <= 1e-4


def test_a_last_stage_that_would_end_nowhere_takes_nothing_from_the_search() -> None:
    # A fifth of 600 is less than 50 and a twentieth of the units: the search has the whole budget.
    problem = cax.Problem(
        dense(random_weights((8, 1500, 1), 5)), cax.Output(0), [cax.Box(-1, 1), cax.L1Ball(3.0)]
    )
    given: Any = {"seed": 0, "budget": cax.Budget(evaluations=600)}
    alone = cax.solve(problem, method="successive-halving", **given)
    both = cax.solve(problem, **given)
    assert both.history.evaluations == alone.history.evaluations
    assert np.array_equal(both.x, alone.x)


def test_of_several_starts_the_answer_and_what_converged_are_measured_across_kinks() -> None:
    weights = rounded(random_weights((8, 20, 20, 1), 3))
    problem = cax.Problem(dense(weights), cax.Output(0), cax.Box(-1, 1))
    ended = cax.solve(problem, starts=4, seed=0, method="active-signature")
    ends = np.array([one.x for one in ended.starts])
    budget = cax.Budget(evaluations=4 * len(ends))
    together = cax.solve(problem, method="spg", starts=ends, budget=budget)
    best = max(together.starts, key=lambda one: one.value)
    alone = cax.solve(
        problem, method="spg", starts=best.x[np.newaxis], budget=cax.Budget(evaluations=4)
    )
    assert together.optimality.stationarity == alone.optimality.stationarity <= NONE
    assert together.status is Status.CONVERGED
    # The gradient on one side of a kink is what the other starts show.
    others = [one.stationarity for one in together.starts if one is not best]
    assert max(others) > 1e3 * NONE


@pytest.mark.parametrize("method", ["spg", "L-BFGS-B", "frank-wolfe", "auto", "active-signature"])
def test_no_side_of_a_kink_alone_makes_a_point_an_optimum(method: str) -> None:
    # f(x) = sum(3 relu(x) - relu(x + 1)): at 0 TensorFlow's slope is -1, that to the right +2.
    n = 6
    model = keras.Sequential(
        [keras.Input((n,)), keras.layers.Dense(2 * n, activation="relu"), keras.layers.Dense(1)]
    )
    first = np.hstack([np.eye(n), np.eye(n)]), np.repeat([0.0, 1.0], n)
    model.set_weights([*first, np.repeat([[3.0], [-1.0]], n, axis=0), np.zeros(1)])
    for evaluations in (10, 40, 400):
        result = cax.maximize(
            model,
            cax.Output(0),
            cax.Box(0, 1),
            x0=np.zeros(n),
            method=method,
            budget=cax.Budget(evaluations=evaluations),
        )
        assert result.success == (result.value == pytest.approx(n))

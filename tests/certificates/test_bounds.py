"""Laws of the bounds: no feasible point exceeds them, by points, by enumeration, by programs."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.optimize
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sample_models import L, keras, shaken
from sample_networks import networks

import constrained_actmax as cax
from constrained_actmax.certificates import linear_bounds
from constrained_actmax.certificates.allowed import ACCURATE, EPSILON, Allowed
from constrained_actmax.certificates.branching import Search
from constrained_actmax.certificates.linear_bounds import LinearBounds

D = "float64"
POINTS = 10_000
DRAWN = (Phase.explicit, Phase.generate)  # a network takes seconds, so failures are not shrunk


def dense(sizes: list[int], activation: str = "relu", seed: int = 0, dtype: str = D) -> Any:
    layers: list[Any] = [keras.Input((sizes[0],), dtype=dtype)]
    layers += [L.Dense(size, activation=activation, dtype=dtype) for size in sizes[1:]]
    return shaken(keras.Sequential([*layers, L.Dense(2, dtype=dtype)]), seed)


def exact_maximum(structure: Any, lower: np.ndarray, upper: np.ndarray) -> float:
    """The largest value over a box: one linear program for each signature."""
    best = -np.inf
    sizes = [one.size for one in structure.nonlinearities]
    for bits in itertools.product([0, 1], repeat=sum(sizes)):
        split = np.split(np.array(bits, dtype=np.int8), np.cumsum(sizes)[:-1])
        signature = tuple(one[np.newaxis] for one in split)
        rows, most = [], []
        for k, step in enumerate(structure.nonlinearities):
            E, e = step.sides(signature[k][0])
            slopes, offsets = structure.affine(signature, structure.parts[k], E.toarray())
            rows.append(-slopes[0])
            most.append(offsets[0] + e)
        g, t = structure.affine(signature, structure.outputs["functions"])
        bounds = list(zip(lower, upper, strict=True))
        A, b = np.vstack(rows), np.concatenate(most)
        found = scipy.optimize.linprog(-g[0, 0], A, b, bounds=bounds)
        if found.status == 0:
            best = max(best, float(t[0, 0] - found.fun))
    return best


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sizes", [[2, 5], [2, 4, 4], [3, 3, 3, 3]])
def test_branch_and_bound_finds_the_maximum_over_all_signatures(
    sizes: list[int], seed: int
) -> None:
    problem = cax.Problem(dense(sizes, seed=seed), cax.Output(0), [cax.Box(-1, 1)])
    structure = problem.user_oracle.structure()
    exact = exact_maximum(structure, -np.ones(sizes[0]), np.ones(sizes[0]))
    found = cax.certify(problem, rtol=1e-6)
    assert found.proven
    assert found.rigour == "rigorous"
    assert found.dual_bound >= exact - 1e-9
    assert found.best_value == pytest.approx(exact, abs=1e-6 * problem.scales.range)


SETS: dict[str, list[Any]] = {
    "box": [cax.Box(-1, 1)],
    "l1": [cax.Box(-1, 1), cax.L1Ball(1.2)],
    "l2": [cax.Box(-0.5, 1), cax.L2Ball(0.8, center=[0.2, -0.1, 0.3, 0.0, 0.1])],
    "rows": [cax.Box(-1, 1), cax.Linear([[1, 1, 1, 1, 1], [1, -2, 0, 1, 0]], -0.5, 0.5)],
    "l1 and l2": [cax.Box(-1, 1), cax.L1Ball(1.2), cax.L2Ball(0.7)],
    "a program": [cax.Box(-1, 1), cax.Monotone()],
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("sense", ["maximize", pytest.param("minimize", marks=pytest.mark.slow)])
def test_no_allowed_point_exceeds_the_bound(name: str, sense: Any) -> None:
    problem = cax.Problem(dense([5, 8, 8]), cax.Output(0), SETS[name], sense=sense)
    x = problem.set.project(np.random.default_rng(1).uniform(-1, 1, (POINTS, 5)))
    values = problem.sign * problem.user_oracle.structure().values(x)["functions"][:, 0]
    result = cax.solve(problem, seed=0)
    for method in ("linear-bounds", "branch-and-bound"):
        budget = cax.Budget(evaluations=2000)
        found = cax.certify(problem, result, method=method, budget=budget)
        assert problem.sign * found.dual_bound <= values.min()
        assert problem.sign * found.dual_bound <= result.fun + 1e-9
        assert result.certificate is found


@pytest.mark.parametrize("name", ["l1", "l2", "rows", "l1 and l2"])
def test_the_largest_linear_function_by_duality_is_the_program_s(name: str) -> None:
    problem = cax.Problem(dense([5, 4]), cax.Output(0), SETS[name])
    allowed = Allowed.of(problem)
    assert allowed.complete
    g = np.random.default_rng(0).standard_normal((40, 5))
    box = (np.broadcast_to(bound, g.shape) for bound in (allowed.lower, allowed.upper))
    cutoff = np.full(len(g), -np.inf)
    found, _ = allowed.maximum(g, *box, effort=ACCURATE, cutoff=cutoff)
    x = problem.set.linear_maximizer(g)
    true = np.einsum("bn,bn->b", g, x)
    assert (found >= true - 1e-7).all()
    # Two balls together: their multipliers are found in turns, which may stop short.
    short = 0.15 if name == "l1 and l2" else 1e-6
    assert (found <= true + short * np.abs(true)).all()


@given(model=networks())
@settings(max_examples=8, deadline=None, phases=DRAWN)
def test_bounds_of_networks_of_every_kind_hold(model: Any) -> None:
    oracle = cax.Oracle(model, cax.Logit(0))
    structure = oracle.structure()
    problem = cax.Problem(oracle, None, [cax.Box(-1, 1)])
    bounds = LinearBounds(structure, structure.outputs["functions"], Allowed.of(problem))
    rng = np.random.default_rng(0)
    centre = rng.uniform(-1, 1, (6, oracle.size))
    radius = np.array([1.0, 0.5, 0.1, 0.01, 1e-6, 0.0])[:, np.newaxis]
    lower, upper = np.maximum(centre - radius, -1.0), np.minimum(centre + radius, 1.0)
    both = bounds.bound(lower, upper, np.array([[1.0], [-1.0]]))
    least, most, _ = bounds.slopes(both.intervals, np.ones(1), len(lower))
    for box in range(len(lower)):
        x = rng.uniform(lower[box], upper[box], (500, oracle.size))
        z, outputs = structure.evaluate(x)
        f = outputs["functions"][:, 0]
        scale = 1e-12 * (1.0 + np.abs(f).max())
        assert f.max() <= both.upper[box, 0] + scale
        assert -f.min() <= both.upper[box, 1] + scale
        for (low, high), values in zip(both.intervals, z, strict=True):
            size = 1e-12 * (1.0 + np.abs(values).max())
            assert (values >= low[box] - size).all()
            assert (values <= high[box] + size).all()
        signature = structure.signature(x[:50])
        g = structure.affine(signature, structure.outputs["functions"])[0][:, 0]
        size = 1e-9 * (1.0 + np.abs(g).max())
        assert (g >= least[box] - size).all()
        assert (g <= most[box] + size).all()
        top = (both.slopes[box] @ x.T) + both.offsets[box][:, np.newaxis]
        assert (top >= np.stack([f, -f]) - scale).all()
    # Parts of the boxes, by the functions that were found for the whole.
    ends = np.sort(rng.uniform(lower, upper, (2, *lower.shape)), axis=0)
    index = np.arange(len(lower))
    around = bounds.within(both, index, *ends)
    quick = bounds.bound(*ends, np.array([[1.0], [-1.0]]), around, refine=False)
    assert (quick.upper <= both.upper + 1e-9 * (1.0 + np.abs(both.upper))).all()
    for box in range(len(lower)):
        x = rng.uniform(ends[0][box], ends[1][box], (200, oracle.size))
        z, outputs = structure.evaluate(x)
        f = outputs["functions"][:, 0]
        scale = 1e-12 * (1.0 + np.abs(f).max())
        assert f.max() <= quick.upper[box, 0] + scale
        assert -f.min() <= quick.upper[box, 1] + scale
        for known in (around, quick.intervals):
            for (low, high), values in zip(known, z, strict=True):
                size = 1e-12 * (1.0 + np.abs(values).max())
                assert (values >= low[box] - size).all()
                assert (values <= high[box] + size).all()


def test_an_affine_network_is_bounded_exactly() -> None:
    model = shaken(keras.Sequential([keras.Input((3,), dtype=D), L.Dense(2, dtype=D)]))
    found = cax.certify(cax.Problem(model, cax.Output(0), [cax.Box(-1, 1)]), rtol=1e-9)
    weights, bias = model.get_weights()
    assert found.proven
    assert found.dual_bound == pytest.approx(np.abs(weights[:, 0]).sum() + bias[0], rel=1e-9)


def test_logarithms_and_roots_are_bounded_where_they_are_defined() -> None:
    x = keras.Input((2,), dtype=D)
    log = keras.ops.log(L.Dense(2, "softplus", dtype=D)(x) + 0.05)
    root = keras.ops.sqrt(keras.ops.sum(keras.ops.square(x), axis=-1, keepdims=True) + 0.01)
    y = keras.ops.sum(log, axis=-1, keepdims=True) - root
    problem = cax.Problem(shaken(keras.Model(x, y), 1), cax.Output(0), [cax.Box(-1, 1)])
    found = cax.certify(problem, rtol=1e-2)
    assert found.proven
    points = problem.set.sample(np.random.default_rng(0), 2000)
    assert found.dual_bound >= problem.user_oracle.values(points)[:, 0].max()


def test_single_precision_is_certified_as_its_float64_network() -> None:
    single = cax.Problem(dense([3, 8], dtype="float32"), cax.Output(0), [cax.Box(-1, 1)])
    found = cax.certify(single)
    assert found.proven
    assert 0.0 < found.difference < 1e-5
    deployed = single.user_oracle.value(found.x)
    assert deployed == pytest.approx(found.best_value, rel=1e-5)


def test_bounds_on_outputs_are_used_and_infeasibility_is_proven() -> None:
    model = dense([2, 6, 6], "tanh", seed=3)
    box = cax.Box(-1, 1)
    x = np.random.default_rng(0).uniform(-1, 1, (POINTS, 2))
    values = cax.Oracle(model, cax.Output(0)).source.run(x)
    y = next(iter(values.values()))
    bound = float(np.quantile(y[:, 1], 0.3))
    problem = cax.Problem(model, cax.Output(0), [box, cax.Output(1) <= bound])
    found = cax.certify(problem, rtol=1e-3)
    best = y[y[:, 1] <= bound, 0].max()
    assert found.proven
    assert found.dual_bound >= best
    assert found.dual_bound <= best + 0.05 * np.ptp(y[:, 0])
    most = cax.certify(cax.Problem(model, cax.Output(1), [box])).dual_bound
    beyond = cax.Problem(model, cax.Output(0), [box, cax.Output(1) >= most + 0.01])
    found = cax.certify(beyond)
    assert found.infeasible
    assert found.proven
    assert str(found).startswith(
        "Infeasible, proven: no allowed input satisfies the bounds on outputs;"
    )


def test_a_wrong_bound_is_a_fault_and_not_a_result() -> None:
    problem = cax.Problem(dense([2, 6]), cax.Output(0), [cax.Box(-1, 1)])
    search = Search(problem, rtol=1e-4)
    search.begin(np.zeros((0, 2)))
    search.state.best_value += 10.0 * search.range  # as a bound that is too small would look
    with pytest.raises(cax.BoundError, match="the bound is wrong"):
        search.step()


def test_a_failure_inside_reaches_the_user_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = cax.Problem(dense([2, 6]), cax.Output(0), [cax.Box(-1, 1)])
    calls, bound = itertools.count(), LinearBounds.bound

    def fails(self: LinearBounds, *args: Any, **options: Any) -> Any:
        if next(calls) == 3:
            raise MemoryError("no room for the rows")
        return bound(self, *args, **options)

    monkeypatch.setattr(LinearBounds, "bound", fails)
    with pytest.raises(MemoryError, match="no room"):
        cax.certify(problem, rtol=0.0)


@given(seed=st.integers(0, 2**16), width=st.sampled_from([0.01, 0.5, 3.0]))
@settings(max_examples=6, deadline=None)
def test_no_linear_bound_is_above_that_of_intervals(seed: int, width: float) -> None:
    model = dense([3, 8, 8], seed=seed)
    center = np.random.default_rng(seed).normal(size=3)
    low, high = center - width, center + width
    problem = cax.Problem(model, cax.Output(0), cax.Box(low, high))
    certificate = cax.certify(problem, method="linear-bounds")
    *hidden, last = model.layers
    for layer in hidden:
        low, high = (np.maximum(z, 0.0) for z in through(layer, low, high))
    most = float(through(last, low, high)[1][0])
    assert certificate.dual_bound <= most + 1e-9 * (1.0 + abs(most))


def through(layer: Any, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of an affine layer's values over a box, by interval arithmetic."""
    weights, shift = (np.asarray(array, dtype=np.float64) for array in layer.get_weights())
    middle, half = 0.5 * (low + high) @ weights + shift, 0.5 * (high - low) @ np.abs(weights)
    return middle - half, middle + half


def affine(weights: list[np.ndarray]) -> Any:
    """Return affine layers, one after the other, with weights (in, out) and no shift."""
    layers = [L.Dense(w.shape[1], use_bias=False, dtype=D) for w in weights]
    model = keras.Sequential([keras.Input((len(weights[0]),), dtype=D), *layers])
    model.set_weights(weights)
    return model


def cancelling() -> list[np.ndarray]:
    """Return products with weights of 1e6 whose neighbours differ by a millionth and cancel."""
    rng = np.random.default_rng(0)
    first = np.repeat(rng.uniform(1e6, 2e6, (3, 8)), 2, axis=1)
    first[:, 1::2] *= 1.0 + rng.uniform(-1e-6, 1e-6, (3, 8))
    last = np.repeat(rng.uniform(1e6, 2e6, (8, 1)), 2, axis=0)
    last[1::2] *= -1.0
    return [first, last]


def losing() -> list[np.ndarray]:
    """Return 1 + a + a + ..., where a is below half a unit in the last place: sums lose each."""
    last = np.full((2048, 1), 0.45 * EPSILON)
    last[0] = 1.0
    return [np.ones((1, 2048)), last]


@pytest.mark.parametrize("weights", [cancelling(), losing()], ids=["cancelling", "losing"])
@pytest.mark.parametrize("most", [linear_bounds.MATRIX, 0], ids=["matrices", "compiled"])
def test_bounds_hold_in_exact_arithmetic(
    monkeypatch: pytest.MonkeyPatch, weights: list[np.ndarray], most: int
) -> None:
    """Boxes of one point: all that is between the bounds and the value is rounding."""
    monkeypatch.setattr(linear_bounds, "MATRIX", most)
    problem = cax.Problem(affine(weights), cax.Output(0), [cax.Box(0.5, 2)])
    structure = problem.user_oracle.structure()
    part = structure.outputs["functions"]
    bounds = LinearBounds(structure, part, Allowed.of(problem))
    assert not bounds.doubts
    # Higham (2002), section 3.1: of a sum of n products.
    n = sum(len(w) for w in weights)
    assert bounds._gamma(-1) >= n * EPSILON / 2.0
    x = np.random.default_rng(1).uniform(0.5, 2, (40, len(weights[0])))
    x[0] = 1.0
    found = bounds.bound(x, x, np.array([[1.0], [-1.0]])).upper
    product = [[Fraction(entry) for entry in row] for row in weights[1].tolist()]
    exact = [
        sum(
            Fraction(w) * Fraction(z) * product[unit][0]
            for z, row in zip(point, weights[0].tolist(), strict=True)
            for unit, w in enumerate(row)
        )
        for point in x[: 40 if len(product) < 40 else 2].tolist()
    ]
    for value, (upper, below) in zip(exact, found.tolist(), strict=False):
        assert -Fraction(below) <= value <= Fraction(upper)

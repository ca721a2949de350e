"""Random networks of accepted layers: parts put together are the model, values and slopes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from sample_networks import networks

import constrained_actmax as cax
from constrained_actmax.structure.nonlinearities import CURVES, Curve, LogSumExp, Pieces, Windows
from constrained_actmax.structure.rectified import RectifiedWindows

D = "float64"
DRAWN = (Phase.explicit, Phase.generate)  # a network takes seconds, so failures are not shrunk


def points(oracle: Any, seed: int = 0) -> np.ndarray:
    """Return random points, and two on either side of a kink, very near it."""
    structure = oracle.structure()
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (4, oracle.size))
    for k, step_ in enumerate(structure.nonlinearities):
        if not step_.piecewise_affine:
            continue
        signature = structure.signature(x[:1])
        E, e = step_.sides(signature[k][0])
        slopes, offsets = structure.affine(signature, structure.parts[k], E[:1].toarray())
        g, t = slopes[0, 0], offsets[0, 0] + e[0]
        if (g @ g) < 1e-6:
            continue
        onto = x[0] - (g @ x[0] + t) / (g @ g) * g
        return np.vstack([x, onto + 1e-7 * g, onto - 1e-7 * g])
    return x


def compare(oracle: Any, x: np.ndarray) -> None:
    """Values, and slopes under the signature, against the model's own in float64."""
    structure = oracle.structure()
    structure.check(x)
    (name,) = structure.outputs
    part = structure.outputs[name]
    values = structure.values(x)[name]
    deployed = oracle.source.run(x)[name].reshape(values.shape)
    size = 1 + np.abs(deployed).max()
    np.testing.assert_allclose(values, deployed, rtol=0, atol=1e-12 * size)
    signature = structure.signature(x)
    slopes, offsets = structure.affine(signature, part)
    slopes = np.broadcast_to(slopes, (len(x), *slopes.shape[1:]))
    pieces = np.einsum("bmn,bn->bm", slopes, x) + offsets
    scale = size * (1 + np.abs(slopes).sum(axis=-1).max())
    np.testing.assert_allclose(pieces, deployed, rtol=0, atol=1e-12 * scale)
    for k in range(part.size):
        gradient = oracle.with_objectives(cax.Output(k)).evaluate(x)[1][:, 0]
        np.testing.assert_allclose(
            slopes[:, k], gradient, rtol=0, atol=1e-11 * (1 + np.abs(gradient).max())
        )


@settings(max_examples=10, phases=DRAWN)
@given(networks())
def test_parts_put_together_are_the_model(model: Any) -> None:
    oracle = cax.Oracle(model)
    compare(oracle, points(oracle))


@settings(max_examples=8, phases=DRAWN)
@given(networks(piecewise=True))
def test_a_signature_s_piece_is_the_model_inside_its_region_and_not_beyond(model: Any) -> None:
    oracle = cax.Oracle(model)
    structure = oracle.structure()
    assert structure.piecewise_affine
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (1, oracle.size))
    signature = structure.signature(x)
    (part,) = structure.outputs.values()
    slopes, offsets = structure.affine(signature, part)
    rows, constants = [np.zeros((0, oracle.size))], [np.zeros(0)]
    for k, step_ in enumerate(structure.nonlinearities):
        E, e = step_.sides(signature[k][0])
        g, t = structure.affine(signature, structure.parts[k], E.toarray())
        rows.append(g[0])
        constants.append(t[0] + e)
    A, b = np.concatenate(rows), np.concatenate(constants)
    bends = np.abs(A).max(axis=1) > 1e-12  # dead units and ties of zeros have no normal
    A, b = A[bends], b[bends]
    assert (A @ x[0] + b >= -1e-9 * (1 + np.abs(b))).all()
    for length in (1e-3, 1e-2, 0.1, 1.0):
        d = rng.standard_normal((20, oracle.size)) * length
        y = x + d
        margin = (y @ A.T + b).min(axis=1, initial=np.inf)
        inside = y[margin >= 1e-9]
        again = structure.signature(inside)
        for before, after in zip(signature, again, strict=True):
            assert (after == before).all()
        expected = next(iter(oracle.source.run(inside).values())).reshape(-1, part.size)
        affine = inside @ slopes[0].T + offsets[0]
        np.testing.assert_allclose(
            affine, expected, rtol=0, atol=1e-11 * (1 + np.abs(affine).max(initial=0.0))
        )
        outside = y[margin <= -1e-9]
        for point in outside[:5]:
            other = structure.signature(point[np.newaxis])
            assert any((a != b).any() for a, b in zip(signature, other, strict=True))


@settings(max_examples=8, phases=DRAWN)
@given(networks(piecewise=True))
def test_the_absolute_twin_bounds_every_map(model: Any) -> None:
    structure = cax.Oracle(model).structure()
    for part in (*structure.parts, *structure.outputs.values()):
        twin = part.absolute
        assert twin is not None
        rows = np.eye(part.size)
        plain, absolute = part.pull(rows)[0], twin.pull(rows)[0]
        for p in part.predecessors:
            assert (np.abs(plain[p]) <= absolute[p] * (1 + 1e-13) + 1e-300).all()
        assert (np.abs(part.intercept) <= twin.intercept * (1 + 1e-13)).all()
        assert (twin.intercept >= 0).all()
        # Rounding as the twin bounds it: a product in another order, against the plain one.
        rng = np.random.default_rng(0)
        values = {p: rng.standard_normal((2, plain[p].shape[1])) for p in part.predecessors}
        direct = sum(values[p] @ plain[p].T for p in part.predecessors) + part.intercept
        error = twin.apply({p: np.abs(value) for p, value in values.items()})
        unit = part.roundings * 2.0**-53
        assert (np.abs(part.apply(values) - direct) <= 4 * unit * error + 1e-300).all()


def rows_of(kind: str) -> tuple[Any, ...]:
    if kind == "pieces":
        kinks = np.array([[0.0, -1.0, 0.3], [6.0, 1.0, 0.4]])
        slopes = np.array([[0.0] * 3, [1.0] * 3, [0.0] * 3])
        offsets = np.stack([kinks[0], np.zeros(3), kinks[1]])
        return (Pieces("p", "clip", 3, 3, kinks, slopes, offsets),)
    members = np.array([[0, 1, 2], [2, 3, -1]])
    if kind == "rectified":
        return (RectifiedWindows("w", "max", 4, 2, members),)
    return Windows("w", "max", 4, 2, members), Windows("w", "min", 4, 2, members, -1)


@pytest.mark.parametrize("kind", ["pieces", "windows", "rectified"])
def test_crossing_a_boundary_is_the_other_piece(kind: str) -> None:
    rng = np.random.default_rng(0)
    for step_ in rows_of(kind):
        for _ in range(20):
            z = rng.uniform(-2, 3, (1, step_.size))
            signature = step_.signature(z)[0]
            E, e = step_.sides(signature)
            slack = E @ z[0] + e
            assert (slack >= 0).all()
            j = int(slack.argmin())
            g = E[j].toarray()[0]
            onto = z[0] - slack[j] / (g @ g) * g
            beyond = step_.signature((onto - 1e-9 * g)[np.newaxis])[0]
            np.testing.assert_array_equal(step_.crossed(signature, j), beyond)
            rows = np.eye(step_.units)[np.newaxis]
            for side in (signature, beyond):  # both pieces agree where they meet
                back, constants = step_.pull(rows, side[np.newaxis])
                value = back[0] @ onto + constants[0]
                np.testing.assert_allclose(value, step_.values(onto[np.newaxis])[0], atol=1e-8)


def test_behind_a_boundary_the_result_bends_as_far_as_it_says() -> None:
    rng = np.random.default_rng(1)
    (clip,) = rows_of("pieces")
    for _ in range(20):
        z = rng.uniform(-2, 8, (1, clip.size))
        signature = clip.signature(z)[0]
        E, e = clip.sides(signature)
        units, bends, _ = clip.bends(signature)
        for j, room in enumerate(clip.rooms(signature)):
            g = E[j].toarray()[0]
            onto = z[0] - (E[[j]] @ z[0] + e[j])[0] * g
            for depth, same in ((min(room, 5.0) - 1e-6, True), (room + 1.0, False)):
                if np.isfinite(depth):
                    there = (onto - depth * g)[np.newaxis]
                    bent = clip.continued(there, signature)[0, units[j]] + bends[j] * depth
                    assert np.isclose(bent, clip.values(there)[0, units[j]]) is np.bool_(same)


def pooled(order: str) -> Any:
    layers = keras.layers
    inputs = keras.Input((6, 6, 1))
    z = layers.Conv2D(2, 3, name="conv")(inputs)
    if order == "pool first":
        h = layers.ReLU()(layers.MaxPooling2D(2)(z))
    else:
        h = layers.ReLU()(z)
    if order == "relu first":
        h = layers.MaxPooling2D(2)(h)
    elif order == "used elsewhere":
        h = layers.Concatenate()([layers.MaxPooling2D(2)(h), layers.AveragePooling2D(2)(h)])
    return keras.Model(inputs, layers.Dense(1)(layers.Flatten()(h)))


@pytest.mark.parametrize("order", ["relu first", "pool first", "used elsewhere"])
def test_a_relu_and_the_max_pooling_next_to_it_are_one_function(order: str) -> None:
    structure = cax.Oracle(pooled(order), cax.Output(0)).structure()
    joined = structure.joined
    x = np.random.default_rng(0).standard_normal((50, 36))
    np.testing.assert_array_equal(joined.values(x)["functions"], structure.values(x)["functions"])
    count = {True: 0, False: 0}
    for own in (structure, joined):
        signatures = own.signature(x[:1])
        pairs = zip(own.nonlinearities, signatures, strict=True)
        count[own is joined] = sum(one.sides(side[0])[0].shape[0] for one, side in pairs)
    # 32 results of the convolution, windows of four: three losers each, and the ReLU's own.
    first = {"relu first": 32 + 24, "pool first": 24 + 8, "used elsewhere": 32 + 24}
    assert count[False] == first[order]
    assert count[True] == (32 if order != "used elsewhere" else 56)
    z = joined.preactivations(x)
    assert list(joined.first_layers) == ([0, 1] if order == "relu first" else [0])
    for k, (W, b) in joined.first_layers.items():
        np.testing.assert_allclose(x @ W.T + b, z[k], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", sorted(CURVES))
def test_slopes_of_curves_are_derivatives(kind: str) -> None:
    z = np.linspace(0.1, 4, 40)[np.newaxis]
    if kind not in ("log", "sqrt"):
        z = np.concatenate([z, -z / 4.5], axis=1)  # log1p from -1 on
    curve = Curve("c", kind, z.size, z.size, scale=1.7, inner=0.8, alpha=0.6)
    h = 1e-5
    expected = (curve.values(z + h) - curve.values(z - h)) / (2 * h)
    np.testing.assert_allclose(curve.slopes(z), expected, rtol=1e-8, atol=1e-9)


def test_a_class_that_log_odds_leave_out_leaves_the_tangent_finite() -> None:
    """Log-odds set the class itself to -inf; its weight in the softmax is 0."""
    log_sum = LogSumExp("odds", "logsumexp", 3, 1, np.array([[0, 1, 2]]))
    z, moved = np.array([[0.3, -np.inf, -0.2]]), np.array([[0.5, -np.inf, -0.3]])
    value = np.log(np.exp(0.3) + np.exp(-0.2))
    weights = np.exp([0.3, -0.2]) / np.exp(value)
    slopes, constants = log_sum.pull(np.ones((1, 1, 1)), z)
    np.testing.assert_allclose(slopes[0, 0], [weights[0], 0.0, weights[1]], rtol=1e-14)
    assert constants[0, 0] + weights @ [0.3, -0.2] == pytest.approx(value, rel=1e-14)
    tangent = log_sum.continued(moved, z[0])
    assert tangent[0, 0] == pytest.approx(value + weights @ [0.2, -0.1], rel=1e-14)


def test_a_search_by_regions_keeps_a_bound_on_a_probability() -> None:
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((6,), dtype=D),
            keras.layers.Dense(8, "relu", dtype=D),
            keras.layers.Dense(5, "tanh", dtype=D),
            keras.layers.Dense(3, "softmax", dtype=D),
        ]
    )
    likely = cax.Probability(0) >= 0.4
    result = cax.maximize(
        cax.Oracle(model, xla=False), cax.Logit(1), [cax.Box(-1, 1), likely],
        method="active-signature", starts=3, seed=2, budget=cax.Budget(evaluations=150),
    )  # fmt: skip
    assert result.feasible
    assert result.constraints[likely].value >= 0.4 - 1e-5

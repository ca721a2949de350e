"""Every line lies on its side of its function on the whole interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constrained_actmax.certificates import curves, relaxations, softmax
from constrained_actmax.structure.nonlinearities import (
    CURVES,
    Curve,
    LogSumExp,
    Pieces,
    Softmax,
    Windows,
)

FINE = 2001
KINDS = [kind for kind in sorted(CURVES) if curves.shape_of(kind, 1.0) is not None]
PIECES = {
    "relu": ([0.0], [0.0, 1.0], [0.0, 0.0]),
    "leaky": ([0.0], [0.2, 1.0], [0.0, 0.0]),
    "concave": ([0.5], [1.0, -0.3], [0.0, 0.65]),
    "abs": ([0.0], [-1.0, 1.0], [0.0, 0.0]),
    "clip": ([0.0, 6.0], [0.0, 1.0, 0.0], [0.0, 0.0, 6.0]),
}
ends = st.floats(-30.0, 30.0)
widths = st.one_of(st.just(0.0), st.floats(1e-9, 1e-3), st.floats(1e-3, 40.0))


def piecewise(name: str) -> Pieces:
    kinks, slopes, offsets = (np.array(one)[:, np.newaxis] for one in PIECES[name])
    return Pieces(name, name, 1, 1, kinks, slopes, offsets)


def holds(step: Pieces | Curve, low: float, width: float) -> None:
    lower, upper = np.array([[low]]), np.array([[low + width]])
    z = np.linspace(lower[0, 0], upper[0, 0], FINE)
    values = step.values(z[:, np.newaxis])[:, 0]
    lines = relaxations.lines(step, lower, upper)
    above = lines.upper_slope[0, 0] * z + lines.upper_offset[0, 0]
    below = lines.lower_slope[0, 0] * z + lines.lower_offset[0, 0]
    # The line and the function are themselves rounded where they are compared.
    size = 1.0 + np.abs(values) + np.abs(z) * (1.0 + np.abs(lines.upper_slope[0, 0]))
    rounding = 8 * np.finfo(float).eps * size
    assert (above >= values - rounding).all()
    assert (below <= values + rounding).all()
    least, most = relaxations.interval(step, lower, upper)
    assert least[0, 0] <= values.min()
    assert values.max() <= most[0, 0]
    least, most = relaxations.slope_interval(step, lower, upper)
    slopes = np.diff(values) / np.diff(z) if width > 1e-3 else np.zeros(0)
    rounding = 1e-9 + (rounding.max() / np.diff(z).min() if width > 1e-3 else 0.0)
    assert (slopes >= least[0, 0] - rounding).all()
    assert (slopes <= most[0, 0] + rounding).all()


@pytest.mark.parametrize("kind", KINDS)
@given(
    low=ends,
    width=widths,
    scale=st.sampled_from([1.0, -2.5, 1e-3]),
    inner=st.sampled_from([1.0, 1.7]),
)
@settings(max_examples=60, deadline=None)
def test_lines_of_curves_hold(
    kind: str, low: float, width: float, scale: float, inner: float
) -> None:
    alpha = 0.044715 if kind == "gelu_tanh" else 0.7
    if kind in ("exp", "expm1", "square"):
        low, width = low / 10.0, width / 10.0
    if kind in curves.DOMAINS:
        low = (curves.DOMAINS[kind][0] + 10.0 ** -(abs(low) / 3.0)) / inner
    holds(Curve("layer", kind, 1, 1, scale, inner, alpha), low, width)


@pytest.mark.parametrize("kind", sorted(curves.DOMAINS))
@given(over=st.one_of(st.just(0.0), st.floats(1e-12, 30.0)), below=st.floats(0.0, 10.0))
@settings(max_examples=60, deadline=None)
def test_lines_hold_where_an_interval_reaches_out_of_the_domain(
    kind: str, over: float, below: float
) -> None:
    start, first, _, _ = curves.DOMAINS[kind]
    step = Curve("layer", kind, 1, 1, 1.0, 1.0, 1.0)
    found = relaxations.lines(step, np.array([[start - below]]), np.array([[start + over]]))
    offsets = np.concatenate(
        [over * np.linspace(0.0, 1.0, FINE), np.geomspace(1e-300, max(over, 1e-300), FINE)]
    )
    z = np.maximum(start + offsets, first)
    z = np.append(z[z <= start + over], first)
    values = step.values(z[:, np.newaxis])[:, 0]
    above = found.upper_slope[0, 0] * z + found.upper_offset[0, 0]
    below_ = found.lower_slope[0, 0] * z + found.lower_offset[0, 0]
    rounding = 8 * np.finfo(float).eps * (1.0 + np.abs(values) + np.abs(above))
    assert (above >= values - rounding).all()
    assert (below_ <= values + rounding).all()


@pytest.mark.parametrize("name", PIECES)
@given(low=ends, width=widths)
@settings(max_examples=60, deadline=None)
def test_lines_of_pieces_hold(name: str, low: float, width: float) -> None:
    holds(piecewise(name), low, width)


@pytest.mark.parametrize("kind", KINDS)
def test_lines_are_nearly_as_low_as_the_concave_envelope(kind: str) -> None:
    """At the middle of each interval, by the convex hull of a fine grid."""
    step = Curve("layer", kind, 1, 1, 1.0, 1.0, 0.044715 if kind == "gelu_tanh" else 1.0)
    for low, high in [(-6.0, 4.0), (-1.0, 3.0), (-5.0, -0.5), (0.2, 2.0), (-0.4, 0.5)]:
        if kind in curves.DOMAINS:
            high += 0.1 - low
            low = 0.1
        z = np.linspace(low, high, 401)
        values = step.values(z[:, np.newaxis])[:, 0]
        at = np.flatnonzero(z <= 0.5 * (low + high))[-1]
        left, right = np.arange(at + 1), np.arange(at, len(z))
        with np.errstate(invalid="ignore", divide="ignore"):
            share = (z[at] - z[left][:, None]) / (z[right][None] - z[left][:, None])
            joined = values[left][:, None] * (1 - share) + values[right][None] * share
        envelope = np.nanmax(joined)
        found = relaxations.lines(step, np.array([[low]]), np.array([[high]]))
        upper = found.upper_slope[0, 0] * z[at] + found.upper_offset[0, 0]
        spread = values.max() - values.min()
        assert envelope - 1e-12 <= upper <= envelope + 0.02 * spread


@given(
    low=st.lists(st.floats(-5, 5), min_size=4, max_size=4),
    width=st.lists(st.floats(0, 5), min_size=4, max_size=4),
    sign=st.sampled_from([1, -1]),
)
@settings(max_examples=100, deadline=None)
def test_bounds_of_the_largest_entry_hold(low: list[float], width: list[float], sign: int) -> None:
    members = np.array([[0, 1, 2], [3, 1, -1]])
    step = Windows("pool", "max", 4, 2, members, sign)
    lower, upper = np.array([low]), np.array([low]) + np.array([width])
    found = relaxations.window_lines(step, lower, upper)
    z = lower + np.random.default_rng(0).uniform(size=(500, 4)) * (upper - lower)
    z = np.vstack([z, lower, upper])
    h = sign * step.values(z)
    entries = np.where(members >= 0, sign * z[:, members], 0.0)
    above = (found.upper_slope * entries).sum(axis=-1) + found.upper_offset
    below = (found.lower_slope * entries).sum(axis=-1)
    assert (above >= h - 1e-14).all()
    assert (below <= h).all()


@pytest.mark.parametrize("kind", ["logsumexp", "softmax", "log_softmax"])
@given(
    low=st.lists(st.floats(-300, 300) | st.floats(-3, 3), min_size=6, max_size=6),
    width=st.lists(widths, min_size=6, max_size=6),
    classes=st.sampled_from([2, 3, 6]),
)
@settings(max_examples=150, deadline=None)
def test_lines_of_sums_of_exponentials_hold(
    kind: str, low: list[float], width: list[float], classes: int
) -> None:
    members = np.arange(6).reshape(-1, classes)
    step: LogSumExp | Softmax = (
        LogSumExp("head", kind, 6, len(members), members)
        if kind == "logsumexp"
        else Softmax("head", kind, 6, 6, classes)
    )
    lower, upper = np.array([low]), np.array([low]) + np.array([width])
    found = softmax.group_lines(step, lower, upper)
    rng = np.random.default_rng(0)
    z = lower + np.vstack([rng.uniform(size=(300, 6)), rng.integers(0, 2, (64, 6))]) * width
    z = np.clip(z, lower, upper)
    h = step.values(z)
    sides = []
    for slope, offset in (
        (found.upper_slope, found.upper_offset),
        (found.lower_slope, found.lower_offset),
    ):
        lines = np.einsum("gow,rgw->rgo", slope[0], z[:, members])
        sides.append(lines.reshape(len(z), -1) + offset)
    rounding = 32 * np.finfo(float).eps * (1.0 + np.abs(z).max())
    assert (sides[0] >= h - rounding).all()
    assert (sides[1] <= h + rounding).all()
    least, most = relaxations.interval(step, lower, upper)
    assert (h >= least).all()
    assert (h <= most).all()
    first, last = softmax.jacobian_interval(step, lower, upper)
    each = step.transposed(np.broadcast_to(np.eye(step.units), (len(z), step.units, step.units)), z)
    for group, some in enumerate(members):
        results = slice(group * first.shape[2], (group + 1) * first.shape[2])
        jacobian = each[:, results][..., some]
        assert (jacobian >= first[0, group] - 1e-14).all()
        assert (jacobian <= last[0, group] + 1e-14).all()


@pytest.mark.parametrize("kind", ["logsumexp", "softmax", "log_softmax"])
def test_lines_of_sums_of_exponentials_close_with_the_square_of_the_width(kind: str) -> None:
    members = np.arange(4)[np.newaxis]
    step: LogSumExp | Softmax = (
        LogSumExp("head", kind, 4, 1, members)
        if kind == "logsumexp"
        else Softmax("head", kind, 4, 4, 4)
    )
    middle, gaps = np.array([[0.3, -1.0, 0.8, 0.1]]), []
    for radius in (0.2, 0.1):
        found = softmax.group_lines(step, middle - radius, middle + radius)
        gap = (found.upper_slope - found.lower_slope) @ middle[0]
        gaps.append((gap.ravel() + found.upper_offset[0] - found.lower_offset[0]).max())
    assert 0.0 < gaps[1] < 0.3 * gaps[0]

"""Comparisons make constraints; what is imposed has the same feasible points."""

from __future__ import annotations

import numpy as np
import pytest
from sample_models import dense, points, subclassed

from constrained_actmax import (
    Between,
    Channel,
    Logit,
    LogProbability,
    Margin,
    Oracle,
    Output,
    Probability,
)
from constrained_actmax.errors import SpecificationError
from constrained_actmax.objectives import LogOdds, RivalMargins


@pytest.mark.parametrize(
    ("constraint", "lower", "upper", "text"),
    [
        (Output("stress") <= 250, -np.inf, 250.0, "Output('stress') <= 250"),
        (np.float64(10) <= Channel("conv", 3), 10.0, np.inf, "Channel('conv', 3) >= 10"),
        (np.int64(3) >= Logit(1), -np.inf, 3.0, "Logit(1) <= 3"),
        (Logit(1) == 2, 2.0, 2.0, "Logit(1) == 2"),
        (Logit(1) == 2.0, 2.0, 2.0, "Logit(1) == 2"),
        (np.float32(2) == Logit(1), 2.0, 2.0, "Logit(1) == 2"),
        (Between(0, Logit(1), 1), 0.0, 1.0, "0 <= Logit(1) <= 1"),
        (Logit(1) <= Logit(2), -np.inf, 0.0, "Logit(1) - Logit(2) <= 0"),
        (2 * Logit(1) + 1 >= 0, 0.0, np.inf, "2 * Logit(1) + 1 >= 0"),
    ],
)
def test_comparisons(constraint: Between, lower: float, upper: float, text: str) -> None:
    assert isinstance(constraint, Between)
    assert (constraint.lower, constraint.upper) == (lower, upper)
    assert str(constraint) == text


def test_arrays_stand_on_either_side() -> None:
    limits = np.array([1.0, 2.0, 3.0])
    for one in (limits <= Logit(1), Logit(1) >= limits, Logit(1) >= [1, 2, 3]):
        assert isinstance(one, Between)
        np.testing.assert_array_equal(one.lower, limits)


def test_no_truth_value() -> None:
    with pytest.raises(SpecificationError, match=r"write Between\(0, Logit\(1\), upper\)"):
        0 <= Logit(1) <= 1  # noqa: B015
    with pytest.raises(SpecificationError, match="no truth value"):
        assert Logit(1) <= 1
    with pytest.raises(SpecificationError, match="compared again"):
        (Logit(1) <= 1) <= 2  # noqa: B015
    with pytest.raises(SpecificationError, match="strict limit"):
        Logit(1) < 1  # noqa: B015
    assert Logit(1) != Logit(1)
    one = Logit(1)
    assert one in [one]
    assert (one == None) is False  # noqa: E711
    assert (one == "x") is False


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Between(2, Logit(1), 1), "lower limit 2.0 is above the upper limit 1.0"),
        (lambda: Logit(1) <= np.nan, "NaN"),
        (lambda: Logit(1) <= -np.inf, "never met"),
        (lambda: Between(0, 3, 1), "an objective such as"),
        (lambda: Between("a", Logit(1), 1), "must be a number"),
        (lambda: Between(np.zeros((2, 2)), Logit(1), None), "shape"),
        (lambda: (Probability(1) >= 1).imposed(), "strictly between 0 and 1"),
        (lambda: (Probability(1) <= 0).imposed(), "strictly between 0 and 1"),
    ],
)
def test_wrong_limits(make: object, text: str) -> None:
    with pytest.raises(SpecificationError, match=text):
        make()  # type: ignore[operator]


def test_arithmetic_that_is_refused() -> None:
    with pytest.raises(SpecificationError, match="Custom"):
        Logit(1) * Logit(2)
    with pytest.raises(SpecificationError, match="single numbers"):
        Logit(1) * np.ones(3)
    with pytest.raises(SpecificationError, match="finite"):
        Logit(1) + np.inf
    with pytest.raises(SpecificationError, match="not 0"):
        Logit(1) / 0
    with pytest.raises(TypeError):
        Logit(1) + "a"
    assert str(sum([Logit(1), Logit(2), -Logit(3)])) == "Logit(1) + Logit(2) - Logit(3)"
    assert str(np.float64(2) * Logit(1)) == "2 * Logit(1)"
    assert str(-(Logit(1) - 2 * Logit(2)) / 2 + 1) == "-0.5 * Logit(1) + Logit(2) + 1"


@pytest.mark.parametrize("p", [0.05, 0.3, 0.7])
@pytest.mark.parametrize("make", [dense, subclassed])
def test_probability_is_imposed_on_log_odds(p: float, make: object) -> None:
    model = make()  # type: ignore[operator]
    oracle = Oracle(model, Probability(1), xla=False)
    x = points("", oracle.size, 40)
    probability = oracle.values(x)[:, 0]
    for constraint, expected in (
        (Probability(1) <= p, probability <= p),
        (Probability(1) >= p, probability >= p),
        (3 * Probability(1) - 1 <= 3 * p - 1, probability <= p),
        (-Probability(1) <= -p, probability >= p),
        (Between(p / 2, Probability(1), p), (probability >= p / 2) & (probability <= p)),
    ):
        objective, lower, upper = constraint.imposed()
        assert isinstance(objective, LogOdds)
        odds = oracle.with_objectives(objective).values(x)[:, 0]
        np.testing.assert_array_equal((odds >= lower) & (odds <= upper), expected)


def test_margin_is_imposed_on_every_rival() -> None:
    oracle = Oracle(dense(), Margin(2), xla=False)
    x = points("", 6, 40)
    objective, lower, upper = (Margin(2) >= 0.5).imposed()
    assert isinstance(objective, RivalMargins)
    rows = oracle.with_objectives([Logit(0), objective]).values(x)[:, 1:]
    assert rows.shape == (40, 3)
    np.testing.assert_array_equal(
        (rows >= lower).all(axis=1) & (rows <= upper).all(axis=1), oracle.values(x)[:, 0] >= 0.5
    )
    for other in (Margin(2) <= 1, Margin(2, over=1) >= 1, LogProbability(1) >= -1):
        assert other.imposed()[0] is other.objective

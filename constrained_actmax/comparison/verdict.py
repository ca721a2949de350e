"""Whether one method is better than the others, or only looks so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.stats

from constrained_actmax.layout import Vector

#: Confidence of all intervals of a verdict together.
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """The leader minus another method, over what both were tried on.

    Parameters
    ----------
    method : str
        The other method.
    mean, low, high : float
        Mean paired difference in favour of the leader, and its interval; infinite with one pair.
    pairs : int
        How many.
    """

    method: str
    mean: float
    low: float
    high: float
    pairs: int

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out zero, in favour of the leader."""
        return self.low > 0

    @property
    def equal(self) -> bool:
        """Whether no pair differs."""
        return self.low == self.high == 0


@dataclass(frozen=True)
class Verdict:
    """Who is best, if the data say so.

    Parameters
    ----------
    winner : str or None
        The leader if it is ahead of every other method, else None.
    leader : str or None
        The method with the largest mean; None where nothing feasible was found.
    differences : tuple of Difference
        The leader against each other method.
    unit : str
        What the differences are in, and over what pairs.
    """

    winner: str | None
    leader: str | None
    differences: tuple[Difference, ...]
    unit: str

    def __str__(self) -> str:
        if self.leader is None:
            return "No winner: no method found a feasible point."
        if self.winner is not None:
            if not self.differences:
                return f"{self.winner}: the only method that ran."
            return f"Winner: {self.winner}, ahead of every other method ({self.unit})."
        near = [difference for difference in self.differences if not difference.decided]
        if all(difference.pairs < 2 for difference in near):
            return f"No winner: {self.leader} leads, but one pair has no interval; use more starts."
        equal = [difference.method for difference in near if difference.equal]
        open_ = [difference.method for difference in near if not difference.equal]
        words = []
        if equal:
            words.append(f"{', '.join(equal)} {'is' if len(equal) == 1 else 'are'} equal to it")
        if open_:
            words.append(f"its lead over {', '.join(open_)} is not significant")
        kind = "No winner" if open_ else "A tie"
        return f"{kind}: {self.leader} leads, but {', and '.join(words)} ({self.unit})."


def judge(scores: dict[str, Vector], unit: str, confidence: float = CONFIDENCE) -> Verdict:
    r"""Return the verdict on paired scores, larger is better.

    The leader has the largest mean. Its mean difference to each of the k others has the interval
    of the paired t-test, :math:`\bar d \pm t_{1 - \alpha / (2k)}\, s / \sqrt m` with
    :math:`\alpha` = 1 - `confidence`, shared among the k (Bonferroni). It wins if all of them
    leave out zero.

    Parameters
    ----------
    scores : dict of numpy.ndarray, shape (m,)
        By method, in the same order of pairs.
    unit : str
        For the printed verdict.
    confidence : float, default 0.95
        Of all intervals together.
    """
    if not scores:
        return Verdict(None, None, (), unit)
    leader = max(scores, key=lambda name: float(np.mean(scores[name])))
    others = [name for name in scores if name != leader]
    level = 1.0 - (1.0 - confidence) / max(1, len(others))
    differences = tuple(
        Difference(name, *_interval(scores[leader] - scores[name], level)) for name in others
    )
    won = all(difference.decided for difference in differences)
    return Verdict(leader if won else None, leader, differences, unit)


def _interval(d: Vector, level: float) -> tuple[float, float, float, int]:
    mean, pairs = float(np.mean(d)), len(d)
    if pairs < 2:
        return mean, -np.inf, np.inf, pairs
    if np.ptp(d) == 0.0:  # the same difference every time: no spread, nothing to test
        return mean, mean, mean, pairs
    interval = scipy.stats.ttest_1samp(d, 0.0).confidence_interval(level)
    return mean, float(interval.low), float(interval.high), pairs

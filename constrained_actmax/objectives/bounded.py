"""Whether a number that depends on the input stays bounded as the input runs away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Bounded:
    """Whether a function is bounded over all inputs: True, False or None (unknown).

    False says that it is piecewise linear, or a norm: it grows without end unless its weights keep
    it from that, as in -relu(x), which is asked at far points before a problem is refused.

    Parameters
    ----------
    above, below : bool or None
        Bounded above, bounded below.
    """

    above: bool | None = None
    below: bool | None = None

    def times(self, factor: float) -> Bounded:
        """Return the answer for `factor` times the function."""
        if factor == 0.0:
            return BOTH
        return self if factor > 0 else Bounded(self.below, self.above)

    @staticmethod
    def of_sum(parts: Iterable[Bounded]) -> Bounded:
        """Return the answer for a sum: two unbounded parts may cancel, so that is unknown."""
        parts = list(parts)
        above = _of_sum([(part.above, part.below) for part in parts])
        below = _of_sum([(part.below, part.above) for part in parts])
        return Bounded(above, below)


def _of_sum(parts: list[tuple[bool | None, bool | None]]) -> bool | None:
    """Return the answer on one side, from each part's answers on that side and on the other."""
    if all(here is True for here, _ in parts):
        return True
    if any(
        here is False
        and all(other is True for index, (_, other) in enumerate(parts) if index != at)
        for at, (here, _) in enumerate(parts)
    ):
        return False
    return None


UNKNOWN = Bounded()
BOTH = Bounded(True, True)
NEITHER = Bounded(False, False)
ONLY_BELOW = Bounded(above=False, below=True)

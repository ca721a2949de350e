"""The walk from region to region along the way that the last program went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.base import positive
from constrained_actmax.baselines.linear_regions import RegionBaseline, RegionPrograms
from constrained_actmax.layout import Vector


@dataclass(frozen=True, kw_only=True)
class LPWalk(RegionBaseline):
    r"""The walk over linear regions of Tong, Cai and Serra [1]_.

    A linear program finds the best point :math:`\hat x` of the region that x lies in; the next
    region is that of :math:`\hat x + \varepsilon (\hat x - x)`, entries that would leave their
    bounds staying. It ends at the first region that is no better.

    The paper's walks begin at solutions of a relaxation; these begin at the starting points. It
    takes ReLU networks that can be read, and sees only the one neighbour that lies straight ahead.

    Parameters
    ----------
    beyond : float, default 0.01
        ε, the paper's.

    References
    ----------
    .. [1] Tong, Cai, Serra (2024), Optimization over trained neural networks: taking a relaxing
       walk, arXiv:2401.03451.
    """

    name: ClassVar[str] = "lp-walk"
    limits: ClassVar[str] = "networks of affine pieces that can be read; no constraints on outputs"

    beyond: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self.name, "beyond", self.beyond)

    @override
    def _candidates(self, programs: RegionPrograms, x0: Vector) -> Iterator[tuple[Vector, float]]:
        problem = programs.problem
        lower, upper = problem.set.bounds()
        x, least = x0, np.inf
        while (solution := programs.best(programs.kinks.region(x))) is not None:
            best, f = solution
            if not f < least:
                return
            yield best, f
            least = f
            ahead = best + self.beyond * (best - x)
            inside = (ahead >= lower) & (ahead <= upper)
            x = problem.set.project(np.where(inside, ahead, best))

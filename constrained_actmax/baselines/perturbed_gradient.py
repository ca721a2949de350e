"""Perturbed projected gradient ascent over the regions of a ReLU network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.base import positive
from constrained_actmax.baselines.linear_regions import RegionBaseline, RegionPrograms
from constrained_actmax.kinks import Region
from constrained_actmax.layout import Vector

SEED = 20267
#: A step that gains less than this share of what its gradient promises is no progress.
LEAST_GAIN = 1e-9


@dataclass(frozen=True, kw_only=True)
class PerturbedGradient(RegionBaseline):
    r"""Perturbed projected gradient ascent, PPGA and PPGALR of Tong, Zhu, Serra and Burer [1]_.

    .. math:: x \leftarrow x + t\, d, \qquad d = P_C(x + \gamma \nabla f(x)) - x

    with t = 1; with the linear region valve (PPGALR) d is cut a little behind the point where it
    leaves the linear region of x, whose neighbour's gradient leads on. Where a step gains nothing,
    the best point is perturbed, and the ascent goes on from there. It solves no linear programs.

    The paper's settings were not at hand. Assumed are: a constant :math:`\gamma \|\nabla f\|_2`;
    a perturbation that is uniform in a ball; a cut step that ends behind the region as in `LPWalk`.
    The defaults are the best of a few that were tried on random networks over [-1, 1]^n; there the
    valve, cut so, loses at equal time.

    Parameters
    ----------
    regions : int, default 100000
        Steps of one start at most; a smaller budget cuts it.
    rate : float, default 0.3
        :math:`\gamma \|\nabla f\|_2 / \sqrt n`, in input units.
    radius : float, default 0.2
        Of the ball, over :math:`\sqrt n`, in input units.
    valve : bool, default False
        Whether the step is cut.
    beyond : float, default 0.01
        How far behind the region it ends, as a share of its length.

    References
    ----------
    .. [1] Tong, Zhu, Serra, Burer (2025), Optimization over trained neural networks: going large
       with gradient-based algorithms, arXiv:2512.24295.
    """

    name: ClassVar[str] = "perturbed-gradient"
    limits: ClassVar[str] = "networks of affine pieces that can be read; no constraints on outputs"

    regions: int = 100_000
    rate: float = 0.3
    radius: float = 0.2
    valve: bool = False
    beyond: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rate", "radius", "beyond"):
            positive(self.name, name, getattr(self, name))

    @override
    def _candidates(self, programs: RegionPrograms, x0: Vector) -> Iterator[tuple[Vector, float]]:
        kinks, C = programs.kinks, programs.problem.set
        rng = np.random.default_rng(SEED)
        size = np.sqrt(x0.size)
        best, least = x0, np.inf
        x, before = x0, np.inf
        while True:
            region = kinks.region(x)
            slopes, offsets = region.slopes
            f = float(slopes[0] @ x + offsets[0])
            yield x, f
            if f < least:
                best, least = x, f
            if f < before:
                length = max(float(np.linalg.norm(slopes[0])), np.finfo(np.float64).tiny)
                d = C.project(x - self.rate * size / length * slopes[0]) - x
                t = self._step_size(region, x, d) if self.valve else 1.0
                before = f - LEAST_GAIN * length * float(np.linalg.norm(d))
                x = x + t * d
                continue
            way = rng.standard_normal(x.size)
            way *= self.radius * size * rng.uniform() ** (1 / x.size) / np.linalg.norm(way)
            x, before = C.project(best + way), np.inf

    def _step_size(self, region: Region, x: Vector, d: Vector) -> float:
        """Return the t of a step that ends a little behind the region."""
        here, there = region.distances(np.stack([x, x + d]))
        falling = there < np.minimum(here, 0.0)
        t = np.min(here[falling] / (here[falling] - there[falling]), initial=np.inf)
        return float(min(1.0, (1.0 + self.beyond) * max(t, 0.0)))

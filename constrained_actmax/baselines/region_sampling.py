"""Linear programs over the regions of random points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.linear_regions import RegionBaseline, RegionPrograms
from constrained_actmax.layout import Vector

SEED = 20266


@dataclass(frozen=True, kw_only=True)
class RegionSampling(RegionBaseline):
    """Linear programs over the regions of sampled points, after Perakis and Tsiourvas [1]_.

    Points are drawn from C, the starting point first; each region that is new gets one program,
    and the best point of all is the answer. This is the first of the paper's two algorithms; the
    second solves mixed-integer programs round such points.

    References
    ----------
    .. [1] Perakis, Tsiourvas (2022), Optimizing objective functions from trained ReLU neural
       networks via sampling, arXiv:2205.14189.
    """

    name: ClassVar[str] = "region-sampling"
    limits: ClassVar[str] = "networks of affine pieces that can be read; no constraints on outputs"

    @override
    def _candidates(self, programs: RegionPrograms, x0: Vector) -> Iterator[tuple[Vector, float]]:
        rng = np.random.default_rng(SEED)
        seen: set[bytes] = set()
        x = x0
        for _ in range(self.regions):
            region = programs.kinks.region(x)
            if region.key not in seen:
                seen.add(region.key)
                solution = programs.best(region)
                if solution is not None:
                    yield solution
            x = programs.problem.set.sample(rng, 1)[0]

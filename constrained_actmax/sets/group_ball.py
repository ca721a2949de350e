"""Budget on how many groups change, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.group_ball import GroupBallKernel
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.layout import Region
from constrained_actmax.sets.ball import Ball


@dataclass(frozen=True, eq=False, repr=False)
class GroupBall(Ball):
    r"""L1 ball of group norms, :math:`\{x : \sum_g \|x_g - c_g\|_2 \le r\}`.

    Parameters
    ----------
    radius : float
        r >= 0, in the units of the model's input.
    groups : array_like of int, optional
        Label of each entry's group, of the input's shape (broadcast); by default entries along
        the last axis, such as the channels of a pixel, belong together.
    center : array_like, default 0
        c, the input that changes are counted from.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the radius is negative or not finite, or labels do not fit.

    Notes
    -----
    Alone the norms of the groups are projected on the L1 ball and the groups rescaled [1]_. With a
    box the projection is ``clip(c + theta (y - c), l, u)``, each group's theta the root of
    ``|p - c| (1 - theta) / theta = t``, and t the root of the sum of norms. Both are exact up to
    rounding, O(n) a pass, some 5 passes alone and 40 with a box.

    References
    ----------
    .. [1] van den Berg, Schmidt, Friedlander, Murphy (2008), Group sparsity via linear-time
       projection, TR-2008-09, University of British Columbia.
    """

    radius: float
    groups: Any = None
    center: Any = 0.0

    @override
    def kernel(self, region: Region) -> Kernel:
        center = self._center(region)
        if self.groups is not None:
            labels = region.flatten(self.groups, "GroupBall: groups")
            _, groups = np.unique(labels, return_inverse=True)
        elif region.whole is None:
            raise SpecificationError('GroupBall: say which input with on="input name".')
        else:
            last = region.whole[-1] if region.whole else 1
            _, groups = np.unique(region.positions // last, return_inverse=True)
        return GroupBallKernel(center, self.radius, groups)

"""Convex sets of inputs as users write them, one a file; `kernels` projects on them."""

from constrained_actmax.sets.affine_subspace import AffineSubspace
from constrained_actmax.sets.band_limited import BandLimited
from constrained_actmax.sets.base import ConvexSet, HeuristicSet
from constrained_actmax.sets.box import Box
from constrained_actmax.sets.cardinality import Cardinality
from constrained_actmax.sets.conversion import as_set, box_from_bounds, from_scipy
from constrained_actmax.sets.convex_hull import ConvexHull
from constrained_actmax.sets.cvxpy_set import CvxpySet
from constrained_actmax.sets.ellipsoid import Ellipsoid
from constrained_actmax.sets.fixed import Fixed
from constrained_actmax.sets.group_ball import GroupBall
from constrained_actmax.sets.halfspace import Halfspace
from constrained_actmax.sets.integers import Integers
from constrained_actmax.sets.intersection import Intersection
from constrained_actmax.sets.l1_ball import L1Ball
from constrained_actmax.sets.l2_ball import L2Ball
from constrained_actmax.sets.levels import Levels
from constrained_actmax.sets.linear import Linear
from constrained_actmax.sets.linf_ball import LinfBall
from constrained_actmax.sets.monotone import Monotone
from constrained_actmax.sets.moving_range import MovingRange
from constrained_actmax.sets.nuclear_norm_ball import NuclearNormBall
from constrained_actmax.sets.one_hot import OneHot
from constrained_actmax.sets.restoring import from_dict
from constrained_actmax.sets.simplex import Simplex
from constrained_actmax.sets.symmetric import Symmetric
from constrained_actmax.sets.total_variation_ball import TotalVariationBall

__all__ = [
    "AffineSubspace",
    "BandLimited",
    "Box",
    "Cardinality",
    "ConvexHull",
    "ConvexSet",
    "CvxpySet",
    "Ellipsoid",
    "Fixed",
    "GroupBall",
    "Halfspace",
    "HeuristicSet",
    "Integers",
    "Intersection",
    "L1Ball",
    "L2Ball",
    "Levels",
    "Linear",
    "LinfBall",
    "Monotone",
    "MovingRange",
    "NuclearNormBall",
    "OneHot",
    "Simplex",
    "Symmetric",
    "TotalVariationBall",
    "as_set",
    "box_from_bounds",
    "from_dict",
    "from_scipy",
]

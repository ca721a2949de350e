"""Convex feasible sets: one a file, all exact where a closed form is known."""

from constrained_actmax.sets.base import ConvexSet, HeuristicSet
from constrained_actmax.sets.box import Box
from constrained_actmax.sets.conversion import as_set, box_from_bounds, from_scipy
from constrained_actmax.sets.cvxpy_set import CvxpySet
from constrained_actmax.sets.fixed import Fixed
from constrained_actmax.sets.intersection import Intersection
from constrained_actmax.sets.l1_ball import L1Ball
from constrained_actmax.sets.l2_ball import L2Ball
from constrained_actmax.sets.linear import Linear
from constrained_actmax.sets.linf_ball import LinfBall
from constrained_actmax.sets.part import Part
from constrained_actmax.sets.scipy_form import Lift, LinearRows, ScipyForm, SmoothRow

__all__ = [
    "Box",
    "ConvexSet",
    "CvxpySet",
    "Fixed",
    "HeuristicSet",
    "Intersection",
    "L1Ball",
    "L2Ball",
    "Lift",
    "Linear",
    "LinearRows",
    "LinfBall",
    "Part",
    "ScipyForm",
    "SmoothRow",
    "as_set",
    "box_from_bounds",
    "from_scipy",
]

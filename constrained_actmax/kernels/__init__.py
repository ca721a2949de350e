"""Flat sets of vectors: what solvers project on, exact where a closed form is known."""

from constrained_actmax.kernels.ball import BallKernel
from constrained_actmax.kernels.intersection import IntersectionKernel
from constrained_actmax.kernels.kernel import InBox, Kernel, PolyhedralKernel
from constrained_actmax.kernels.scipy_form import LinearRows, ScipyForm, SmoothRow, Substitution

__all__ = [
    "BallKernel",
    "InBox",
    "IntersectionKernel",
    "Kernel",
    "LinearRows",
    "PolyhedralKernel",
    "ScipyForm",
    "SmoothRow",
    "Substitution",
]

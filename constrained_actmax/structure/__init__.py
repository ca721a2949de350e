"""The frozen network, read once: affine parts between elementwise nonlinear operations."""

from constrained_actmax.structure.nonlinearities import (
    Curve,
    LogSumExp,
    Nonlinearity,
    Pieces,
    Softmax,
    Windows,
)
from constrained_actmax.structure.part import Part
from constrained_actmax.structure.structure import Signature, Structure

__all__ = [
    "Curve",
    "LogSumExp",
    "Nonlinearity",
    "Part",
    "Pieces",
    "Signature",
    "Softmax",
    "Structure",
    "Windows",
]

"""The frozen network, read once: affine parts between elementwise nonlinear operations."""

from constrained_actmax.structure.nonlinearities import Curve as Curve
from constrained_actmax.structure.nonlinearities import LogSumExp as LogSumExp
from constrained_actmax.structure.nonlinearities import Nonlinearity as Nonlinearity
from constrained_actmax.structure.nonlinearities import Pieces as Pieces
from constrained_actmax.structure.nonlinearities import Softmax as Softmax
from constrained_actmax.structure.nonlinearities import Windows as Windows
from constrained_actmax.structure.part import Part as Part
from constrained_actmax.structure.structure import Signature as Signature
from constrained_actmax.structure.structure import Structure as Structure

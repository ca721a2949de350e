"""Which operations of TensorFlow are affine in which operands, and which bend."""

from __future__ import annotations

#: Linear in all floating-point operands together; what does not depend on the input is an offset.
JOINT = frozenset(
    "Add AddV2 AddN Sub BiasAdd Neg Identity IdentityN Snapshot CheckNumerics EnsureShape ConcatV2 "
    "Pack Cast".split()
)

#: Linear in the operands at these positions, if no other operand depends on the input.
LINEAR_IN: dict[str, frozenset[int]] = {
    **dict.fromkeys(
        "Conv2D Conv3D DepthwiseConv2dNative RealDiv DivNoNan Reshape Transpose Squeeze ExpandDims "
        "Slice StridedSlice Pad MirrorPad Mean Sum AvgPool GatherV2 GatherNd Tile "
        "BroadcastTo Unpack SplitV ReverseV2 Roll Cumsum SpaceToDepth DepthToSpace SpaceToBatchND "
        "BatchToSpaceND ResizeNearestNeighbor MatrixBandPart MatrixDiagPartV3".split(),
        frozenset([0]),
    ),
    "Split": frozenset([1]),
    "PadV2": frozenset([0, 2]),
    "SelectV2": frozenset([1, 2]),
    "Select": frozenset([1, 2]),
    "Conv2DBackpropInput": frozenset([2]),
    "Conv3DBackpropInputV2": frozenset([2]),
}

#: Products: affine if exactly one operand depends on the input.
PRODUCTS = frozenset("Mul MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Einsum".split())

#: Their results depend on the shape of their operand alone.
SHAPES = frozenset("Shape ShapeN Size Rank ZerosLike OnesLike".split())

#: Functions of each entry, of one operand.
CURVES = {
    "Elu": "elu",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Exp": "exp",
    "Expm1": "expm1",
    "Log": "log",
    "Log1p": "log1p",
    "Square": "square",
    "Sqrt": "sqrt",
}

#: Piecewise linear functions of each entry, of one dependent operand.
PIECES = frozenset("Relu Relu6 LeakyRelu Abs Maximum Minimum ClipByValue".split())

#: Largest or least of several entries.
POOLS = frozenset("MaxPool MaxPoolV2 MaxPool3D Max Min Maximum Minimum".split())

#: Operations that act on each entry alone where the other operands are broadcast to their shape.
ELEMENTWISE = (
    frozenset(CURVES)
    | PIECES
    | frozenset(
        "Add AddV2 AddN Sub Neg Mul RealDiv DivNoNan Pow Erf Erfc Identity IdentityN Snapshot "
        "CheckNumerics EnsureShape Cast Greater GreaterEqual Less LessEqual Select SelectV2 Rsqrt "
        "Reciprocal Inv".split()
    )
)

#: f(c z) = c f(z) for c > 0, if no operand that does not depend on the input is added.
HOMOGENEOUS = frozenset(
    "Relu LeakyRelu Abs Maximum Minimum Add AddV2 AddN Sub Neg Mul RealDiv Identity IdentityN "
    "Snapshot CheckNumerics EnsureShape Cast".split()
)

#: Operations of HOMOGENEOUS that may have an operand that does not depend on the input.
SCALING = frozenset(["Mul", "RealDiv"])

PASSING = frozenset(["Identity", "IdentityN", "Snapshot", "CheckNumerics", "EnsureShape", "Cast"])

#: Operations that TensorFlow has in single precision alone.
SINGLE = frozenset(
    "MaxPool3D LRN FractionalMaxPool FractionalAvgPool CropAndResize ScaleAndTranslate".split()
)

LOOPS = frozenset(["While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase"])
CALLS = frozenset(
    ["PartitionedCall", "StatefulPartitionedCall", "XlaLaunch", "PyFunc", "EagerPyFunc"]
)

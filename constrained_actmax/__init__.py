"""Find the input that makes an output of a trained network largest, among those allowed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from constrained_actmax import examples as examples
    from constrained_actmax.maximization import maximize as maximize
    from constrained_actmax.maximization import minimize as minimize
    from constrained_actmax.solving import solve as solve

_ROOMS: dict[str, tuple[str, ...]] = {
    "constraint_records": ("ConstraintRecord", "Constraints"),
    "errors": (
        "BackendError",
        "BoundError",
        "ConstrainedActmaxError",
        "InfeasibleError",
        "ModelError",
        "NonFiniteError",
        "ProjectionError",
        "RefusedError",
        "SpecificationError",
    ),
    "layout": ("Layout",),
    "certificate": ("Certificate",),
    "certifying": ("certify",),
    "checking": ("Check", "check"),
    "diversity": ("alternatives",),
    "feasibility": ("find_feasible",),
    "maximization": ("maximize", "minimize"),
    "solving": ("solve",),
    "evaluation": ("Evaluation",),
    "problem": ("Problem",),
    "tasks.recording": ("Intermediate",),
    "result": (
        "Budget",
        "Failure",
        "History",
        "Optimality",
        "Result",
        "Start",
        "Status",
        "load_result",
    ),
    "oracles": ("BlackBoxOracle", "FunctionOracle", "Oracle", "Scaling"),
    "objectives": (
        "Channel",
        "Custom",
        "Direction",
        "Layer",
        "LogProbability",
        "Logit",
        "Margin",
        "Neuron",
        "Norm",
        "Objective",
        "Output",
        "Probability",
        "SquaredDistance",
        "TotalVariation",
    ),
    "constraints": ("Between", "Function", "Near"),
    "features": ("Feature", "Features"),
    "table": ("Table",),
    "sets": (
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
        "Integers",
        "Intersection",
        "L1Ball",
        "L2Ball",
        "Levels",
        "LinfBall",
        "Linear",
        "Monotone",
        "MovingRange",
        "NuclearNormBall",
        "OneHot",
        "Simplex",
        "Symmetric",
        "TotalVariationBall",
    ),
    "comparison": ("Comparison", "TradeOff", "compare", "load_comparison", "trace"),
    "baselines": (
        "AdversarialRobustnessToolbox",
        "AutoPGD",
        "Baseline",
        "ClippedAscent",
        "DatasetSearch",
        "Foolbox",
        "GradientAscent",
        "IdentityDense",
        "InputMask",
        "LPWalk",
        "PerturbedGradient",
        "ProjectedAdam",
        "ProjectedGradient",
        "RegionSampling",
        "TfKerasVis",
        "TrainableInput",
    ),
    "sweeps": ("solve_many", "sweep"),
    "solvers": (
        "ActiveSignature",
        "SuccessiveHalving",
        "AugmentedLagrangian",
        "Chain",
        "BranchAndBound",
        "ConvergeAndSearch",
        "FISTA",
        "FrankWolfe",
        "LBFGSB",
        "NearestPoint",
        "PGD",
        "PQN",
        "RelaxAndRound",
        "SLSQP",
        "SPG",
        "SearchAndFinish",
        "Solver",
        "TNC",
        "TrustConstr",
        "COBYQA",
    ),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}
__all__ = sorted([*_HOME, "examples"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("constrained-actmax")
    if name == "examples":
        return importlib.import_module("constrained_actmax.examples")
    room = _HOME.get(name)
    if room is None:
        from constrained_actmax.errors import suggest

        raise AttributeError(
            f"module 'constrained_actmax' has no {name!r}. {suggest(name, __all__)}"
        )
    from constrained_actmax.keywords import with_checked_keywords

    home = importlib.import_module(f"constrained_actmax.{room}")
    value = globals()[name] = with_checked_keywords(name, getattr(home, name))
    setattr(home, name, value)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

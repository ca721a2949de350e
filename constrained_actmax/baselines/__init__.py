"""What people do today, one entrant a file: to compare with, and to start from."""

from constrained_actmax.baselines.adversarial_robustness_toolbox import (
    AdversarialRobustnessToolbox,
)
from constrained_actmax.baselines.auto_pgd import AutoPGD
from constrained_actmax.baselines.base import Baseline
from constrained_actmax.baselines.clipped_ascent import ClippedAscent
from constrained_actmax.baselines.dataset_search import DatasetSearch
from constrained_actmax.baselines.foolbox import Foolbox
from constrained_actmax.baselines.gradient_ascent import GradientAscent
from constrained_actmax.baselines.identity_dense import IdentityDense
from constrained_actmax.baselines.input_mask import InputMask
from constrained_actmax.baselines.lp_walk import LPWalk
from constrained_actmax.baselines.perturbed_gradient import PerturbedGradient
from constrained_actmax.baselines.projected_adam import ProjectedAdam
from constrained_actmax.baselines.projected_gradient import ProjectedGradient
from constrained_actmax.baselines.region_sampling import RegionSampling
from constrained_actmax.baselines.tf_keras_vis import TfKerasVis
from constrained_actmax.baselines.trainable_input import TrainableInput

#: The entrants by the name that ``compare`` takes.
BASELINES: dict[str, type[Baseline]] = {
    rival.name: rival
    for rival in (
        IdentityDense,
        GradientAscent,
        TrainableInput,
        DatasetSearch,
        InputMask,
        ProjectedAdam,
        ProjectedGradient,
        ClippedAscent,
        AutoPGD,
        LPWalk,
        RegionSampling,
        PerturbedGradient,
        TfKerasVis,
        Foolbox,
        AdversarialRobustnessToolbox,
    )
}

__all__ = [
    "BASELINES",
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
]

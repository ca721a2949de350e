"""What people do today, one entrant a file: to compare with, and to start from."""

from constrained_actmax.baselines.adversarial_robustness_toolbox import (
    AdversarialRobustnessToolbox as AdversarialRobustnessToolbox,
)
from constrained_actmax.baselines.auto_pgd import AutoPGD as AutoPGD
from constrained_actmax.baselines.base import Baseline as Baseline
from constrained_actmax.baselines.clipped_ascent import ClippedAscent as ClippedAscent
from constrained_actmax.baselines.dataset_search import DatasetSearch as DatasetSearch
from constrained_actmax.baselines.foolbox import Foolbox as Foolbox
from constrained_actmax.baselines.gradient_ascent import GradientAscent as GradientAscent
from constrained_actmax.baselines.identity_dense import IdentityDense as IdentityDense
from constrained_actmax.baselines.input_mask import InputMask as InputMask
from constrained_actmax.baselines.lp_walk import LPWalk as LPWalk
from constrained_actmax.baselines.perturbed_gradient import PerturbedGradient as PerturbedGradient
from constrained_actmax.baselines.projected_adam import ProjectedAdam as ProjectedAdam
from constrained_actmax.baselines.projected_gradient import ProjectedGradient as ProjectedGradient
from constrained_actmax.baselines.region_sampling import RegionSampling as RegionSampling
from constrained_actmax.baselines.tf_keras_vis import TfKerasVis as TfKerasVis
from constrained_actmax.baselines.trainable_input import TrainableInput as TrainableInput

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

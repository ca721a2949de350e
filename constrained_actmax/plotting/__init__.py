"""Pictures: arrays and results to matplotlib Axes, and images to and from files."""

from constrained_actmax.plotting.certificates import plot_certificate
from constrained_actmax.plotting.convergence import plot_convergence
from constrained_actmax.plotting.final_inputs import plot_final_inputs
from constrained_actmax.plotting.history import plot_history
from constrained_actmax.plotting.images import pixel_range, read_image, write_image
from constrained_actmax.plotting.inputs import plot_input
from constrained_actmax.plotting.nearness import plot_nearness
from constrained_actmax.plotting.profiles import plot_profile
from constrained_actmax.plotting.results import picture_data_url, plot_result
from constrained_actmax.plotting.tradeoff import plot_tradeoff
from constrained_actmax.plotting.violation import plot_violation
from constrained_actmax.plotting.waterfall import plot_waterfall

__all__ = [
    "picture_data_url",
    "pixel_range",
    "plot_certificate",
    "plot_convergence",
    "plot_final_inputs",
    "plot_history",
    "plot_input",
    "plot_nearness",
    "plot_profile",
    "plot_result",
    "plot_tradeoff",
    "plot_violation",
    "plot_waterfall",
    "read_image",
    "write_image",
]

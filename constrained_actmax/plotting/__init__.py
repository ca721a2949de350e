"""Pictures: arrays and results to matplotlib Axes, and images to and from files."""

from constrained_actmax.plotting.history import plot_history
from constrained_actmax.plotting.images import pixel_range, read_image, write_image
from constrained_actmax.plotting.inputs import plot_input
from constrained_actmax.plotting.results import plot_result

__all__ = [
    "pixel_range",
    "plot_history",
    "plot_input",
    "plot_result",
    "read_image",
    "write_image",
]

"""Pictures: arrays and results to matplotlib Axes, and images to and from files."""

from constrained_actmax.plotting.history import plot_history
from constrained_actmax.plotting.images import pixel_range, read_image, write_image
from constrained_actmax.plotting.inputs import plot_input
from constrained_actmax.plotting.nearness import plot_nearness
from constrained_actmax.plotting.results import picture_data_url, plot_result

__all__ = [
    "picture_data_url",
    "pixel_range",
    "plot_history",
    "plot_input",
    "plot_nearness",
    "plot_result",
    "read_image",
    "write_image",
]

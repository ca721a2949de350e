"""Pictures: arrays and results to matplotlib Axes, and images to and from files."""

from constrained_actmax.plotting.certificates import plot_certificate as plot_certificate
from constrained_actmax.plotting.convergence import plot_convergence as plot_convergence
from constrained_actmax.plotting.final_inputs import plot_final_inputs as plot_final_inputs
from constrained_actmax.plotting.history import plot_history as plot_history
from constrained_actmax.plotting.images import pixel_range as pixel_range
from constrained_actmax.plotting.images import read_image as read_image
from constrained_actmax.plotting.images import write_image as write_image
from constrained_actmax.plotting.inputs import plot_input as plot_input
from constrained_actmax.plotting.nearness import plot_nearness as plot_nearness
from constrained_actmax.plotting.profiles import plot_profile as plot_profile
from constrained_actmax.plotting.results import picture_data_url as picture_data_url
from constrained_actmax.plotting.results import plot_result as plot_result
from constrained_actmax.plotting.tradeoff import plot_tradeoff as plot_tradeoff
from constrained_actmax.plotting.violation import plot_violation as plot_violation
from constrained_actmax.plotting.waterfall import plot_waterfall as plot_waterfall

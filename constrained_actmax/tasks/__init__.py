"""What solvers solve: a problem as a task, and tasks made of tasks, a file each."""

from constrained_actmax.tasks.extended import Extended
from constrained_actmax.tasks.l1_split import Split, in_split_variables
from constrained_actmax.tasks.one_start import LockStep, OneStart
from constrained_actmax.tasks.penalised import Penalised
from constrained_actmax.tasks.projector import Projector
from constrained_actmax.tasks.recording import Intermediate, Recording
from constrained_actmax.tasks.scaled import Scaled
from constrained_actmax.tasks.task import Incumbent, Stopped, Task, Wrapper

__all__ = [
    "Extended",
    "Incumbent",
    "Intermediate",
    "LockStep",
    "OneStart",
    "Penalised",
    "Projector",
    "Recording",
    "Scaled",
    "Split",
    "Stopped",
    "Task",
    "Wrapper",
    "in_split_variables",
]

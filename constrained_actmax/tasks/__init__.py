"""What solvers solve: a problem as a task, and tasks made of tasks, a file each."""

from constrained_actmax.tasks.extended import Extended as Extended
from constrained_actmax.tasks.l1_split import Split as Split
from constrained_actmax.tasks.l1_split import in_split_variables as in_split_variables
from constrained_actmax.tasks.one_start import LockStep as LockStep
from constrained_actmax.tasks.one_start import OneStart as OneStart
from constrained_actmax.tasks.penalised import Penalised as Penalised
from constrained_actmax.tasks.projector import Projector as Projector
from constrained_actmax.tasks.recording import Intermediate as Intermediate
from constrained_actmax.tasks.recording import Recording as Recording
from constrained_actmax.tasks.scaled import Scaled as Scaled
from constrained_actmax.tasks.task import Incumbent as Incumbent
from constrained_actmax.tasks.task import Stopped as Stopped
from constrained_actmax.tasks.task import Task as Task
from constrained_actmax.tasks.task import Wrapper as Wrapper

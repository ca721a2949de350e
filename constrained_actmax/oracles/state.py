"""What a call of a Keras model would write to the model's variables, kept out of the trace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from constrained_actmax.objectives.signature import Tensor

SEED = "seed_generator_state"  # in the path of the variable of a keras.random.SeedGenerator
#: Pairs (keras.Variable, Tensor): the value that a call would have written.
Updates = list[tuple[Any, Tensor]]


@contextmanager
def without_writes(state: Iterable[tuple[Any, Tensor]] = ()) -> Iterator[Updates]:
    """Read Keras variables and write to none while the context is open.

    Seeds of dropout and of augmentation advance at every call, in inference too; stateful layers
    and moving statistics keep what they computed. In the context a call computes the new values and
    leaves the variables as they are. The list of updates is filled when the context closes.

    Parameters
    ----------
    state : iterable of (keras.Variable, Tensor)
        Values to read in place of the variables' own, such as the updates of an earlier call.
    """
    import keras

    scope = keras.StatelessScope(state_mapping=list(state))
    written: dict[int, Any] = {}
    add_update = scope.add_update

    def recorded(update: tuple[Any, Any]) -> None:
        written[id(update[0])] = update[0]
        add_update(update)

    scope.add_update = recorded
    updates: Updates = []
    with scope:
        yield updates
    updates += [(variable, scope.get_current_value(variable)) for variable in written.values()]

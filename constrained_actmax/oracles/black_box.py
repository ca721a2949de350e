"""A function without gradients in the model's place: a simulator, a compiled program, a service."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Layout, Rows, Vector, is_integer, real
from constrained_actmax.objectives.base import ONE, Form, LinearCombination, Objective
from constrained_actmax.objectives.output import Output
from constrained_actmax.oracles import finite_differences
from constrained_actmax.oracles.base import BaseOracle
from constrained_actmax.quoting import quoted


class BlackBoxOracle(BaseOracle):
    """A callable of one input that gives one number or several, and no derivatives.

    Solvers get values alone; where derivatives are needed to judge a point, a problem takes
    differences of second order within its bounds, at 2n + 1 calls. `evaluate` knows no bounds and
    takes central ones.

    Parameters
    ----------
    function : callable
        Takes one input of `shape` (float64, no batch axis) and returns a number, or an array of
        them: the outputs.
    shape : int or tuple of int
        Shape of the input.
    objectives : Objective or sequence of Objective, default ()
        Which outputs are asked for: `Output` by position or label, and sums of such. By default
        the first.
    labels : sequence of str, optional
        Names of the outputs.
    name : str, optional
        What results call it.

    Raises
    ------
    SpecificationError
        If the function is not callable, the shape is not one, or something other than an output
        is asked for.
    """

    differentiable = False
    batches = False

    def __init__(
        self,
        function: Callable[[Any], Any],
        shape: int | tuple[int, ...],
        objectives: Objective | Sequence[Objective] = (),
        *,
        labels: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__()
        who = type(self).__name__
        if not callable(function):
            raise SpecificationError(
                f"{who}: the model is a function, got {type(function).__name__}."
            )
        lengths: tuple[Any, ...] = (shape,)
        if isinstance(shape, Iterable) and not isinstance(shape, str):
            lengths = tuple(shape)
        if any(not is_integer(length) or length < 0 for length in lengths):
            raise SpecificationError(f"{who}: shape must hold integers >= 0, got {quoted(shape)}.")
        self._function = function
        self.layout = Layout.of_array(tuple(int(length) for length in lengths))
        self.labels = None if labels is None else tuple(labels)
        self.name = name or str(getattr(function, "__name__", "function"))
        self._ask((objectives,) if isinstance(objectives, Objective) else objectives)

    def _ask(self, objectives: Sequence[Objective]) -> None:
        self.objectives: tuple[Objective, ...] = tuple(objectives)
        self._asked = [self._weights(objective) for objective in self.objectives] or [
            ({0: 1.0}, 0.0)
        ]
        self.functions = len(self._asked)
        self.counts = (1,) * self.functions

    def with_objectives(self, objectives: Sequence[Objective]) -> Self:
        """Return the oracle of other outputs of the same function."""
        other = copy.copy(self)
        BaseOracle.__init__(other)
        other._ask(objectives)
        return other

    @override
    def forms(self) -> list[Form]:
        forms: list[Form] = [dict(weights.items()) for weights, _ in self._asked]
        for form, (_, constant) in zip(forms, self._asked, strict=True):
            form[ONE] = constant
        return forms

    @override
    def describe(self) -> dict[str, Any]:
        described = {"model": self.name, "precision": "float64"}
        return described if self.differentiable else described | {"differentiable": False}

    def _answer(self, x: Vector) -> Any:
        """Call the user's function at one flat point."""
        self.calls += 1
        return self._function(self._point(x))

    def _point(self, x: Vector) -> np.ndarray:
        return x.reshape(self.layout.inputs[0].shape).copy()

    @override
    def _values(self, x: Rows) -> Rows:
        values = np.empty((len(x), self.functions))
        for row, point in enumerate(x):
            outputs = real(self._answer(point), self.name).ravel()
            for column, (weights, constant) in enumerate(self._asked):
                if max(weights) >= outputs.size:
                    raise SpecificationError(
                        f"{self.name}: it gives {outputs.size} outputs, there is no output "
                        f"{max(weights)}."
                    )
                terms = (factor * outputs[key] for key, factor in weights.items())
                values[row, column] = sum(terms) + constant
        return values

    @override
    def _evaluate(self, x: Rows) -> tuple[Rows, np.ndarray]:
        """Return values and Jacobian, the latter by central differences."""
        values = self._values(x)
        jacobian = np.empty((len(x), self.functions, self.size))
        everywhere = finite_differences.Domain.everywhere(self.size)
        for row, point in enumerate(x):
            jacobian[row] = finite_differences.jacobian(
                lambda x: self.values(x[np.newaxis]), point, values[row], everywhere, central=True
            )
        return values, jacobian

    def _weights(self, objective: Objective) -> tuple[dict[int, float], float]:
        """Return the factors of the outputs in an objective, and its constant."""
        if isinstance(objective, LinearCombination):
            weights: dict[int, float] = {}
            constant = objective.constant
            for factor, term in objective.terms:
                inner, more = self._weights(term)
                constant += factor * more
                for key, weight in inner.items():
                    weights[key] = weights.get(key, 0.0) + factor * weight
            return weights, constant
        if not isinstance(objective, Output):
            raise SpecificationError(
                f"{objective}: a function without gradients has outputs alone; ask for Output(0), "
                "Output('label') or a sum of such."
            )
        return {self._place(objective): 1.0}, 0.0

    def _place(self, objective: Output) -> int:
        index = objective.index
        if isinstance(index, str):
            if self.labels is None or index not in self.labels:
                raise SpecificationError(
                    f"{objective}: no output has this label; labels={self.labels}."
                )
            return self.labels.index(index)
        if isinstance(index, bool) or not isinstance(index, int | np.integer) or index < 0:
            raise SpecificationError(f"{objective}: an output's position is an integer >= 0.")
        return int(index)

"""A TensorFlow model and objectives as a black box of NumPy functions with derivatives."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import (
    ModelError,
    NonFiniteError,
    RefusedError,
    SpecificationError,
)
from constrained_actmax.layout import Layout, Rows, Structure, Vector, flat
from constrained_actmax.objectives.base import Form, Objective, Score
from constrained_actmax.objectives.bounded import Bounded
from constrained_actmax.oracles.base import BaseOracle
from constrained_actmax.oracles.compiled import Compiled
from constrained_actmax.oracles.kept import source_of
from constrained_actmax.oracles.precision import rounds_products
from constrained_actmax.oracles.source import Source, chunks
from constrained_actmax.quoting import quoted

if TYPE_CHECKING:
    from constrained_actmax.structure import Structure as NetworkStructure

KEPT_STRUCTURES = 64  # compiled structures that one model keeps
#: Points at which noise is measured, rows of the batch in which they stand, seed of both.
NOISE_POINTS, NOISE_BATCH, NOISE_SEED = 5, 8, 20260
#: Measured noise below so many machine epsilons is that of ordinary rounding.
ORDINARY_NOISE = 4.0
#: Calls that tell entries with steps from those without effect; what they leave open has steps.
MOST_TRIALS = 512


class Oracle(BaseOracle):
    r"""Scalar functions of a frozen model's input, with derivatives, compiled once.

    Parameters
    ----------
    model : keras.Model, str, Path or callable
        A Keras model; a .keras or .h5 file; a SavedModel folder; or a TensorFlow callable with an
        input signature (or with `input_shape`). Its weights, statistics, flags and optimizer stay
        as they are, and it is called in inference mode.
    objective : Objective or sequence of Objective, optional
        f_1, ..., f_K. The first is *the* objective and has one number for each point; others may
        have several, which count as several functions.
    preprocess : keras layer, callable, Scaling or dict of them by input name, optional
        Runs before the model: inputs are then in the user's units.
    labels : sequence of str, or dict of such by head, optional
        Names of the output's units.
    feature_names : sequence of str, or dict of such by input, optional
        Names of the input's columns. Wherever a pandas object gives numbers for these, its labels
        are aligned to them.
    input_shape : tuple of int, or dict of tuples by input, optional
        Shape of the input without the batch axis, where the model leaves it open; with
        `preprocess`, the shape in front of it.
    precision : {"float32", "float64"}, optional
        Work on a copy of the model in this precision, compared with the model layer by layer. By
        default the model's own.
    xla : bool, default False
        Whether XLA compiles the function where it can. Its numbers are compared with TensorFlow's
        first: where they differ, this raises ModelError. Compiling pays in thousands of
        calls of one row.
    custom_objects : dict, optional
        Keras's own, for loading.
    safe_mode : bool, default True
        Keras's own: whether code in a file is refused.
    signature : str, default "serving_default"
        Which signature of a SavedModel.

    Attributes
    ----------
    objectives : tuple of Objective
        As given.
    counts : tuple of int
        How many functions each of them stands for.
    bounded : tuple of Bounded
        Whether each is bounded above and below over all inputs, as far as operations tell.
    labels : tuple of str, dict or None
        Names of the output's units.
    model, options : object, dict
        What it was made from.

    Raises
    ------
    ModelError
        If the model is not a deterministic, differentiable function of each row of its input, or
        its copy in another precision computes another function.
    SpecificationError
        If a name, an index or a shape does not fit the model.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> import scipy.optimize
    >>> oracle = cax.Oracle(model, -cax.Logit(7))  # doctest: +SKIP
    >>> r = scipy.optimize.minimize(
    ...     oracle.to_scipy(), oracle.flatten(x0), jac=True, bounds=[(0, 1)] * oracle.size
    ... )  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Any,
        objective: Objective | Sequence[Objective] | None = None,
        *,
        preprocess: Any = None,
        labels: Any = None,
        feature_names: Any = None,
        input_shape: Any = None,
        precision: Any = None,
        xla: bool = False,
        custom_objects: Mapping[str, Any] | None = None,
        safe_mode: bool = True,
        signature: str = "serving_default",
    ) -> None:
        if not isinstance(xla, bool):
            raise SpecificationError(f"xla: must be True or False, got {quoted(xla)}.")
        _objectives(objective)
        source = source_of(
            model,
            preprocess=preprocess,
            labels=labels,
            feature_names=feature_names,
            input_shape=input_shape,
            precision=precision,
            custom_objects=custom_objects,
            safe_mode=safe_mode,
            signature=signature,
        )
        self._set_up(source, objective, xla)
        self.model = model
        self.options: dict[str, Any] = {
            name: value
            for name, value in {
                "preprocess": preprocess,
                "labels": labels,
                "feature_names": feature_names,
                "input_shape": input_shape,
                "precision": precision,
                "xla": xla,
                "custom_objects": custom_objects,
                "safe_mode": safe_mode,
                "signature": signature,
            }.items()
            if value is not None
        }

    def _set_up(self, source: Source, objective: Any, xla: bool) -> None:
        BaseOracle.__init__(self)
        self.source = source
        self.layout: Layout = source.layout
        self.xla = xla
        self.objectives: tuple[Objective, ...] = _objectives(objective)
        self._scores: tuple[Score, ...] = tuple(
            objective.bind(source) for objective in self.objectives
        )
        if self._scores and self._scores[0].rows != 1:
            raise SpecificationError(
                f"{self.objectives[0]}: an objective is one number, this has "
                f"{self._scores[0].rows} rows; as a constraint it may have several."
            )
        self.counts: tuple[int, ...] = tuple(score.rows for score in self._scores)
        self.bounded: tuple[Bounded, ...] = tuple(score.bounded for score in self._scores)
        self.functions = sum(self.counts)
        self._arguments: list[Any] | None = None
        self._compiled: Compiled | None = None
        self._ready: dict[tuple[str, int], Any] = {}
        self._structure: NetworkStructure | None = None

    def with_objectives(self, objective: Objective | Sequence[Objective]) -> Oracle:
        """Return an oracle of other objectives on the same model, sharing what is compiled.

        Objectives that differ only in numbers (class, centre, radius, coefficients) are not
        compiled again.
        """
        other = object.__new__(type(self))
        other._set_up(self.source, objective, self.xla)
        other.model, other.options = self.model, self.options
        return other

    # -- what is known ---------------------------------------------------------------------------

    @override
    def forms(self) -> list[Form]:
        return [form for objective in self.objectives for form in objective.forms(self.source)]

    @property
    def labels(self) -> Any:
        """Names of the output's units: a tuple, a dict by head, or None."""
        return self.source.labels

    @property
    def traces(self) -> int:
        """How often a function of this model was traced; calls of any size must not add to it."""
        return self.source.traces

    @property
    def smooth(self) -> bool | None:  # type: ignore[override]
        """Whether the functions are continuously differentiable: ELU is; ReLU, steps are not."""
        if not self._scores:
            return not self.source.nonsmooth
        return self._functions().smooth

    @property
    def steps(self) -> bool:
        """Whether something between input and functions is constant between jumps."""
        return bool(self._scores) and self._functions().steps

    def stepped(self, x: Rows) -> np.ndarray:
        """Return which entries of the input reach a function through steps only.

        Casts to integers, comparisons, rounding, `argmax`: between their jumps the derivative is
        zero, and gradients see nothing.

        Parameters
        ----------
        x : numpy.ndarray
            Rows (B, n) at which the derivatives are looked at.

        Returns
        -------
        numpy.ndarray of bool, shape (n,)

        Notes
        -----
        The traced graph says whether there is such an operation at all; without one there are no
        such entries. With one, an entry counts where the derivative of a function is exactly zero
        at all rows, and its value changes when the entry takes other rows' numbers. So an entry
        whose slopes all these rows miss is taken for one too. Not counted.
        """
        outputs = np.zeros(self.size, dtype=bool)
        if not self.steps:
            return outputs
        values, jacobian = self._uncounted_rows(x)
        size = np.maximum(1.0, np.max(np.abs(values), axis=0))
        noise = ORDINARY_NOISE * self.source.epsilon * size
        others = np.roll(x, 1, axis=0)
        for function in range(self.functions):
            flat = np.flatnonzero((jacobian[:, function] == 0).all(axis=0) & ~outputs)
            groups = deque([flat] if flat.size else [])
            for _ in range(MOST_TRIALS):  # a group that changes the value is halved
                if not groups:
                    break
                group = groups.popleft()
                moved = x.copy()
                moved[:, group] = others[:, group]
                change = np.abs(self._uncounted_rows(moved)[0] - values)[:, function]
                if not (change > noise[function]).any():
                    continue
                if group.size == 1:
                    outputs[group] = True
                else:
                    groups += np.array_split(group, 2)
            for group in groups:
                outputs[group] = True
        return outputs

    def _uncounted_rows(self, x: Rows) -> tuple[Rows, np.ndarray]:
        """Return `_uncounted` of rows in calls of the size that the model takes."""
        size = self.source.rows or len(x)
        pieces = [(self._uncounted(piece), count) for piece, count in chunks(x, size)]
        values, jacobian = (
            np.concatenate([part[which][:count] for part, count in pieces]) for which in (0, 1)
        )
        return values, jacobian

    @property
    def epsilon(self) -> float:  # type: ignore[override]
        """Relative noise of the objective's value: the machine epsilon, or more where measured.

        Measured once for a compiled function, at seeded points of the unit cube: the median of
        what changes when a point is evaluated alone and in a batch and, where TensorFlow may round
        products to TensorFloat-32, of what differs from a copy in float64.
        """
        if not self._scores:
            return self.source.epsilon
        compiled = self._functions()
        if compiled.noise is None:
            measured = self._measured_noise()
            ordinary = measured < ORDINARY_NOISE * self.source.epsilon
            compiled.noise = self.source.epsilon if ordinary else measured
        return compiled.noise

    def _measured_noise(self) -> float:
        """Return the median relative change of the objective's value, 0 where it is not finite."""
        if self.source.rows is not None:  # there is one size of batch
            return 0.0
        x = np.random.default_rng(NOISE_SEED).uniform(size=(NOISE_BATCH, self.size))
        beside = self._uncounted(x)[0][:NOISE_POINTS, 0]
        alone = np.array([self._uncounted(row[np.newaxis])[0][0, 0] for row in x[:NOISE_POINTS]])
        others = [alone]
        if self.source.precision == "float32" and rounds_products():
            options = {**self.options, "precision": "float64", "xla": False}
            try:
                exact = Oracle(self.model, self.objectives, **options)
            except ModelError:  # there is no copy
                pass
            else:
                others.append(exact.values(x[:NOISE_POINTS])[:, 0])
        return max(_median_change(other, beside) for other in others)

    def _uncounted(self, x: Rows) -> tuple[Rows, np.ndarray]:
        """Return values and Jacobian at rows, without XLA, for the library's own questions."""
        import tensorflow as tf

        function = self._functions().concrete("jacobian")
        values, jacobian = function(tf.constant(x), *self._parameters())
        return values.numpy(), jacobian.numpy()

    @override
    def describe(self) -> dict[str, Any]:
        import keras
        import tensorflow as tf

        sizes = sorted({batch for _, batch in self._ready})
        return {
            "model": self.source.name,
            "objectives": [str(objective) for objective in self.objectives],
            "precision": self.source.precision,
            "xla": self.xla,
            "xla_batches": [
                size
                for size in sizes
                if any(
                    self._ready.get((kind, size), (None, False))[1]
                    for kind in ("jacobian", "product")
                )
            ],
            "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        }

    @override
    def batch(self, x: Vector) -> Structure:
        rows = self._checked(flat(x, "batch")[np.newaxis])
        if self.source.preprocess is None:
            return super().batch(rows[0])
        parts = self.source.preprocessed(rows)
        if self.layout.structure == "array":
            return parts[0]
        if self.layout.structure == "list":
            return parts
        return dict(zip(self.layout.names, parts, strict=True))

    def outputs(self, x: Rows) -> Any:
        """Return what the model itself gives at rows (B, n), or at one point (n,).

        Returns
        -------
        numpy.ndarray or dict of numpy.ndarray by head
            As `predict` returns it, with the batch axis; not counted.
        """
        rows = self._checked(np.atleast_2d(flat(x, "outputs")))
        stepped = self.source.run(rows)
        return next(iter(stepped.values())) if len(stepped) == 1 else stepped

    @property
    def structure_key(self) -> tuple[int, tuple[Any, ...]]:
        """Equal for oracles of one model and one structure: `evaluate_together` takes them."""
        return id(self.source), tuple(score.structure for score in self._scores)

    @override
    def structure(self) -> NetworkStructure:
        """Return the network as affine parts between elementwise nonlinear ones, in float64.

        It leads to the oracle's functions, or to the model's outputs where there is no objective;
        read when first asked, and kept with the model.

        Raises
        ------
        RefusedError
            Where it cannot be read; names the operation and its layer.
        """
        if self._structure is None:
            from constrained_actmax.structure.making import structure_of

            self._structure = structure_of(self)
        return self._structure

    def structure_refusal(self) -> str | None:
        """Return why the network cannot be read as affine parts between nonlinear ones, or None."""
        try:
            self.structure()
        except RefusedError as refusal:
            return str(refusal)
        return None

    # -- calls -----------------------------------------------------------------------------------

    @override
    def _evaluate(self, x: Rows) -> tuple[Rows, np.ndarray]:
        values, jacobian = self._call("jacobian", x)
        return values, jacobian

    @override
    def _values(self, x: Rows) -> Rows:
        (values,) = self._call("values", x)
        return values

    @override
    def _vjp(self, x: Rows, weights: Rows) -> tuple[Rows, Rows]:
        if weights.shape != (len(x), self.functions):
            weights = np.array(np.broadcast_to(weights, (len(x), self.functions)))
        values, product = self._call("product", x, weights)
        return values, product

    @override
    def _hessian_product(
        self,
        x: Vector,
        v: Vector,
        weights: Vector,
        bounds: tuple[Vector, Vector],
        reach: float,
    ) -> Vector:
        compiled = self._functions()
        if compiled.second_order is None:
            try:
                compiled.concrete("hessian")
                compiled.second_order = True
            except (LookupError, NotImplementedError, TypeError):  # an operation lacks it
                compiled.second_order = False
        if not compiled.second_order:
            return super()._hessian_product(x, v, weights, bounds, reach)
        (product,) = self._call(
            "hessian", x[np.newaxis], v[np.newaxis], np.asarray(weights)[np.newaxis]
        )
        return np.asarray(product[0])

    @override
    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        value, gradient = super().value_and_gradient(x)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            point = np.asarray(x, dtype=np.float64)
            bad = np.flatnonzero(~np.isfinite(point))
            where = (
                f", whose entry {self.layout.describe(int(bad[0]))} is {point[bad[0]]}"
                if (bad.size)
                else f" with entries between {point.min():.6g} and {point.max():.6g}"
            )
            what = "value" if not np.isfinite(value) else "gradient"
            raise NonFiniteError(
                f"{self.source.name}: the {what} of {self.objectives[0]} is NaN or infinite at the "
                f"point{where}."
            )
        return value, gradient

    def _functions(self) -> Compiled:
        """Return the compiled functions of the objectives' structure, from the model's cache."""
        if self._compiled is None:
            if not self._scores:
                raise SpecificationError(
                    "Oracle: it has no objective; say what to evaluate with "
                    "oracle.with_objectives(Logit(7))."
                )
            key = tuple(score.structure for score in self._scores)
            cache = self.source.compiled
            compiled = cache.get(key)
            if compiled is None:
                compiled = Compiled(
                    self.source, self._scores, [str(objective) for objective in self.objectives]
                )
                cache[key] = compiled
                while len(cache) > KEPT_STRUCTURES:
                    cache.popitem(last=False)
            cache.move_to_end(key)
            self._compiled = compiled
        return self._compiled

    def _parameters(self) -> list[Any]:
        if self._arguments is None:
            import tensorflow as tf

            self._arguments = [
                tf.constant(array) for score in self._scores for array in score.parameters
            ]
        return self._arguments

    def _callable(self, kind: str, arrays: Sequence[np.ndarray]) -> tuple[Any, bool]:
        """Return the function of batches of this size, and whether XLA compiled it."""
        import tensorflow as tf

        key = kind, len(arrays[0])
        function = self._ready.get(key)
        if function is None:
            compiled = self._functions()
            compiled.concrete(kind)
            arguments = [*(tf.constant(array) for array in arrays), *self._parameters()]
            xla = self.xla and compiled.takes_xla(kind, arguments)
            function = compiled.caller(kind, xla), xla
            self._ready[key] = function
        return function

    def _call(self, kind: str, *arrays: np.ndarray) -> list[np.ndarray]:
        import tensorflow as tf

        if self.source.rows is not None:
            return self._call_fixed(kind, *arrays)
        function, _ = self._callable(kind, arrays)
        self.calls += 1
        results = function(*[tf.constant(array) for array in arrays], *self._parameters())
        if not isinstance(results, list | tuple):
            results = (results,)
        return [result.numpy() for result in results]

    def _call_fixed(self, kind: str, *arrays: np.ndarray) -> list[np.ndarray]:
        """Call a model with a fixed leading axis piece by piece, counting each call."""
        import tensorflow as tf

        size = self.source.rows or 1
        function = self._functions().caller(kind)
        parameters = self._parameters()
        pieces = []
        for group in zip(*(chunks(array, size) for array in arrays), strict=True):
            count = group[0][1]
            self.calls += 1
            results = function(*[tf.constant(piece) for piece, _ in group], *parameters)
            if not isinstance(results, list | tuple):
                results = (results,)
            pieces.append([result.numpy()[:count] for result in results])
        return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


def evaluate_together(oracles: Sequence[Oracle], x: Rows) -> tuple[Rows, np.ndarray]:
    """Evaluate row i of x with oracle i, all in one model call.

    Parameters
    ----------
    oracles : sequence of Oracle
        One for each row; they share a model and a structure, and differ in numbers: class, centre,
        coefficients.
    x : numpy.ndarray
        Rows (B, n).

    Returns
    -------
    values : numpy.ndarray, shape (B, K)
    jacobian : numpy.ndarray, shape (B, K, n)

    Raises
    ------
    SpecificationError
        If the oracles do not share a compiled function.

    Notes
    -----
    Each oracle counts its own rows; the call is counted on the first.
    """
    import tensorflow as tf

    first = oracles[0]
    compiled = first._functions()
    if any(oracle._functions() is not compiled for oracle in oracles):
        raise SpecificationError(
            "evaluate_together: the oracles must share a model and the structure of their "
            "objectives; make them with oracle.with_objectives(...)."
        )
    rows = first._checked(x)
    if len(rows) != len(oracles):
        raise SpecificationError(
            f"evaluate_together: {len(oracles)} oracles for {len(rows)} rows; give one for each."
        )
    if first.source.rows is not None:
        pieces = [
            oracle._evaluate(row[np.newaxis]) for oracle, row in zip(oracles, rows, strict=True)
        ]
        for oracle in oracles:
            oracle.evaluations += 1
        return np.concatenate([p[0] for p in pieces]), np.concatenate([p[1] for p in pieces])
    stacked = [
        tf.constant(np.concatenate(arrays))
        for arrays in zip(
            *(
                [array for score in oracle._scores for array in score.parameters]
                for oracle in oracles
            ),
            strict=True,
        )
    ]
    function, _ = first._callable("jacobian", [rows])
    first.calls += 1
    for oracle in oracles:
        oracle.evaluations += 1
    values, jacobian = function(tf.constant(rows), *stacked)
    return values.numpy(), jacobian.numpy()


def _median_change(values: Vector, others: Vector) -> float:
    """Return the median relative difference, where finite; relative to 1 where values are small."""
    finite = np.isfinite(values) & np.isfinite(others)
    if not finite.any():
        return 0.0
    change = np.abs(values - others)[finite] / np.maximum(1.0, np.abs(others[finite]))
    return float(np.median(change))


def _objectives(objective: Any) -> tuple[Objective, ...]:
    if objective is None:
        return ()
    listed = tuple(objective) if isinstance(objective, list | tuple) else (objective,)
    for oracle in listed:
        if isinstance(oracle, Objective):
            continue
        if isinstance(oracle, type) and issubclass(oracle, Objective):
            raise SpecificationError(
                f"objective: {oracle.__name__} is a class; write {oracle.__name__}(...)."
            )
        raise SpecificationError(
            f"objective: expected an objective such as Logit(7), got {type(oracle).__name__} "
            f"{oracle!r}."
        )
    return listed

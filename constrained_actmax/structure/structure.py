"""The frozen network as affine parts between elementwise nonlinear operations."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from constrained_actmax.errors import RefusedError
from constrained_actmax.layout import Rows, Vector
from constrained_actmax.objectives.signature import Tensor
from constrained_actmax.structure.nonlinearities import Nonlinearity
from constrained_actmax.structure.part import INPUT, Part
from constrained_actmax.structure.reading import Reading
from constrained_actmax.structure.rectified import IDENTITY, rectified

Array = npt.NDArray[Any]

#: For each nonlinearity, which piece of it a batch of points lies on.
Signature: TypeAlias = tuple[Array, ...]

#: Takes the number of a nonlinearity and coefficient rows (B, m, units) of its results; gives rows
#: (B, m, size) of its pre-activations and constants (B, m).
Through: TypeAlias = Callable[[int, Array], tuple[Array, Array]]

#: Unit vectors that one call takes where a first layer's matrix is read.
COLUMNS_AT_ONCE = 64
PROBES = 4
PROBE_SEED = 20261
AGREEMENT = 1e-9  # of sums in another order, relative to the sum of absolute terms


class Structure:
    r"""A network as :math:`z_k = b_k + \sum_{p<k} W_{kp} h_p,\ h_k = \varphi_k(z_k)`, in float64.

    h_{-1} = x is the input, as one flat vector; the z_k are the pre-activations of the nonlinear
    operations, in an order in which each depends on earlier ones alone; the outputs are affine in x
    and the h_k too. On a region in which no φ_k leaves its piece, given by a *signature*, the
    network is affine.

    Made by `Oracle.structure`, which knows the model.

    Parameters
    ----------
    reading : Reading
        The traced function, cut.
    parameters : sequence of Tensor
        The numbers that the objectives pass.
    deployed : callable
        Values of the outputs (B, ...), by name, as the model computes them.

    Attributes
    ----------
    size : int
        Length n of x.
    nonlinearities : tuple of Nonlinearity
        φ_k.
    parts : tuple of Part
        What leads to z_k.
    outputs : dict of str to Part
        What leads to the oracle's functions (``"functions"``), or to each head of a model whose
        oracle has no objective.
    piecewise_affine : bool
        Whether all φ_k consist of affine pieces. If not, a signature holds the points at which
        tangents of the curved ones are taken.
    difference : float
        The largest distance between these values and the deployed model's at a few seeded points,
        relative to the largest value.
    """

    def __init__(
        self,
        reading: Reading,
        parameters: Sequence[Tensor],
        deployed: Callable[[Rows], dict[str, Rows]],
    ) -> None:
        self._deployed = deployed
        self.size = int(reading.graph.x.shape[1])
        self.nonlinearities: tuple[Nonlinearity, ...] = reading.nonlinearities

        def part(affine: Any, roundings: int, twin: Any) -> Part:
            return Part(affine, parameters, roundings, twin)

        self.parts = tuple(part(*record) for record in reading.parts)
        self.outputs = {name: part(*record) for name, record in reading.outputs.items()}
        self.piecewise_affine = all(record.piecewise_affine for record in self.nonlinearities)

    @cached_property
    def joined(self) -> Structure:
        """Return the structure with each ReLU and the max-pooling next to it as one nonlinearity.

        Of the same parts under the same numbers; the regions of its signatures are larger.
        """
        structure = copy.copy(self)
        structure.__dict__.pop("first_layers", None)  # they follow from the nonlinearities
        structure.nonlinearities = rectified(
            self.parts, list(self.outputs.values()), self.nonlinearities
        )
        return structure

    # -- forward -----------------------------------------------------------------------------------

    def evaluate(self, x: Rows) -> tuple[tuple[Rows, ...], dict[str, Rows]]:
        """Return pre-activations and outputs at points (B, n).

        Returns
        -------
        preactivations : tuple of numpy.ndarray, shape (B, size)
            One for each nonlinearity.
        outputs : dict of numpy.ndarray, shape (B, size)
        """
        return self._forward(x, lambda k, z: self.nonlinearities[k].values(z))

    def _forward(
        self, x: Rows, result: Callable[[int, Rows], Rows]
    ) -> tuple[tuple[Rows, ...], dict[str, Rows]]:
        """Return pre-activations and outputs with ``result(k, z)`` for each nonlinearity."""
        values: dict[int, Rows] = {INPUT: np.asarray(x, dtype=np.float64)}
        preactivations = []
        for k, part in enumerate(self.parts):
            preactivations.append(part.apply(values))
            values[k] = result(k, preactivations[-1])
        outputs = {name: part.apply(values) for name, part in self.outputs.items()}
        return tuple(preactivations), outputs

    def preactivations(self, x: Rows) -> tuple[Rows, ...]:
        """Return what enters each nonlinearity at points (B, n)."""
        return self.evaluate(x)[0]

    def values(self, x: Rows) -> dict[str, Rows]:
        """Return the outputs at points (B, n)."""
        return self.evaluate(x)[1]

    def signature(self, x: Rows) -> Signature:
        """Return which piece of each nonlinearity points (B, n) lie on; at a kink the lower one."""
        return tuple(
            nonlinearity.signature(z)
            for nonlinearity, z in zip(self.nonlinearities, self.preactivations(x), strict=True)
        )

    def continued(
        self, signature: Signature, x: Rows, moved: dict[int, Rows] | None = None
    ) -> tuple[tuple[Rows, ...], dict[str, Rows]]:
        """Return pre-activations and outputs of one region's affine functions at any points.

        Parameters
        ----------
        signature : tuple of numpy.ndarray
            Of one point, with its leading axis of length 1.
        x : numpy.ndarray, shape (B, n)
            Points, in the region or not.
        moved : dict of int to numpy.ndarray, shape (B, units), optional
            What is added to the results of some nonlinearities.

        Returns
        -------
        preactivations : tuple of numpy.ndarray, shape (B, size)
        outputs : dict of numpy.ndarray, shape (B, size)
        """

        def result(k: int, z: Rows) -> Rows:
            h = self.nonlinearities[k].continued(z, signature[k][0])
            return h + moved[k] if moved is not None and k in moved else h

        return self._forward(x, result)

    @cached_property
    def first_layers(self) -> dict[int, tuple[sparse.csr_matrix, Vector]]:
        """W (size, n) and b (size,) of the pre-activations W x + b that nothing bends before."""
        columns: dict[int, list[sparse.csc_matrix]] = {}
        offsets: dict[int, Vector] = {}
        for first in range(0, self.size, COLUMNS_AT_ONCE):
            count = min(COLUMNS_AT_ONCE, self.size - first)
            x = np.concatenate([np.zeros((1, self.size)), np.eye(count, self.size, first)])
            values: dict[int, Rows] = {INPUT: x}
            for k, (part, nonlinearity) in enumerate(
                zip(self.parts, self.nonlinearities, strict=True)
            ):
                if not values.keys() >= set(part.predecessors):
                    continue
                z = part.apply(values)
                if nonlinearity.kind == IDENTITY:
                    values[k] = z
                finite = np.isfinite(z[0])  # what never wins stands at minus infinity
                moved = np.subtract(z[1:], z[0], where=finite, out=np.zeros_like(z[1:]))
                columns.setdefault(k, []).append(sparse.csc_matrix(moved.T))
                offsets[k] = z[0]
        return {k: (sparse.hstack(some).tocsr(), offsets[k]) for k, some in columns.items()}

    # -- transposed --------------------------------------------------------------------------------

    def back_substitute(self, part: Part, rows: Array, through: Through) -> tuple[Array, Array]:
        r"""Carry coefficient rows of a part's result back to the input.

        Parameters
        ----------
        part : Part
            One of `parts` or `outputs`.
        rows : numpy.ndarray, shape (B, m, size)
            Coefficients v.
        through : callable
            ``through(k, rows)`` says what to put in the place of nonlinearity k: rows (B, m, units)
            of its results become rows (B, m, size) of its pre-activations and constants (B, m). An
            affine piece makes the result an identity; a relaxation that is above v'φ makes it an
            upper bound.

        Returns
        -------
        slopes : numpy.ndarray, shape (B, m, n)
        offsets : numpy.ndarray, shape (B, m)
            :math:`v^T z` in terms of the input, :math:`g^T x + t`.
        """
        waiting: dict[int, Array] = {}

        def spread(part: Part, rows: Array) -> Array:
            pulled, constants = part.pull(rows)
            for number, more in pulled.items():
                waiting[number] = waiting[number] + more if number in waiting else more
            return constants

        offsets = spread(part, rows)
        while waiting and (k := max(waiting)) != INPUT:
            rows, constants = through(k, waiting.pop(k))
            offsets = offsets + constants + spread(self.parts[k], rows)
        slopes = waiting.get(INPUT)
        if slopes is None:
            slopes = np.zeros((*rows.shape[:-1], self.size))
        return slopes, offsets

    def affine(
        self, signature: Signature, part: Part, rows: Array | None = None
    ) -> tuple[Array, Array]:
        """Return slopes and offsets of a part's result in the regions of given signatures.

        Parameters
        ----------
        signature : tuple of numpy.ndarray
            Of B points, from `signature`, perhaps with sides crossed. An empty one, of a network
            without nonlinearities, stands for B = 1.
        part : Part
            One of `parts` (pre-activations) or `outputs`.
        rows : numpy.ndarray, shape (m, size) or (B, m, size), optional
            Which combinations of its entries; by default each of them.

        Returns
        -------
        slopes : numpy.ndarray, shape (B, m, n)
        offsets : numpy.ndarray, shape (B, m)
            The combination is g'x + t in the region.
        """
        count = len(signature[0]) if signature else 1
        rows = np.eye(part.size) if rows is None else np.asarray(rows, dtype=np.float64)
        rows = np.broadcast_to(rows, (count, *rows.shape[-2:]))
        return self.back_substitute(
            part, rows, lambda k, rows: self.nonlinearities[k].pull(rows, signature[k])
        )

    # -- checks ------------------------------------------------------------------------------------

    def check(self, x: Rows) -> None:
        """Compare the parts with each other, forward and transposed, at points (B, n).

        Raises
        ------
        RefusedError
            If a part is not affine, or mixes rows, or values do not agree.
        """
        rng = np.random.default_rng(PROBE_SEED)
        values: dict[int, Rows] = {INPUT: np.asarray(x, dtype=np.float64)}
        for k, part in enumerate(self.parts):
            z = _checked(part, values, rng, self.nonlinearities[k].name)
            values[k] = self.nonlinearities[k].values(z)
        for name, part in self.outputs.items():
            _checked(part, values, rng, name)

    @cached_property
    def difference(self) -> float:
        """The largest distance to the deployed model's values at a few seeded points."""
        x = np.random.default_rng(PROBE_SEED).uniform(size=(PROBES, self.size))
        ours, theirs = self.values(x), self._deployed(x)
        worst = 0.0
        for name, value in ours.items():
            other = theirs[name].reshape(value.shape)
            finite = np.isfinite(value) & np.isfinite(other)
            scale = np.abs(value[finite]).max(initial=0.0)
            if scale > 0:
                worst = max(worst, float(np.abs(value - other)[finite].max() / scale))
        return worst


def _checked(part: Part, values: dict[int, Rows], rng: np.random.Generator, name: str) -> Rows:
    """Return z after comparing v'z with the transposed part's sum, and rows with single ones."""
    z = part.apply(values)
    first = part.apply({p: values[p][:1] for p in part.predecessors})
    finite = np.isfinite(z)
    v = np.where(finite, rng.standard_normal(z.shape), 0.0)
    pulled, constants = part.pull(v)
    total, terms = constants.copy(), np.abs(v * np.where(finite, part.intercept, 0.0)).sum(axis=1)
    for p, rows in pulled.items():
        total += np.einsum("bu,bu->b", rows, values[p])
        terms += np.einsum("bu,bu->b", np.abs(rows), np.abs(values[p]))
    direct = np.where(finite, v * np.where(finite, z, 0.0), 0.0).sum(axis=1)
    scale = terms + np.abs(direct) + np.finfo(np.float64).tiny
    if (np.abs(total - direct) > AGREEMENT * scale).any():
        raise RefusedError(f"{name}: what leads to it is not the affine function that was read.")
    apart = np.abs(z[:1][finite[:1]] - first[finite[:1]])
    if (apart > AGREEMENT * np.abs(z[finite]).max(initial=1.0)).any():
        raise RefusedError(f"{name}: what leads to it mixes the rows of a batch.")
    return z

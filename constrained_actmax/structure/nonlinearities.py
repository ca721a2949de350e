"""The operations between affine parts: each a function of its pre-activations, in float64."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse, special
from typing_extensions import override

from constrained_actmax.layout import Indices, Rows, Vector

Array = npt.NDArray[Any]

SELU_SCALE = 1.0507009873554805  # Klambauer et al. (2017)
SELU_ALPHA = 1.6732632423543772


@dataclass(frozen=True, eq=False)
class Nonlinearity(ABC):
    r"""A nonlinear operation h = φ(z) of the network.

    Parameters
    ----------
    name : str
        The layer that it belongs to.
    kind : str
        Its function: "relu", "sigmoid", "max", "softmax", ...
    size : int
        Pre-activations z for each point.
    units : int
        Results h for each point.
    """

    name: str
    kind: str
    size: int
    units: int

    @abstractmethod
    def values(self, z: Rows) -> Rows:
        """Return h (B, units) at pre-activations (B, size)."""

    @abstractmethod
    def signature(self, z: Rows) -> Array:
        """Return which piece of φ each row lies on, (B, ...).

        The number of the piece for piecewise linear functions, the entry that wins for the largest
        of several; for curved functions the pre-activations themselves, at which tangents are
        taken.
        """

    @abstractmethod
    def pull(self, rows: Array, signature: Array) -> tuple[Array, Array]:
        r"""Carry coefficient rows back through the affine piece of a signature.

        Parameters
        ----------
        rows : numpy.ndarray, shape (B, m, units)
            Coefficients v of h.
        signature : numpy.ndarray, shape (B, ...)

        Returns
        -------
        rows : numpy.ndarray, shape (B, m, size)
            Coefficients w of z.
        constants : numpy.ndarray, shape (B, m)
            :math:`v^T \varphi(z) = w^T z + c` on the piece (on the tangent, where φ is curved).
        """

    @abstractmethod
    def continued(self, z: Rows, signature: Array) -> Rows:
        """Return the affine piece of one signature (the tangent, where φ is curved) at any z.

        Parameters
        ----------
        z : numpy.ndarray, shape (B, size)
        signature : numpy.ndarray
            Of one point, without the leading axis.

        Returns
        -------
        numpy.ndarray, shape (B, units)
        """

    @property
    def piecewise_affine(self) -> bool:
        """Whether φ consists of affine pieces."""
        return False

    def bends(self, signature: Array) -> tuple[Array, Vector, Array]:
        r"""Return how φ departs from one signature's piece behind the boundaries of `sides`.

        Behind boundaries of one group, which share a result,

        .. math:: h = \text{piece}(z) + \beta \max_i (0, -(E z + e)_i).

        Returns
        -------
        units : numpy.ndarray of int, shape (boundaries,)
            The result that bends there.
        bends : numpy.ndarray, shape (boundaries,)
            The change of slope β, > 0 where φ is convex there.
        names : numpy.ndarray of int, shape (boundaries,)
            Which of its boundaries: the kink, or the entry that loses.
        """
        return np.zeros(0, dtype=int), np.zeros(0), np.zeros(0, dtype=int)

    def sides(self, signature: Array) -> tuple[sparse.csr_matrix, Vector]:
        """Return the boundaries of one signature's region: it is {z : E z + e >= 0}.

        Parameters
        ----------
        signature : numpy.ndarray
            Of one point, without the leading axis.

        Returns
        -------
        E : scipy.sparse.csr_matrix, shape (boundaries, size)
        e : numpy.ndarray, shape (boundaries,)
        """
        return sparse.csr_matrix((0, self.size)), np.zeros(0)

    def crossed(self, signature: Array, boundary: int | Indices) -> Array:
        """Return the signature behind one of the boundaries that `sides` lists, or some.

        Of several, no two may be of one result.
        """
        raise IndexError(f"{self.name}: {self.kind} has no boundary {boundary}.")

    def rooms(self, signature: Array) -> Vector:
        r"""Return how far behind each boundary φ bends no more, as -δ there; infinity: for ever."""
        return np.full(len(self.bends(signature)[0]), np.inf)


@dataclass(frozen=True, eq=False)
class Pieces(Nonlinearity):
    """A continuous piecewise linear function of each entry: ReLU, its relatives, clipping, abs.

    Parameters
    ----------
    kinks : numpy.ndarray, shape (K, size)
        Where pieces meet, ascending along the first axis.
    slopes, offsets : numpy.ndarray, shape (K + 1, size)
        Piece i is slopes[i] z + offsets[i].
    """

    kinks: Array
    slopes: Array
    offsets: Array

    @override
    def values(self, z: Rows) -> Rows:
        return self._at(z, self.signature(z))

    @override
    def signature(self, z: Rows) -> Array:
        above = z[..., np.newaxis, :] > self.kinks
        return np.asarray(above.sum(axis=-2), dtype=np.int8)

    @override
    def pull(self, rows: Array, signature: Array) -> tuple[Array, Array]:
        slopes = self._of(self.slopes, signature)
        offsets = self._of(self.offsets, signature)
        return rows * slopes[:, np.newaxis], np.einsum("bmu,bu->bm", rows, offsets)

    piecewise_affine = True

    @override
    def sides(self, signature: Array) -> tuple[sparse.csr_matrix, Vector]:
        units, sign, kink = self._boundaries(signature)
        E = sparse.csr_matrix((sign, (np.arange(len(units)), units)), shape=(len(units), self.size))
        return E, -sign * kink

    @override
    def crossed(self, signature: Array, boundary: int | Indices) -> Array:
        units, sign, _ = self._boundaries(signature)
        new = signature.copy()
        new[units[boundary]] -= sign[boundary].astype(new.dtype)
        return new

    @override
    def rooms(self, signature: Array) -> Vector:
        units, sign, kink = self._boundaries(signature)
        beyond = signature[units].astype(int) - sign.astype(int)
        ends = np.pad(self.kinks, ((1, 1), (0, 0)), constant_values=np.inf)
        return np.asarray(np.abs(ends[beyond + (sign < 0), units] - kink))

    @override
    def continued(self, z: Rows, signature: Array) -> Rows:
        return self._at(z, signature[np.newaxis])

    @override
    def bends(self, signature: Array) -> tuple[Array, Vector, Array]:
        units, sign, _ = self._boundaries(signature)
        below = signature[units].astype(int) - (sign > 0)
        return units, self.slopes[below + 1, units] - self.slopes[below, units], below

    def _boundaries(self, signature: Array) -> tuple[Array, Vector, Vector]:
        """Return units, the sign of z and the kink of every boundary, by units."""
        units = np.arange(self.size)
        count = len(self.kinks)
        above, below = units[signature > 0], units[signature < count]
        order = np.argsort(np.concatenate([above, below]), kind="stable")
        kinks = np.concatenate(
            [
                self.kinks[signature[above].astype(int) - 1, above],
                self.kinks[signature[below].astype(int), below],
            ]
        )
        sign = np.concatenate([np.ones(len(above)), -np.ones(len(below))])
        return np.concatenate([above, below])[order], sign[order], kinks[order]

    def _at(self, z: Rows, piece: Array) -> Rows:
        return np.asarray(self._of(self.slopes, piece) * z + self._of(self.offsets, piece))

    def _of(self, table: Array, piece: Array) -> Array:
        return np.take_along_axis(table[np.newaxis], piece[:, np.newaxis].astype(int), axis=1)[:, 0]


@dataclass(frozen=True, eq=False)
class Windows(Nonlinearity):
    """The largest (or least) of several entries: max-pooling, maxima over axes, of two tensors.

    Parameters
    ----------
    members : numpy.ndarray of int, shape (units, width)
        The entries of z that each result is the largest of; -1 fills up smaller windows.
    sign : {1, -1}
        -1 for the least.
    """

    members: Array
    sign: int = 1

    @override
    def values(self, z: Rows) -> Rows:
        return np.take_along_axis(z, self.signature(z), axis=1)

    @override
    def signature(self, z: Rows) -> Array:
        entries = np.where(self.members >= 0, self.sign * z[:, self.members], -np.inf)
        best = entries.argmax(axis=-1)
        return np.take_along_axis(
            np.broadcast_to(self.members, entries.shape), best[..., np.newaxis], axis=-1
        )[..., 0]

    @override
    def pull(self, rows: Array, signature: Array) -> tuple[Array, Array]:
        pulled = np.empty((*rows.shape[:2], self.size))
        units = np.arange(self.units)
        for b, winners in enumerate(np.broadcast_to(signature, (len(rows), self.units))):
            chosen = sparse.csr_matrix(
                (np.ones(self.units), (units, winners)), shape=(self.units, self.size)
            )
            pulled[b] = rows[b] @ chosen
        return pulled, np.zeros(rows.shape[:2])

    piecewise_affine = True

    @override
    def sides(self, signature: Array) -> tuple[sparse.csr_matrix, Vector]:
        units, losers = self._losers(signature)
        count = len(units)
        E = sparse.csr_matrix(
            (
                self.sign * np.concatenate([np.ones(count), -np.ones(count)]),
                (np.tile(np.arange(count), 2), np.concatenate([signature[units], losers])),
            ),
            shape=(count, self.size),
        )
        return E, np.zeros(count)

    @override
    def crossed(self, signature: Array, boundary: int | Indices) -> Array:
        units, losers = self._losers(signature)
        new = signature.copy()
        new[units[boundary]] = losers[boundary]
        return new

    @override
    def continued(self, z: Rows, signature: Array) -> Rows:
        return np.asarray(z[:, signature])

    @override
    def bends(self, signature: Array) -> tuple[Array, Vector, Array]:
        units, losers = self._losers(signature)
        return units, np.full(len(units), float(self.sign)), losers

    def _losers(self, signature: Array) -> tuple[Array, Array]:
        """Return the result and the other entry of every boundary."""
        others = (self.members >= 0) & (self.members != signature[:, np.newaxis])
        units, positions = np.nonzero(others)
        return units, self.members[units, positions]


@dataclass(frozen=True, eq=False)
class Curved(Nonlinearity):
    """A function that is not piecewise linear; its signature is where tangents are taken."""

    @override
    def signature(self, z: Rows) -> Array:
        return z

    @override
    def pull(self, rows: Array, signature: Array) -> tuple[Array, Array]:
        z = np.broadcast_to(signature, (len(rows), self.size))
        back = self.transposed(rows, z)
        finite = np.where(np.isfinite(z), z, 0.0)  # of log-odds the class itself is left out, -inf
        constants = np.einsum("bmu,bu->bm", rows, self.values(z))
        return back, constants - np.einsum("bms,bs->bm", back, finite)

    @override
    def continued(self, z: Rows, signature: Array) -> Rows:
        at = signature[np.newaxis]
        jacobian = self.transposed(np.eye(self.units)[np.newaxis], at)[0]
        moved = np.where(np.isfinite(at), z, 0.0) - np.where(np.isfinite(at), at, 0.0)
        return np.asarray(self.values(at) + moved @ jacobian.T)

    @abstractmethod
    def transposed(self, rows: Array, z: Rows) -> Array:
        """Return the transposed Jacobian at z (B, size) applied to rows (B, m, units)."""


@dataclass(frozen=True, eq=False)
class Curve(Curved):
    r"""A curved function of each entry, :math:`h = s \varphi(c z)`: sigmoid, tanh, GELU, ...

    Parameters
    ----------
    scale, inner : float
        s and c.
    alpha : float
        The parameter of ELU, or of the cube in GELU's approximation.
    sampled : bool
        Whether several operations make it up and it was recognised by its values at some points.
    """

    scale: float = 1.0
    inner: float = 1.0
    alpha: float = 1.0
    sampled: bool = False

    @override
    def values(self, z: Rows) -> Rows:
        return np.asarray(self.scale * CURVES[self.kind][0](self.inner * z, self.alpha))

    def slopes(self, z: Rows) -> Rows:
        """Return the derivative at every entry."""
        slopes = CURVES[self.kind][1](self.inner * z, self.alpha)
        return np.asarray(self.scale * self.inner * slopes)

    @override
    def continued(self, z: Rows, signature: Array) -> Rows:
        at = signature[np.newaxis]
        return self.values(at) + (z - at) * self.slopes(at)

    @override
    def transposed(self, rows: Array, z: Rows) -> Array:
        return rows * self.slopes(z)[:, np.newaxis]


@dataclass(frozen=True, eq=False)
class Softmax(Curved):
    """Softmax or its logarithm over the last axis of the tensor.

    Parameters
    ----------
    classes : int
        Length of that axis.
    """

    classes: int

    @override
    def values(self, z: Rows) -> Rows:
        split = z.reshape(len(z), -1, self.classes)
        function = special.softmax if self.kind == "softmax" else special.log_softmax
        return np.asarray(function(split, axis=-1)).reshape(z.shape)

    @override
    def transposed(self, rows: Array, z: Rows) -> Array:
        v = rows.reshape(*rows.shape[:2], -1, self.classes)
        p = special.softmax(z.reshape(len(z), 1, -1, self.classes), axis=-1)
        if self.kind == "softmax":
            back = p * (v - (v * p).sum(axis=-1, keepdims=True))
        else:
            back = v - p * v.sum(axis=-1, keepdims=True)
        return np.asarray(back).reshape(rows.shape)


@dataclass(frozen=True, eq=False)
class LogSumExp(Curved):
    r"""The logarithm of a sum of exponentials, :math:`\log \sum_i e^{z_i}`, over windows.

    Parameters
    ----------
    members : numpy.ndarray of int, shape (units, width)
        The entries of z that each result is taken over; they do not overlap.
    """

    members: Array

    @override
    def values(self, z: Rows) -> Rows:
        return np.asarray(special.logsumexp(z[:, self.members], axis=-1))

    @override
    def transposed(self, rows: Array, z: Rows) -> Array:
        p = special.softmax(z[:, self.members], axis=-1)
        back = np.zeros((*rows.shape[:2], self.size))
        back[..., self.members] = rows[..., np.newaxis] * p[:, np.newaxis]
        return back


def _sigmoid_slope(z: Rows) -> Rows:
    return np.asarray(special.expit(z) * special.expit(-z))


def _silu_slope(z: Rows) -> Rows:
    return np.asarray(special.expit(z) + z * _sigmoid_slope(z))


def _normal_density(z: Rows) -> Rows:
    return np.asarray(np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi))


def _tanh_inside(z: Rows, a: float) -> Rows:
    return np.asarray(np.sqrt(2 / np.pi) * (z + a * z**3))


def _gelu_tanh_slope(z: Rows, a: float) -> Rows:
    t = np.tanh(_tanh_inside(z, a))
    inside = np.sqrt(2 / np.pi) * (1 + 3 * a * z * z)
    return np.asarray(0.5 * (1 + t) + 0.5 * z * (1 - t * t) * inside)


def _softplus(z: Rows) -> Rows:
    return np.asarray(np.logaddexp(0.0, z))


def _mish_slope(z: Rows) -> Rows:
    t = np.tanh(_softplus(z))
    return np.asarray(t + z * (1 - t * t) * special.expit(z))


#: Value and derivative of each curve, of z and alpha.
CURVES: dict[str, tuple[Callable[[Rows, float], Rows], Callable[[Rows, float], Rows]]] = {
    "elu": (
        lambda z, a: np.where(z > 0, z, a * np.expm1(np.minimum(z, 0.0))),
        lambda z, a: np.where(z > 0, 1.0, a * np.exp(np.minimum(z, 0.0))),
    ),
    "selu": (
        lambda z, a: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0.0))),
        lambda z, a: SELU_SCALE * np.where(z > 0, 1.0, SELU_ALPHA * np.exp(np.minimum(z, 0.0))),
    ),
    "sigmoid": (lambda z, a: special.expit(z), lambda z, a: _sigmoid_slope(z)),
    "tanh": (lambda z, a: np.tanh(z), lambda z, a: 1 / np.cosh(np.clip(z, -350, 350)) ** 2),
    "softplus": (lambda z, a: _softplus(z), lambda z, a: special.expit(z)),
    "softsign": (lambda z, a: z / (1 + np.abs(z)), lambda z, a: 1 / (1 + np.abs(z)) ** 2),
    "exp": (lambda z, a: np.exp(z), lambda z, a: np.exp(z)),
    "expm1": (lambda z, a: np.expm1(z), lambda z, a: np.exp(z)),
    "log": (lambda z, a: np.log(z), lambda z, a: 1 / z),
    "log1p": (lambda z, a: np.log1p(z), lambda z, a: 1 / (1 + z)),
    "square": (lambda z, a: z * z, lambda z, a: 2 * z),
    "sqrt": (lambda z, a: np.sqrt(z), lambda z, a: 0.5 / np.sqrt(z)),
    "silu": (lambda z, a: z * special.expit(z), lambda z, a: _silu_slope(z)),
    "gelu": (
        lambda z, a: z * special.ndtr(z),
        lambda z, a: special.ndtr(z) + z * _normal_density(z),
    ),
    "gelu_tanh": (
        lambda z, a: 0.5 * z * (1 + np.tanh(_tanh_inside(z, a))),
        lambda z, a: _gelu_tanh_slope(z, a),
    ),
    "mish": (lambda z, a: z * np.tanh(_softplus(z)), lambda z, a: _mish_slope(z)),
    "hard_silu": (
        lambda z, a: z * np.clip(z + 3, 0, 6) / 6,
        lambda z, a: np.where(z <= -3, 0.0, np.where(z >= 3, 1.0, (2 * z + 3) / 6)),
    ),
}

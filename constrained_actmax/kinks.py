"""The affine pieces of a problem on a piecewise affine network, and directions across its kinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from constrained_actmax.errors import RefusedError
from constrained_actmax.kernels.row_program import LinearProgram, row_program
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.structure import Signature
from constrained_actmax.structure.part import Part

#: Random directions by which the length of a kink's normal is estimated; their seed.
PROBES, PROBE_SEED = 4, 20265
#: A number that moves by less than this share of the largest does not move at all.
STILL = 1e-10
#: Directions across more kinks than this are not searched.
MOST_KINKS = 400
#: A direction counts as keeping to the network within this.
EXACT = 1e-7
#: Entries of the input and units of the network up to which linear programs over its regions pay.
MOST_ENTRIES, MOST_UNITS = 1100, 40_000


@dataclass(frozen=True)
class Direction:
    r"""The answer of `Region.descent`.

    Parameters
    ----------
    slope : float
        The most by which f falls, to first order across kinks, within one size of the set.
    way : numpy.ndarray, shape (n,)
        Along which it falls by that.
    gradient : numpy.ndarray, shape (n,), or None
        Of the Lagrangian with the kinks' multipliers, :math:`\nabla f - \sum_k \lambda_k a_k`,
        where one linear program decided.
    """

    slope: float
    way: Vector
    gradient: Vector | None = None


class Kinks:
    """A problem's functions in terms of the regions in which they are affine.

    Parameters
    ----------
    problem : StandardForm
        In its own units.
    count : callable, optional
        Told of the rows of every forward and transposed pass.
    """

    def __init__(self, problem: StandardForm, count: Callable[[int], None] | None = None) -> None:
        self.problem = problem
        #: The network, and what leads from its functions to f and c.
        self.structure, self.weights = problem.network()
        self.count = count or (lambda rows: None)
        self.units = np.broadcast_to(problem.units, (problem.size,))

    @property
    def functions(self) -> Part:
        """The last affine part."""
        return self.structure.outputs["functions"]

    def region(self, y: Vector, like: Region | None = None) -> Region:
        """Return the region that a point lies in; at a kink, one of them.

        Parameters
        ----------
        y : numpy.ndarray, shape (n,)
        like : Region, optional
            The region of which the point is known to be: only the tangents are taken anew.
        """
        self.count(1)
        signature = self.structure.signature(self.problem.original(y[np.newaxis]))
        if like is not None:
            both = zip(self.structure.nonlinearities, signature, like.signature, strict=True)
            signature = tuple(old if one.piecewise_affine else new for one, new, old in both)
        return Region(self, signature)

    def values(self, y: Rows) -> Rows:
        """Return f and c (B, 1 + m) of the network in float64."""
        self.count(len(y))
        return self.structure.values(self.problem.original(y))["functions"] * self.weights


def refusal(problem: StandardForm, most_units: int = MOST_UNITS) -> str | None:
    """Return why a problem has no regions that programs could walk through; None if it has."""
    if problem.smooth is not False:
        return "the model has no kinks"
    if not problem.set.convex:
        return "the set is not convex"
    if problem.size > MOST_ENTRIES:
        return f"{problem.size:,} entries are more than its programs take ({MOST_ENTRIES:,})"
    try:
        structure = problem.network().structure
    except RefusedError as refused:
        return str(refused).rstrip(".")
    units = sum(one.size for one in structure.nonlinearities)
    if units > most_units:
        return f"{units:,} units are more than its programs take ({most_units:,})"
    return None


class Region:
    r"""The polyhedron of one signature, with the affine functions that f and c are in it.

    Its boundaries have numbers, layer by layer; boundary i is :math:`\delta_i \ge 0` inside.

    Parameters
    ----------
    kinks : Kinks
        Of which problem.
    signature : tuple of numpy.ndarray
        Of one point, with a leading axis of length 1.
    """

    def __init__(self, kinks: Kinks, signature: Signature) -> None:
        self.kinks, self.signature = kinks, signature

    @cached_property
    def key(self) -> bytes:
        """The same for the same signature."""
        return b"".join(one.tobytes() for one in self.signature)

    @cached_property
    def _sides(self) -> list[tuple[sp.csr_matrix, Vector]]:
        pairs = zip(self.kinks.structure.nonlinearities, self.signature, strict=True)
        return [one.sides(signature[0]) for one, signature in pairs]

    @cached_property
    def _bends(self) -> tuple[Indices, Indices, Vector, Indices]:
        """Layer, unit, bend and name of every boundary."""
        layers, units, bends, names = [], [], [], []
        pairs = zip(self.kinks.structure.nonlinearities, self.signature, strict=True)
        for k, (one, signature) in enumerate(pairs):
            unit, bend, name = one.bends(signature[0])
            layers.append(np.full(len(unit), k))
            units.append(unit)
            bends.append(bend)
            names.append(name)
        none = np.zeros(0, dtype=int)
        return (
            np.concatenate([none, *layers]),
            np.concatenate([none, *units]),
            np.concatenate([np.zeros(0), *bends]),
            np.concatenate([none, *names]),
        )

    @cached_property
    def _first(self) -> Indices:
        """The number of each layer's first boundary."""
        return np.cumsum([0, *(E.shape[0] for E, _ in self._sides)])

    @cached_property
    def _codes(self) -> Indices:
        """One number for each boundary, the same in other regions."""
        layers, units, _, names = self._bends
        sizes = [max(one.units, one.size) + 1 for one in self.kinks.structure.nonlinearities]
        most = max(sizes, default=1)
        return (layers * most + units) * most + names

    @cached_property
    def slopes(self) -> tuple[Rows, Vector]:
        """Gradients (1 + m, n) and offsets (1 + m,) of f and c in the region."""
        kinks = self.kinks
        kinks.count(kinks.functions.size)
        slopes, offsets = kinks.structure.affine(self.signature, kinks.functions)
        weights = kinks.weights
        return weights[:, np.newaxis] * slopes[0] * kinks.units, weights * offsets[0]

    def distances(self, y: Rows, moved: dict[int, Rows] | None = None) -> Rows:
        """Return every δ (B, boundaries), as affine functions, at any points."""
        kinks = self.kinks
        kinks.count(len(y))
        z, _ = kinks.structure.continued(self.signature, y * kinks.units, moved)
        found = [np.asarray((E @ one.T).T + e) for (E, e), one in zip(self._sides, z, strict=True)]
        return np.concatenate([np.zeros((len(y), 0)), *found], axis=1)

    def layers(self, boundaries: Indices) -> Indices:
        """Return the number of the nonlinearity of each of some boundaries."""
        return self._bends[0][boundaries]

    def rows(self, boundaries: Indices) -> tuple[Rows, Vector]:
        """Return slopes (r, n) and offsets (r,) of some δ."""
        return self._pulled(boundaries)[:2]

    def _pulled(
        self, boundaries: Indices, units: tuple[Indices, Indices] | None = None
    ) -> tuple[Rows, Vector, Rows]:
        """Return slopes and offsets of some δ, and how they change with results of some units."""
        kinks = self.kinks
        n = kinks.problem.size
        slopes, offsets = np.zeros((len(boundaries), n)), np.zeros(len(boundaries))
        count = 0 if units is None else len(units[0])
        effects = np.zeros((len(boundaries), count))
        for k, part in enumerate(kinks.structure.parts):
            first, last = self._first[k], self._first[k + 1]
            at = np.flatnonzero((boundaries >= first) & (boundaries < last))
            if not at.size:
                continue
            E, e = self._sides[k]
            chosen = boundaries[at] - first
            rows = E[chosen].toarray()
            effects[at], slopes[at], offsets[at] = self._carried(part, rows, units, count)
            offsets[at] += e[chosen]
        return slopes * kinks.units, offsets, effects

    def _carried(
        self, part: Part, rows: Rows, units: tuple[Indices, Indices] | None, count: int
    ) -> tuple[Rows, Rows, Vector]:
        """Carry rows of a part's result back to the input, and note what units contribute."""
        kinks = self.kinks
        kinks.count(len(rows))
        effects = np.zeros((len(rows), count))

        def through(k: int, rows: Any) -> tuple[Any, Any]:
            if units is not None:
                here = np.flatnonzero(units[0] == k)
                effects[:, here] = rows[0][:, units[1][here]]
            return kinks.structure.nonlinearities[k].pull(rows, self.signature[k])

        slopes, offsets = kinks.structure.back_substitute(part, rows[np.newaxis], through)
        return effects, slopes[0], offsets[0]

    # -- kinks -----------------------------------------------------------------------------------

    @cached_property
    def lengths(self) -> Vector:
        """Estimates of the lengths of the boundaries' normals."""
        n = self.kinks.problem.size
        ways = np.random.default_rng(PROBE_SEED).standard_normal((PROBES, n))
        found = self.distances(np.concatenate([np.zeros((1, n)), ways]))
        # What never wins, such as the class itself among its rivals, stands at minus infinity.
        found[:, ~np.isfinite(found).all(axis=0)] = 0.0
        return np.asarray(np.sqrt(np.mean((found[1:] - found[0]) ** 2, axis=0)))

    def tight(self, y: Vector, tolerance: float) -> Indices:
        """Return the boundaries that a point lies on, within a distance.

        Those that do not move with the input are kinks only where they move with what bends.
        """
        delta, length = self.distances(y[np.newaxis])[0], self.lengths
        largest = float(length.max(initial=0.0))
        moving = length > STILL * largest
        tight = moving & (np.abs(delta) <= tolerance * length)
        still = np.flatnonzero(~moving & (np.abs(delta) <= STILL * max(largest, 1e-300)))
        layers, units, _, _ = self._bends
        rng = np.random.default_rng(PROBE_SEED)
        while still.size and tight.any():
            moved: dict[int, Rows] = {}
            for k in np.unique(layers[tight]).tolist():
                moved[k] = np.zeros((1, self.kinks.structure.nonlinearities[k].units))
                here = units[tight & (layers == k)]
                moved[k][0, here] = largest * (0.5 + rng.uniform(size=here.size))
            changed = np.abs(self.distances(y[np.newaxis], moved)[0] - delta)
            more = still[changed[still] > STILL * largest]
            if not more.size:
                break
            tight[more] = True
            still = np.setdiff1d(still, more)
        return np.flatnonzero(tight)

    def crossed(self, boundary: int) -> Region:
        """Return the region behind a boundary."""
        k = int(np.searchsorted(self._first, boundary, side="right")) - 1
        signature = list(self.signature)
        one = self.kinks.structure.nonlinearities[k]
        signature[k] = one.crossed(signature[k][0], boundary - int(self._first[k]))[np.newaxis]
        return Region(self.kinks, tuple(signature))

    def same_boundaries(self, boundaries: Indices, other: Region) -> Indices:
        """Return the numbers that boundaries of another region have here; -1 where they are gone.

        Of a largest of several entries whose winner changed, the boundary between the two stays.
        """
        order = np.argsort(self._codes, kind="stable")
        codes = other._codes[boundaries]
        places = np.searchsorted(self._codes[order], codes)
        places = np.minimum(places, max(0, len(order) - 1))
        found = order[places]
        gone = self._codes[found] != codes
        if gone.any():
            layers, units, _, _ = other._bends
            for i in np.flatnonzero(gone).tolist():
                layer, unit = layers[boundaries[i]], units[boundaries[i]]
                here = np.flatnonzero((self._bends[0] == layer) & (self._bends[1] == unit))
                names = other._bends[3][(other._bends[0] == layer) & (other._bends[1] == unit)]
                new = here[~np.isin(self._bends[3][here], names)]
                found[i] = new[0] if new.size else -1
        return np.asarray(found)

    def groups(self, boundaries: Indices) -> tuple[Indices, Indices]:
        """Return for each boundary the number of its result, and the first of each result's."""
        layers, units, _, _ = self._bends
        code = layers[boundaries] * (1 + int(units.max(initial=0))) + units[boundaries]
        _, first, which = np.unique(code, return_index=True, return_inverse=True)
        return which, first

    def crossing_gains(self, boundaries: Indices, multipliers: Vector, outer: Vector) -> Vector:
        r"""Return, for each of some tight boundaries, how much crossing it pays.

        With the multipliers λ >= 0 of the region's program, :math:`\ell = f + \mu^T c - \sum_k
        \lambda_k \delta_k`, and :math:`c_u` its change as the result u of a kink grows by what
        bends there, crossing pays where :math:`\sum_i \lambda_i > c_u`, the sum over the
        boundaries of u [1]_. With no such u the point is a local minimum, whether the normals are
        independent or not: for every direction, :math:`f \ge \sum_u p_u (c_u - \sum_i \lambda_i)`
        with the amounts :math:`p_u \ge 0` by which results bend.

        Parameters
        ----------
        boundaries : numpy.ndarray of int, shape (r,)
        multipliers : numpy.ndarray, shape (r,)
        outer : numpy.ndarray, shape (m,)
            Multipliers of c, > 0 at an upper bound.

        References
        ----------
        .. [1] Griewank, Walther (2016), First- and second-order optimality conditions for piecewise
           smooth objective functions, Optimization Methods and Software 31.
        """
        kinks = self.kinks
        which, first = self.groups(boundaries)
        layers, units, bends, _ = self._bends
        at = layers[boundaries[first]], units[boundaries[first]]
        weights = np.append(1.0, outer) * kinks.weights
        total, _, _ = self._carried(kinks.functions, weights[np.newaxis], at, len(first))
        for k, part in enumerate(kinks.structure.parts):
            here = np.flatnonzero((layers[boundaries] == k) & (multipliers > 0))
            if here.size:
                E, _ = self._sides[k]
                row = multipliers[here] @ E[boundaries[here] - self._first[k]]
                total -= self._carried(part, np.atleast_2d(row), at, len(first))[0]
        cost = bends[boundaries[first]] * total[0]
        paid = np.bincount(which, weights=multipliers, minlength=len(first))
        return np.asarray((paid - cost)[which])

    def descent(self, y: Vector, tight: Indices) -> Direction | None:
        r"""Return the steepest direction from a point across its tight kinks; None if undecided.

        With :math:`p_u \ge 0` the amount by which the result u bends, f and every δ are affine in
        the direction d and p, and :math:`p_u = \max_i (0, -\delta_i)`. The program with ``>=``
        alone is a bound; where its solution breaks the equality, one binary variable for each
        boundary holds it.
        """
        kinks, problem = self.kinks, self.kinks.problem
        if len(tight) > MOST_KINKS:
            return None
        which, first = self.groups(tight)
        layers, units, bends, _ = self._bends
        at = layers[tight[first]], units[tight[first]]
        beta = bends[tight[first]]
        a, _, effects = self._pulled(tight, at)
        effects = effects * beta
        outputs, slopes, _ = self._carried(kinks.functions, np.diag(kinks.weights), at, len(first))
        outputs, slopes = outputs * beta, slopes * kinks.units
        most = self._most_bent(a, effects, which, layers[tight])
        rows = [np.concatenate([a, effects + np.eye(len(first))[which]], axis=1)]
        low, high = [a @ y], [np.full(len(tight), np.inf)]
        if problem.constraints:
            c = kinks.values(y[np.newaxis])[0, 1:]
            rows.append(np.concatenate([slopes[1:], outputs[1:]], axis=1))
            low.append(np.minimum(problem.lower - c, 0.0) + slopes[1:] @ y)
            high.append(np.maximum(problem.upper - c, 0.0) + slopes[1:] @ y)
        g = np.append(slopes[0], outputs[0])
        box = y - 1.0, y + 1.0
        program = row_program(problem.set, problem.size, (np.zeros(len(first)), most))
        program.extend(np.concatenate(rows), np.concatenate(low), np.concatenate(high))
        found = program.minimum(g, *box)
        if found is None:
            return None

        def broken(x: Vector) -> bool:
            d, p = x[: y.size] - y, x[y.size : y.size + len(first)]
            bent = np.zeros(len(first))
            np.maximum.at(bent, which, -(a @ d + effects @ p))
            return bool(np.any(np.abs(p - bent) > EXACT * (1.0 + most)))

        slope = float(g[: y.size] @ y - g @ found.x)
        if slope <= EXACT or not broken(found.x):
            gradient = slopes[0] - found.multipliers[: len(tight)] @ a
            return Direction(max(0.0, slope), found.x[: y.size] - y, gradient)
        if not isinstance(program, LinearProgram):
            return None
        # One binary variable a boundary says which of them p equals; the last of each result, zero.
        r, u = len(tight), len(first)
        program = row_program(
            problem.set,
            problem.size,
            (np.zeros(2 * u + r), np.concatenate([most, np.ones(u + r)])),
        )
        assert isinstance(program, LinearProgram)
        spare = [np.zeros((len(one), u + r)) for one in rows]
        both = [np.concatenate(pair, axis=1) for pair in zip(rows, spare, strict=True)]
        program.extend(np.concatenate(both), np.concatenate(low), np.concatenate(high))
        choice = np.concatenate([np.eye(u), np.eye(u)[:, which]], axis=1)
        n = y.size
        program.extend(
            np.concatenate([np.zeros((u, n + u)), choice], axis=1), np.ones(u), np.ones(u)
        )
        inactive = np.concatenate(
            [np.zeros((u, n)), np.eye(u), np.diag(most), np.zeros((u, r))], axis=1
        )
        program.extend(inactive, np.full(u, -np.inf), most)
        above = np.abs(a).sum(axis=1) + np.abs(effects) @ most + most[which]
        held = np.concatenate([rows[0], np.zeros((r, u)), np.diag(above)], axis=1)
        program.extend(held, np.full(r, -np.inf), a @ y + above)
        program.make_binary(u + r)
        found = program.minimum(np.append(g, np.zeros(u + r)), *box)
        if found is None or broken(found.x):
            return None
        slope = float(g[:n] @ y - g @ found.x[: n + u])
        return Direction(max(0.0, slope), found.x[:n] - y)

    def _most_bent(self, a: Rows, effects: Rows, which: Indices, layers: Indices) -> Vector:
        """Return how much each result can bend within one size of the set."""
        most = np.zeros(effects.shape[1])
        for k in np.unique(layers).tolist():
            here = np.flatnonzero(layers == k)
            bound = np.abs(a[here]).sum(axis=1) + np.abs(effects[here]) @ most
            np.maximum.at(most, which[here], bound)
        return most

    def along(self, y: Vector, tight: Indices, way: Vector) -> Region:
        """Return the region that a direction from a point leads into, across its tight kinks."""
        region, delta = self, np.zeros(0)
        layers, _, _, _ = self._bends
        pending = tight
        for k in np.unique(layers[tight]).tolist():
            for _ in range(2 * len(tight) + 1):
                here = pending[region._bends[0][pending] == k]
                delta = region.rows(here)[0] @ way
                if not delta.size or delta.min() >= -STILL * max(1.0, float(np.abs(delta).max())):
                    break
                crossed = region.crossed(int(here[delta.argmin()]))
                pending = crossed.same_boundaries(pending, region)
                region = crossed
        return region


def steepest(problem: StandardForm, y: Vector, tolerance: float) -> Direction | None:
    """Return the direction in which f falls most from a point at kinks, across them.

    Parameters
    ----------
    problem : StandardForm
        In its own units.
    y : numpy.ndarray, shape (n,)
        The point.
    tolerance : float
        Distance within which it lies on a kink.

    Returns
    -------
    Direction or None
        None where it lies on no kink, or the search for a direction was not decided.
    """
    region = Kinks(problem).region(y)
    tight = region.tight(y, tolerance)
    if not tight.size:
        return None
    return region.descent(y, tight)

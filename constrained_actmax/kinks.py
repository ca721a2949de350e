"""The affine pieces of a problem on a piecewise affine network, and directions across its kinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from constrained_actmax.errors import RefusedError
from constrained_actmax.kernels.row_program import LinearProgram, RowProgram, row_program
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.structure import Pieces, Signature
from constrained_actmax.structure.part import Part

#: Random directions by which the length of a kink's normal is estimated; their seed.
PROBES, PROBE_SEED = 4, 20265
#: A number that moves by less than this share of the largest does not move at all.
STILL = 1e-10
#: Directions across more kinks are not searched.
MOST_KINKS = 2000
#: Binary variables times kinks of a search of directions, the limit on its work: 50 times 320 take
#: 9 seconds with 784 inputs.
MOST_HELD = 20_000
#: Boundaries whose slopes are taken at once: coefficients of their layer's entries are dense.
ROWS_AT_ONCE = 256
#: An entry of x this near to its bound moves one way.
AT_BOUND = 1e-9
#: A direction counts as keeping to the network within this.
EXACT = 1e-7
#: Entries of the input and units of the network up to which linear programs over its regions pay.
MOST_ENTRIES, MOST_UNITS = 1100, 60_000


@dataclass(frozen=True)
class Direction:
    r"""The answer of `Region.descent`.

    Parameters
    ----------
    slope : float
        The most by which f falls, to first order across kinks, within one size of the set; where
        the search was not decided, a bound on it from above.
    way : numpy.ndarray, shape (n,)
        Along which it falls by that, where the search was decided.
    gradient : numpy.ndarray, shape (n,), or None
        Of the Lagrangian with the kinks' multipliers, :math:`\nabla f + \mu^T \nabla c - \sum_k
        \lambda_k a_k`, where one linear program decided.
    outer : numpy.ndarray, shape (m,), or None
        The multipliers μ of c of the same program, > 0 at an upper bound.
    undecided : int
        Kinks that meet at the point, if no limit on the work let the search be decided; else 0.
    """

    slope: float
    way: Vector
    gradient: Vector | None = None
    outer: Vector | None = None
    undecided: int = 0


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
        network = problem.network()
        self.structure, self.weights = network.structure.joined, network.weights
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
            signature = tuple(
                old if nonlinearity.piecewise_affine else new for nonlinearity, new, old in both
            )
        return Region(self, signature)

    def values(self, y: Rows) -> Rows:
        """Return f and c (B, 1 + m) of the network in float64."""
        self.count(len(y))
        return self.structure.values(self.problem.original(y))["functions"] * self.weights


def refusal(problem: StandardForm) -> str | None:
    """Return why a problem has no regions that programs could walk through; None if it has."""
    if problem.smooth is not False:
        return "the model has no kinks"
    if not problem.set.convex:
        return "the set is not convex"
    if problem.size > MOST_ENTRIES:
        return f"{problem.size:,} entries are more than its programs take ({MOST_ENTRIES:,})"
    try:
        count = units(problem)
    except RefusedError as refused:
        return str(refused).rstrip(".")
    if count > MOST_UNITS:
        return f"{count:,} units are more than its programs take ({MOST_UNITS:,})"
    return None


def units(problem: StandardForm) -> int:
    """Return how many units the network has, or raise `RefusedError` where it cannot be read."""
    return sum(nonlinearity.size for nonlinearity in problem.network().structure.nonlinearities)


def later_units(problem: StandardForm) -> int:
    """Return how many units come after others that bend: rows of their kinks take passes."""
    structure = problem.network().structure.joined
    first = structure.first_layers
    sizes = [nonlinearity.size for nonlinearity in structure.nonlinearities]
    return sum(size for k, size in enumerate(sizes) if k not in first)


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
        return b"".join(side.tobytes() for side in self.signature)

    @cached_property
    def _sides(self) -> list[tuple[sp.csr_matrix, Vector]]:
        pairs = zip(self.kinks.structure.nonlinearities, self.signature, strict=True)
        return [nonlinearity.sides(signature[0]) for nonlinearity, signature in pairs]

    @cached_property
    def _bends(self) -> tuple[Indices, Indices, Vector, Indices]:
        """Layer, unit, bend and name of every boundary."""
        layers, units, bends, names = [], [], [], []
        pairs = zip(self.kinks.structure.nonlinearities, self.signature, strict=True)
        for k, (nonlinearity, signature) in enumerate(pairs):
            unit, bend, name = nonlinearity.bends(signature[0])
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
        sizes = [
            max(nonlinearity.units, nonlinearity.size) + 1
            for nonlinearity in self.kinks.structure.nonlinearities
        ]
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
        rooms = [
            np.asarray((E @ values.T).T + e) for (E, e), values in zip(self._sides, z, strict=True)
        ]
        return np.concatenate([np.zeros((len(y), 0)), *rooms], axis=1)

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
            if k in kinks.structure.first_layers:  # its own numbers: no pass through the network
                W, b = kinks.structure.first_layers[k]
                own = E[boundaries[at] - first]
                slopes[at] = (own @ W).toarray()
                offsets[at] = own @ b + e[boundaries[at] - first]
                continue
            for some in np.array_split(at, -(-at.size // ROWS_AT_ONCE)):
                chosen = boundaries[some] - first
                rows = E[chosen].toarray()
                effects[some], slopes[some], offsets[some] = self._carried(part, rows, units, count)
                offsets[some] += e[chosen]
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
        distances = self.distances(np.concatenate([np.zeros((1, n)), ways]))
        # What never wins, such as the class itself among its rivals, stands at minus infinity.
        distances[:, ~np.isfinite(distances).all(axis=0)] = 0.0
        return np.asarray(np.sqrt(np.mean((distances[1:] - distances[0]) ** 2, axis=0)))

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

    def crossed(self, boundaries: Indices) -> Region:
        """Return the region behind some boundaries, no two of one result."""
        signature = list(self.signature)
        layers = self.layers(boundaries)
        for k in np.unique(layers).tolist():
            nonlinearity = self.kinks.structure.nonlinearities[k]
            here = boundaries[layers == k] - self._first[k]
            signature[k] = nonlinearity.crossed(signature[k][0], here)[np.newaxis]
        return Region(self.kinks, tuple(signature))

    def changed(self, boundaries: Indices, other: Region) -> np.ndarray:
        """Return which of some boundaries may have other slopes than in another region."""
        pairs = list(zip(self.signature, other.signature, strict=True))
        layers = [k for k, (side, two) in enumerate(pairs) if not np.array_equal(side, two)]
        changed = self.layers(boundaries) > min(layers, default=len(pairs))
        for k in layers:
            here = np.flatnonzero(self.layers(boundaries) == k)
            units = self._bends[1][boundaries[here]]
            changed[here] |= pairs[k][0][0, units] != pairs[k][1][0, units]
        return changed

    def same_boundaries(self, boundaries: Indices, other: Region) -> Indices:
        """Return the numbers that boundaries of another region have here; -1 where they are gone.

        Of a largest of several entries whose winner changed, the boundary between the two stays.
        """
        order = np.argsort(self._codes, kind="stable")
        codes = other._codes[boundaries]
        positions = np.searchsorted(self._codes[order], codes)
        positions = np.minimum(positions, max(0, len(order) - 1))
        matches = order[positions]
        gone = self._codes[matches] != codes
        if gone.any():
            layers, units, _, _ = other._bends
            for i in np.flatnonzero(gone).tolist():
                layer, unit = layers[boundaries[i]], units[boundaries[i]]
                here = np.flatnonzero((self._bends[0] == layer) & (self._bends[1] == unit))
                names = other._bends[3][(other._bends[0] == layer) & (other._bends[1] == unit)]
                new = here[~np.isin(self._bends[3][here], names)]
                matches[i] = new[0] if new.size else -1
        return np.asarray(matches)

    @cached_property
    def _ways(self) -> Indices:
        """One number for all boundaries behind which one result bends the same way."""
        _, _, _, names = self._bends
        alone = [
            isinstance(nonlinearity, Pieces) for nonlinearity in self.kinks.structure.nonlinearities
        ]
        return self._codes - np.where(np.array(alone, dtype=bool)[self._bends[0]], 0, names)

    def results(self, boundaries: Indices) -> Indices:
        """Return one number for each boundary: the same for those of one result."""
        return self._codes[boundaries] - self._bends[3][boundaries]

    def ways(self, boundaries: Indices) -> Indices:
        """Return one number for each boundary: the same where one result bends the same way."""
        return self._ways[boundaries]

    def groups(self, boundaries: Indices) -> tuple[Indices, Indices]:
        """Return for each boundary the number of its way, and the first boundary of each way."""
        _, first, which = np.unique(self.ways(boundaries), return_index=True, return_inverse=True)
        return which, first

    @cached_property
    def _rooms(self) -> Vector:
        pairs = zip(self.kinks.structure.nonlinearities, self.signature, strict=True)
        rooms = [nonlinearity.rooms(signature[0]) for nonlinearity, signature in pairs]
        return np.concatenate([np.zeros(0), *rooms])

    def rooms(self, boundaries: Indices) -> Vector:
        """Return how far results go on bending the same way behind some boundaries."""
        return self._rooms[boundaries]

    def moved(self, boundaries: Indices, amounts: Vector) -> dict[int, Rows]:
        """Return what results are moved by that bend behind boundaries by amounts p (r,)."""
        layers, units, bends, _ = self._bends
        moves: dict[int, Rows] = {}
        for k in np.unique(layers[boundaries]).tolist():
            here = layers[boundaries] == k
            moves[k] = np.zeros((1, self.kinks.structure.nonlinearities[k].units))
            by = (bends[boundaries] * amounts)[here]
            np.add.at(moves[k][0], units[boundaries[here]], by)
        return moves

    def behind(self, boundaries: Indices, amounts: Vector) -> Vector:
        """Return for every boundary how far its result has bent the way of one of some."""
        if not boundaries.size:
            return np.zeros(len(self._ways))
        ways = self.ways(boundaries)
        order = np.argsort(ways)
        positions = np.searchsorted(ways[order], self._ways)
        positions = order[np.minimum(positions, len(order) - 1)]
        return np.where(ways[positions] == self._ways, amounts[positions], 0.0)

    def effects(self, boundaries: Indices, bent: Indices) -> tuple[Rows, Vector, Rows]:
        """Return slopes (r, n) and offsets (r,) of some δ, and their slopes (r, u) in amounts p.

        By the amounts p (u,) results bend behind the boundaries `bent`.
        """
        layers, units, bends, _ = self._bends
        a, b, effects = self._pulled(boundaries, (layers[bent], units[bent]))
        return a, b, effects * bends[bent]

    def output_effects(self, bent: Indices) -> Rows:
        """Return the slopes (1 + m, u) of f and c in such amounts."""
        layers, units, bends, _ = self._bends
        weights = np.diag(self.kinks.weights)
        at = layers[bent], units[bent]
        outputs, _, _ = self._carried(self.kinks.functions, weights, at, len(bent))
        return outputs * bends[bent]

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
        which, first = self.groups(boundaries)
        cost = self.costs(boundaries[first], boundaries, multipliers, outer)
        paid = np.bincount(which, weights=multipliers, minlength=len(first))
        return np.asarray((paid - cost)[which])

    def costs(
        self, bent: Indices, boundaries: Indices, multipliers: Vector, outer: Vector
    ) -> Vector:
        r"""Return how \ell changes as results bend behind the boundaries `bent`, the c_u (u,)."""
        kinks = self.kinks
        layers, units, bends, _ = self._bends
        at = layers[bent], units[bent]
        weights = np.append(1.0, outer) * kinks.weights
        total, _, _ = self._carried(kinks.functions, weights[np.newaxis], at, len(bent))
        for k, part in enumerate(kinks.structure.parts):
            here = np.flatnonzero((layers[boundaries] == k) & (multipliers > 0))
            if here.size:
                E, _ = self._sides[k]
                row = multipliers[here] @ E[boundaries[here] - self._first[k]]
                total -= self._carried(part, np.atleast_2d(row), at, len(bent))[0]
        return np.asarray(bends[bent] * total[0])

    def descent(self, y: Vector, tight: Indices, enough: float = np.inf) -> Direction:
        r"""Return the steepest direction from a point across its tight kinks.

        With :math:`p_u \ge 0` the amount by which the result u bends, f and every δ are affine in
        the direction d and p, and :math:`p_u = \max_i (0, -\delta_i)`. The program with ``>=``
        alone is a bound. Results at which its solution breaks the equality get an upper bound on
        p, linear in the entries of d whose sign is known as x is at a bound (`_most_along`): where
        those alone move a result, p cannot grow without d. Those that still break it are held to
        it by one binary variable for each of their boundaries, until the bound is 0 or none does,
        or a limit on the work ends the search undecided, with the last bound. A direction of a
        bound along which f falls by more than `enough` ends it too.
        """
        problem = self.kinks.problem
        undecided = Direction(np.inf, np.zeros(y.size), undecided=len(tight))
        if len(tight) > MOST_KINKS:
            return undecided
        which, first = self.groups(tight)
        a, _, effects = self.effects(tight, tight[first])
        outputs, slopes = self.output_effects(tight[first]), self.slopes[0]
        least, largest = (np.clip(bound - y, -1.0, 1.0) for bound in problem.set.bounds())
        fall = np.maximum(-a * least, -a * largest).sum(axis=1)
        most = self._most_bent(fall, effects, which, self.layers(tight))
        rise = np.maximum(a * least, a * largest).sum(axis=1)
        above = np.maximum(rise, 0.0) + np.maximum(effects, 0.0) @ most + most[which]
        rows = np.concatenate([a, effects + np.eye(len(first))[which]], axis=1)
        equalities = _Equalities(which, rows, most, above)
        g = np.append(slopes[0], outputs[0])
        program = row_program(problem.set, problem.size)
        program.widen(most)
        program.extend(rows, a @ y, np.full(len(tight), np.inf))
        self._bound_outputs(program, y, outputs[1:])
        n, u, binaries = y.size, len(first), 0
        held, bounded = np.zeros(u, dtype=bool), np.zeros(u, dtype=bool)
        of_bounds = np.zeros((0, n))
        while True:
            solution = program.minimum(np.append(g, np.zeros(binaries)), y - 1.0, y + 1.0)
            if solution is None:
                return undecided
            d, p = solution.x[:n] - y, solution.x[n : n + u]
            bent = np.zeros(u)
            np.maximum.at(bent, which, -(a @ d + effects @ p))
            slope = -float(g @ np.append(d, p))
            undecided = replace(undecided, slope=slope, way=d)
            broken = np.abs(p - bent) > EXACT * (1.0 + most)
            if slope <= EXACT or not broken.any():
                if binaries:
                    return Direction(max(0.0, slope), d)
                ends = np.cumsum([len(tight), problem.constraints])
                of_kinks, of_c, of_p = np.split(solution.multipliers, ends)
                gradient = slopes[0] - of_kinks @ a - of_c @ slopes[1:] - of_p @ of_bounds
                return Direction(max(0.0, slope), d, gradient, -of_c)
            if np.isfinite(enough):
                fall = -float(self.along(tight, d).slopes[0][0] @ d)
                if fall > enough:
                    return Direction(fall, d)
            if (broken & ~bounded).any():
                some = np.flatnonzero(broken & ~bounded)
                A, high = _most_along(a, effects, which, some, least, largest)
                program.extend(A, np.full(len(some), -np.inf), high + A[:, :n] @ y)
                of_bounds, bounded = np.concatenate([of_bounds, A[:, :n]]), bounded | broken
                continue
            new = np.flatnonzero(broken & ~held)
            here = np.flatnonzero((broken & ~held)[which])
            more = len(new) + len(here)
            if not isinstance(program, LinearProgram) or not (
                0 < more <= MOST_HELD / len(tight) - binaries
            ):
                return undecided
            equalities.hold(program, y, new, here, binaries)
            binaries, held = binaries + more, held | broken

    def _bound_outputs(self, program: RowProgram, y: Vector, effects: Rows) -> None:
        """Give a program over directions from a point the rows of c, with slopes in amounts p."""
        problem, slopes = self.kinks.problem, self.slopes[0][1:]
        if problem.constraints:
            c = self.kinks.values(y[np.newaxis])[0, 1:]
            low = np.minimum(problem.lower - c, 0.0) + slopes @ y
            high = np.maximum(problem.upper - c, 0.0) + slopes @ y
            program.extend(np.concatenate([slopes, effects], axis=1), low, high)

    def _most_bent(self, fall: Vector, effects: Rows, which: Indices, layers: Indices) -> Vector:
        """Return how much each result can bend where δ falls so far with the direction alone."""
        most = np.zeros(effects.shape[1])
        for k in np.unique(layers).tolist():
            here = np.flatnonzero(layers == k)
            bound = fall[here] + np.maximum(-effects[here], 0.0) @ most
            np.maximum.at(most, which[here], bound)
        return most

    def along(self, tight: Indices, way: Vector) -> Region:
        """Return the region that a direction leads into from where some kinks are tight."""
        region, delta = self, np.zeros(0)
        layers, _, _, _ = self._bends
        pending = tight
        for k in np.unique(layers[tight]).tolist():
            for _ in range(2 * len(tight) + 1):
                here = pending[region._bends[0][pending] == k]
                delta = region.rows(here)[0] @ way
                size = max(1.0, float(np.abs(delta).max(initial=0.0)))
                across = here[np.argsort(delta)[: np.sum(delta < -STILL * size)]]
                if not across.size:
                    break
                _, first = np.unique(region.results(across), return_index=True)
                crossed = region.crossed(across[first])
                pending = crossed.same_boundaries(pending, region)
                region = crossed
        return region


def _most_along(
    a: Rows, effects: Rows, which: Indices, some: Indices, least: Vector, largest: Vector
) -> tuple[Rows, Vector]:
    r"""Return rows A and bounds with A (d, p) <= bounds for some results, where p is what bends.

    :math:`p_u = \max_i (0, -a_i^T d - e_i^T p) \le \sum_k \max_i (0, -a_{ik} d_k) + \sum_v
    \max_i (0, -e_{iv}) p_v`, with d between `least` and `largest`: linear in an entry d_k that has
    one sign, constant in one that has two.
    """
    up = least >= -AT_BOUND
    down = ~up & (largest <= AT_BOUND)
    sign = np.where(up, 1.0, np.where(down, -1.0, 0.0))
    back = np.where(up, np.maximum(-least, 0.0), np.where(down, np.maximum(largest, 0.0), 0.0))
    A, high = np.zeros((len(some), a.shape[1] + effects.shape[1])), np.zeros(len(some))
    for row, u in enumerate(some.tolist()):
        own = which == u
        most = np.maximum(-a[own] * np.where(sign, sign, 1.0), 0.0).max(axis=0)
        other = np.maximum(a[own] * np.where(sign, sign, 1.0), 0.0).max(axis=0)
        two = np.maximum(most * largest, -other * least)
        high[row] = np.where(sign, (most + other) * back, two).sum()
        A[row] = np.concatenate([-most * sign, np.minimum(effects[own], 0.0).min(axis=0)])
        A[row, a.shape[1] + u] += 1.0
    return A, high


@dataclass(frozen=True, eq=False)
class _Equalities:
    r"""Holds results to :math:`p_u = \max_i (0, -\delta_i)`, with `which` the u of each boundary i.

    `rows` of (d, p) are :math:`\delta_i + p_u`, at most `above`; p is at most `most`.
    """

    which: Indices
    rows: Rows
    most: Vector
    above: Vector

    def hold(
        self, program: LinearProgram, y: Vector, new: Indices, here: Indices, binaries: int
    ) -> None:
        """Add one binary variable a boundary, which says that p equals it; one a result, zero."""
        n, u, count = y.size, len(self.most), len(new)
        before = np.zeros((1, n + u + binaries))
        program.widen(np.ones(count + len(here)))
        of_p = np.eye(u)[new]
        choice = np.concatenate([np.eye(count), of_p[:, self.which[here]]], axis=1)
        program.extend(_beside(before, choice), np.ones(count), np.ones(count))
        inactive = np.concatenate([np.diag(self.most[new]), np.zeros((count, len(here)))], axis=1)
        inactive = _beside(before, inactive)
        inactive[:, n : n + u] = of_p
        program.extend(inactive, np.full(count, -np.inf), self.most[new])
        ends = np.concatenate([np.zeros((len(here), count)), np.diag(self.above[here])], axis=1)
        ends = _beside(before, ends)
        ends[:, : n + u] = self.rows[here]
        constants = np.ascontiguousarray(self.rows[here, :n]) @ y
        program.extend(ends, np.full(len(here), -np.inf), constants + self.above[here])
        program.make_binary(count + len(here))


def _beside(before: Rows, block: Rows) -> Rows:
    """Return rows of zeros for the variables before, and a block for those behind."""
    return np.concatenate([np.repeat(before, len(block), axis=0), block], axis=1)


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
        None where it lies on no kink.
    """
    region = Kinks(problem).region(y)
    tight = region.tight(y, tolerance)
    if not tight.size:
        return None
    return region.descent(y, tight)

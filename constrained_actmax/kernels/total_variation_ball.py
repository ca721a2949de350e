"""Balls of the total variation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import ProjectionError, SpecificationError
from constrained_actmax.kernels.ball import BallKernel
from constrained_actmax.kernels.convex_program import ConvexProgram
from constrained_actmax.kernels.differences import difference_matrix
from constrained_actmax.kernels.dual_root import PULLS, ROUNDING
from constrained_actmax.kernels.group_ball import shrunk_norms
from constrained_actmax.kernels.kernel import Constraints, InBox, Kernel, Variable
from constrained_actmax.layout import Rows, Vector

if TYPE_CHECKING:
    from constrained_actmax.kernels.difference_program import DifferenceProgram

RELAXATION = 1.7  # Eckstein and Bertsekas (1992) recommend 1.5 to 1.8
MAX_ITERATIONS = 5000
ENOUGH = 1e-5  # residual, relative to the size of the point, at which a projection ends
BALANCE = 2.0  # ratio of the residuals at which the penalty changes (Boyd et al. 2011, 3.4.1: 10)
SOLVABLE = 4096  # entries; above, Clarabel takes longer than ADMM
CHECK_EVERY = 10  # iterations; looking costs as much as a third of one
SHORT_AXIS = 64  # entries; a cosine transform by one small matrix product is faster up to here
ANCHORS = (0.9, 0.5, 0.0)  # shares of the radius aimed at when looking for an interior point


@dataclass(frozen=True, eq=False, repr=False)
class TotalVariationBallKernel(BallKernel):
    r"""Ball of the total variation, :math:`\{x : \mathrm{TV}(x - c) \le r\}`.

    Up to 4,096 entries an interior-point solver that is set up once (Clarabel); above, the
    alternating direction method of multipliers on the differences and the box. `sets` has the
    definition and the sources.

    Parameters
    ----------
    shape : tuple of int
        Of the picture.
    axes : tuple of int
        Its axes of positions.
    length : {"isotropic", "anisotropic"}
        Euclidean length of the differences at a position, or the sum of their sizes.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    length: str

    violation_norm = "total variation minus the radius"
    projection_method = "feasible; to 1e-4 by Clarabel, some 20 ms at 28 x 28, or ADMM if larger"

    @property
    @override
    def accuracy(self) -> float:
        # Above, `error_bound` certifies 2e-4 to 8e-4 a pixel at 224 x 224 x 3.
        return 1e-4 if self.size <= SOLVABLE else 1e-3

    # Constants have no variation: nothing bounds the set.
    @override
    def bounding_box(self) -> tuple[Vector, Vector]:
        return Kernel.bounding_box(self)

    diameter = float("inf")

    # -- the function ----------------------------------------------------------------------------

    def _differences(self, d: Rows) -> Rows:
        """Return (B, K, n): forward differences along each of the K axes, zero at the far edge."""
        picture = d.reshape(-1, *self.shape)
        differences = np.zeros((len(d), len(self.axes), *self.shape))
        for number, axis in enumerate(self.axes):
            here, ahead = self._sides(axis)
            np.subtract(
                picture[(slice(None), *ahead)],
                picture[(slice(None), *here)],
                out=differences[(slice(None), number, *here)],
            )
        return differences.reshape(len(d), len(self.axes), -1)

    def _adjoint(self, q: Rows) -> Rows:
        fields = q.reshape(len(q), len(self.axes), *self.shape)
        adjoint = np.zeros((len(q), *self.shape))
        for number, axis in enumerate(self.axes):
            here, ahead = self._sides(axis)
            flow = fields[(slice(None), number, *here)]
            adjoint[(slice(None), *ahead)] += flow
            adjoint[(slice(None), *here)] -= flow
        return adjoint.reshape(len(q), -1)

    def _sides(self, axis: int) -> tuple[Any, Any]:
        every = [slice(None)] * len(self.shape)
        here, ahead = list(every), list(every)
        here[axis], ahead[axis] = slice(None, -1), slice(1, None)
        return tuple(here), tuple(ahead)

    def _lengths(self, q: Rows) -> Rows:
        if self.length == "anisotropic" or q.shape[1] == 1:
            return np.abs(q).reshape(len(q), -1)
        return np.asarray(np.sqrt(np.einsum("bkn,bkn->bn", q, q)))

    @override
    def norm(self, x: Rows) -> Vector:
        return np.asarray(self._lengths(self._differences(x - self.center)).sum(axis=1))

    @override
    def scale(self, x: Rows) -> Vector:
        return np.asarray(np.maximum(Kernel.scale(self, x), super().scale(x)))

    @cached_property
    def _spectrum(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        # Eigenvalues of D'D, which the cosine transform diagonalises.
        total = np.zeros(self.shape)
        for axis in self.axes:
            count = self.shape[axis]
            eigenvalues = 2.0 - 2.0 * np.cos(np.pi * np.arange(count) / count)
            total += eigenvalues.reshape(
                [-1 if other == axis else 1 for other in range(total.ndim)]
            )
        return total

    @cached_property
    def _cosines(self) -> tuple[Any, ...] | None:
        if len(self.shape) > 2 or len(self.axes) != len(self.shape):
            return None
        if max(self.shape) > SHORT_AXIS:
            return None
        import scipy.fft

        return tuple(scipy.fft.dct(np.eye(count), axis=0, norm="ortho") for count in self.shape)

    def _solved(self, right: Rows, identity: float, penalty: float) -> Rows:
        """Solve ``(identity + penalty D'D) p = right``."""
        factor = identity + penalty * self._spectrum
        picture = right.reshape(-1, *self.shape)
        if self._cosines is not None:
            if len(self._cosines) == 1:
                (c,) = self._cosines
                return np.asarray(((picture @ c.T) / factor) @ c)
            c, e = self._cosines
            return np.asarray(c.T @ ((c @ picture @ e.T) / factor) @ e).reshape(right.shape)
        import scipy.fft

        axes = tuple(axis + 1 for axis in self.axes)
        spectrum = scipy.fft.dctn(picture, axes=axes, norm="ortho")
        spectrum /= factor
        back = scipy.fft.idctn(spectrum, axes=axes, norm="ortho", overwrite_x=True)
        return np.asarray(back).reshape(right.shape)

    # -- projections -----------------------------------------------------------------------------

    @override
    def project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        return self._projected(*self._unlimited, x)

    @override
    def project_inexact(self, x: Rows, tolerance: float, warm: object) -> tuple[Rows, object]:
        p, _, state = self._by_admm(x, *self._unlimited, tolerance, warm, self.radius)
        return p, state

    @override
    def onto(self, x: Rows, norm: Vector) -> tuple[Rows, Vector]:
        return self.project_with_dual(x)

    @override
    def in_box(self, lower: Vector, upper: Vector) -> InBox:
        def inexact(x: Rows, tolerance: float, warm: object) -> tuple[Rows, object]:
            p, _, state = self._by_admm(x, lower, upper, tolerance, warm, self.radius)
            return p, state

        return InBox(
            partial(self._projected, lower, upper),
            self._violation_in(lower, upper),
            "with its box, feasible; to 1e-4 by Clarabel, some 20 ms at 28 x 28, or ADMM if larger",
            inexact,
        )

    def _projected(self, lower: Vector, upper: Vector, x: Rows) -> tuple[Rows, Vector]:
        # Far and rough points cost ADMM thousands of iterations and an interior-point solver some
        # twenty, whatever the point.
        if self.size > SOLVABLE:
            p, dual, _ = self._by_admm(x, lower, upper, ENOUGH, None, self.radius)
            return p, dual
        p = np.minimum(np.maximum(x, lower), upper)
        dual = np.zeros(len(x))
        hard = []
        for row in np.flatnonzero(self.norm(p) > self.radius):
            projection = self._differences_in(lower, upper).project(x[row])
            if projection is None:
                hard.append(row)
            else:
                p[row], dual[row] = (
                    np.minimum(np.maximum(projection[0], lower), upper),
                    projection[1],
                )
        if hard:
            p[hard], dual[hard] = self._program_in(lower, upper).project_with_dual(x[hard])
        return self._feasible(p, lower, upper), dual

    @cached_property
    def _difference_programs(self) -> dict[tuple[bytes, bytes], DifferenceProgram]:
        return {}

    def _differences_in(self, lower: Vector, upper: Vector) -> DifferenceProgram:
        from constrained_actmax.kernels.difference_program import DifferenceProgram

        key = (lower.tobytes(), upper.tobytes())
        if key not in self._difference_programs:
            self._difference_programs[key] = DifferenceProgram(
                self._matrices,
                self.center,
                self.radius,
                lower,
                upper,
                together=self.length == "isotropic",
            )
        return self._difference_programs[key]

    @cached_property
    def _programs(self) -> dict[tuple[bytes, bytes], ConvexProgram]:
        return {}

    def _program_in(self, lower: Vector, upper: Vector) -> ConvexProgram:

        key = (lower.tobytes(), upper.tobytes())
        if key not in self._programs:
            self._programs[key] = ConvexProgram((self,), lower, upper)
        return self._programs[key]

    def error_bound(
        self,
        x: Rows,
        p: Rows,
        warm: object,
        lower: Vector | None = None,
        upper: Vector | None = None,
    ) -> Vector:
        r"""Return for each row how far p is at most, in the 2-norm, from the projection of x.

        With f the squared distance to x halved, strongly convex, :math:`\tfrac12 \|p - p^*\|^2 \le
        f(p) - f(p^*) \le f(p) - d(u)`, the dual function d at the multipliers u that
        `project_inexact` ended with.

        Parameters
        ----------
        x : numpy.ndarray, shape (B, n)
            The rows that were projected.
        p : numpy.ndarray, shape (B, n)
            What `project_inexact` returned: points of the set.
        warm : object
            What it returned second.
        lower, upper : numpy.ndarray, shape (n,), optional
            The box, if there was one.

        Raises
        ------
        SpecificationError
            If `warm` holds no multipliers of these rows.
        """
        if isinstance(warm, tuple) and len(warm) == 1:  # an Intersection's
            warm = warm[0]
        if not isinstance(warm, _Split) or warm.a.shape[0] != len(x):
            raise SpecificationError(
                "TotalVariationBall: error_bound needs what project_inexact returned second for "
                "the same rows, all of them outside the set."
            )
        u = warm.multipliers
        y = x - self.center
        least = y - self._adjoint(u)
        if lower is not None:
            least = np.maximum(least, lower - self.center)
        if upper is not None:
            least = np.minimum(least, upper - self.center)
        inner = np.einsum("bkn,bkn->b", u, self._differences(least))
        if self.length == "isotropic":
            largest = np.sqrt(np.einsum("bkn,bkn->bn", u, u)).max(axis=1)
        else:
            largest = np.abs(u).max(axis=(1, 2))
        below = 0.5 * np.sum((least - y) ** 2, axis=1) + inner - self.radius * largest
        gap = 0.5 * np.sum((p - x) ** 2, axis=1) - below
        return np.asarray(np.sqrt(2.0 * np.maximum(gap, 0.0)))

    def _by_admm(
        self,
        x: Rows,
        lower: Vector,
        upper: Vector,
        tolerance: float,
        warm: object,
        radius: float,
    ) -> tuple[Rows, Vector, _Split | None]:
        clipped = np.minimum(np.maximum(x, lower), upper)
        dual = np.zeros(len(x))
        out = np.flatnonzero(self.norm(clipped) > radius)
        if not out.size:
            return clipped, dual, None
        c = self.center
        whole = out.size == len(x)
        fits = isinstance(warm, _Split) and len(warm.z) == len(x)
        state = warm if whole and fits and isinstance(warm, _Split) else None
        w, dual[out], state = self._admm(x[out] - c, lower - c, upper - c, tolerance, state, radius)
        moved = np.minimum(np.maximum(c + w, lower), upper)
        clipped[out] = moved if radius < self.radius else self._feasible(moved, lower, upper)
        return clipped, dual, state

    def _admm(
        self,
        y: Rows,
        lower: Vector,
        upper: Vector,
        tolerance: float,
        state: _Split | None,
        radius: float,
    ) -> tuple[Rows, Vector, _Split]:
        # min 1/2|p - y|^2 with z = D p in the ball, w = p in the box; scaled multipliers a, b.
        boxed = bool(np.isfinite(lower).any() or np.isfinite(upper).any())
        clipped = np.minimum(np.maximum(y, lower), upper)
        size = np.maximum(np.max(np.abs(clipped), axis=1, initial=0.0), 1e-300)
        if state is None:
            z = self._differences(clipped)
            b = y - clipped if boxed else np.zeros_like(y)
            state = _Split(clipped, z, np.zeros_like(z), b, 1.0, np.zeros(len(y)))
        w, z, a, b, rho, threshold = state
        for iteration in range(1, MAX_ITERATIONS + 1):
            right = y + rho * self._adjoint(z - a)
            if boxed:
                right += rho * (w - b)
            p = self._solved(right, 1.0 + (rho if boxed else 0.0), rho)
            slope = self._differences(p)
            mixed = RELAXATION * slope + (1.0 - RELAXATION) * z
            old_z, old_w = z, w
            z, threshold = self._on_ball(mixed + a, radius, threshold)
            a = a + mixed - z
            if boxed:
                mixed_p = RELAXATION * p + (1.0 - RELAXATION) * w
                w = np.minimum(np.maximum(mixed_p + b, lower), upper)
                b = b + mixed_p - w
            else:
                w = p
            if iteration % CHECK_EVERY:
                continue
            primal = np.max(np.abs(slope - z), axis=(1, 2)) / size
            moved = rho * np.max(np.abs(z - old_z), axis=(1, 2))
            if boxed:
                primal = np.maximum(primal, np.max(np.abs(p - w), axis=1) / size)
                moved = np.maximum(moved, rho * np.max(np.abs(w - old_w), axis=1))
            far, drift = float(np.max(primal)), float(np.max(moved / size))
            if far <= tolerance and drift <= tolerance:
                break
            if iteration % (2 * CHECK_EVERY) == 0:
                factor = 2.0 if far > BALANCE * drift else 0.5 if drift > BALANCE * far else 1.0
                rho *= factor
                a, b, threshold = a / factor, b / factor, threshold / factor
        return w, rho * threshold, _Split(w, z, a, b, rho, threshold)

    def _on_ball(self, q: Rows, radius: float, start: Vector) -> tuple[Rows, Vector]:
        lengths = self._lengths(q)
        share = np.ones_like(lengths)
        t = np.zeros(len(q))
        out = np.flatnonzero(lengths.sum(axis=1) > radius)
        if out.size:
            share[out], t[out] = shrunk_norms(lengths[out], radius, start[out])
        if share.shape[1] == q.shape[2]:
            return q * share[:, np.newaxis], t
        return q * share.reshape(q.shape), t

    def _feasible(self, x: Rows, lower: Vector, upper: Vector) -> Rows:
        """Move points of the box that are a little too rough toward a smoother one."""
        r = self.radius
        for row in np.flatnonzero(self.norm(x) > r):
            anchor = self._smoother(x[row], lower, upper)
            least = float(self.norm(anchor[np.newaxis])[0])
            for attempt in range(PULLS):
                value = float(self.norm(x[[row]])[0])
                if value <= r:
                    break
                share = (r - least) / (value - least) if value > least else 0.0
                share = min(max(share, 0.0), 1.0) * (1.0 - ROUNDING * 4.0**attempt)
                x[row] = np.clip(anchor + share * (x[row] - anchor), lower, upper)
        return x

    def _smoother(self, x: Vector, lower: Vector, upper: Vector) -> Vector:
        d_low, d_high = float(np.max(lower - self.center)), float(np.min(upper - self.center))
        if d_low <= d_high:  # a constant change lies in the box: nothing is smoother
            level = float(np.clip(np.mean(x - self.center), d_low, d_high))
            return np.asarray(np.clip(self.center + level, lower, upper))
        return self._interior(lower, upper)

    def _interior(self, lower: Vector, upper: Vector) -> Vector:
        key = (lower.tobytes(), upper.tobytes())
        if key not in self._anchors:
            start = np.clip(self.center, lower, upper)[np.newaxis]
            best, least = start[0], float(self.norm(start)[0])
            for share in ANCHORS:
                if least < self.radius:
                    break
                interior, _, _ = self._by_admm(
                    start, lower, upper, ENOUGH, None, share * self.radius
                )
                value = float(self.norm(interior)[0])
                if value < least:
                    best, least = interior[0], value
            if least > self.radius:
                raise ProjectionError(
                    f"{self}: no point of the box was found whose total variation is at most "
                    f"{self.radius:g}; the least found is {least:g}."
                )
            self._anchors[key] = best
        return self._anchors[key]

    @cached_property
    def _anchors(self) -> dict[tuple[bytes, bytes], Vector]:
        return {}

    # -- other forms -----------------------------------------------------------------------------

    def _violation_in(self, lower: Vector, upper: Vector) -> float | None:
        if float(np.max(lower - self.center)) <= float(np.min(upper - self.center)):
            return -self.radius
        nearest = np.clip(self.center, lower, upper)
        violation = float(self.norm(nearest[np.newaxis])[0]) - self.radius
        return violation if violation <= 0.0 else None

    @cached_property
    def _matrices(self) -> list[sp.csr_array]:
        # Rows of zeros where the difference would leave the picture.
        matrices = []
        for axis in self.axes:
            inner = difference_matrix(self.shape, axis).tocoo()
            here, _ = self._sides(axis)
            numbering = np.arange(self.size).reshape(self.shape)[here]
            first = np.moveaxis(numbering, axis, -1).ravel()
            matrices.append(
                sp.csr_array(
                    (inner.data, (first[inner.row], inner.col)),
                    shape=(self.size, self.size),
                )
            )
        return matrices

    @override
    def to_cvxpy(self, variable: Variable) -> Constraints:
        import cvxpy as cp

        d = variable - self.center
        along = [matrix @ d for matrix in self._matrices]
        if self.length == "anisotropic" or len(along) == 1:
            return [sum(cp.norm1(differences) for differences in along) <= self.radius]
        return [cp.sum(cp.norm(cp.vstack(along), 2, axis=0)) <= self.radius]


class _Split(NamedTuple):
    """Where the alternating directions stand, for the next point nearby."""

    w: Rows
    z: Rows
    a: Rows
    b: Rows
    rho: float
    threshold: Vector

    @property
    def multipliers(self) -> Rows:
        """Multipliers of the differences, (B, K, n)."""
        return np.asarray(self.rho * self.a)

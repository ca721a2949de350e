"""Balls of the total variation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import ProjectionError, SpecificationError
from constrained_actmax.kernels.ball import BallKernel
from constrained_actmax.kernels.convex_program import ConvexProgram
from constrained_actmax.kernels.differences import difference_matrix
from constrained_actmax.kernels.dual_root import pulled_inside
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

    def differences(self, d: Rows) -> Rows:
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

    def adjoint(self, q: Rows) -> Rows:
        """Return the transpose of `differences` at q."""
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
        return np.asarray(self._lengths(self.differences(x - self.center)).sum(axis=1))

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

    def solved(self, right: Rows, identity: float, penalty: float) -> Rows:
        """Solve ``(identity + penalty D'D) p = right``."""
        import scipy.fft

        axes = tuple(axis + 1 for axis in self.axes)
        picture = right.reshape(-1, *self.shape)
        spectrum = scipy.fft.dctn(picture, axes=axes, norm="ortho")
        spectrum /= identity + penalty * self._spectrum
        back = scipy.fft.idctn(spectrum, axes=axes, norm="ortho", overwrite_x=True)
        return np.asarray(back).reshape(right.shape)

    # -- projections -----------------------------------------------------------------------------

    @cached_property
    def _alone(self) -> _Boxed:
        return _Boxed(self, *self._unlimited)

    @override
    def project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        return self._alone.project_with_dual(x)

    @override
    def project_inexact(self, x: Rows, tolerance: float, warm: object) -> tuple[Rows, object]:
        return self._alone.project_inexact(x, tolerance, warm)

    @override
    def onto(self, x: Rows, norm: Vector) -> tuple[Rows, Vector]:
        return self.project_with_dual(x)

    @override
    def in_box(self, lower: Vector, upper: Vector) -> InBox:
        boxed = _Boxed(self, lower, upper)
        return InBox(
            boxed.project_with_dual,
            boxed.violation,
            "with its box, feasible; to 1e-4 by Clarabel, some 20 ms at 28 x 28, or ADMM if larger",
            boxed.project_inexact,
        )

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
        least = y - self.adjoint(u)
        if lower is not None:
            least = np.maximum(least, lower - self.center)
        if upper is not None:
            least = np.minimum(least, upper - self.center)
        inner = np.einsum("bkn,bkn->b", u, self.differences(least))
        if self.length == "isotropic":
            largest = np.sqrt(np.einsum("bkn,bkn->bn", u, u)).max(axis=1)
        else:
            largest = np.abs(u).max(axis=(1, 2))
        below = 0.5 * np.sum((least - y) ** 2, axis=1) + inner - self.radius * largest
        gap = 0.5 * np.sum((p - x) ** 2, axis=1) - below
        return np.asarray(np.sqrt(2.0 * np.maximum(gap, 0.0)))

    def on_ball(self, q: Rows, radius: float, start: Vector) -> tuple[Rows, Vector]:
        """Project differences on a ball of their lengths' sum; return the thresholds too."""
        lengths = self._lengths(q)
        share = np.ones_like(lengths)
        t = np.zeros(len(q))
        out = np.flatnonzero(lengths.sum(axis=1) > radius)
        if out.size:
            share[out], t[out] = shrunk_norms(lengths[out], radius, start[out])
        if share.shape[1] == q.shape[2]:
            return q * share[:, np.newaxis], t
        return q * share.reshape(q.shape), t

    # -- other forms -----------------------------------------------------------------------------

    @cached_property
    def matrices(self) -> list[sp.csr_array]:
        """The differences along each axis, (n, n)."""
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
        along = [matrix @ d for matrix in self.matrices]
        if self.length == "anisotropic" or len(along) == 1:
            return [sum(cp.norm1(differences) for differences in along) <= self.radius]
        return [cp.sum(cp.norm(cp.vstack(along), 2, axis=0)) <= self.radius]


@dataclass(frozen=True, eq=False, repr=False)
class _Boxed:
    """The ball and a box together."""

    ball: TotalVariationBallKernel
    lower: Vector
    upper: Vector

    @property
    def violation(self) -> float | None:
        """By how much the best point of the box breaks the budget, as far as that is known."""
        if float(np.max(self._low)) <= float(np.min(self._high)):
            return -self.ball.radius
        nearest = self._clipped(self.ball.center)
        violation = float(self.ball.norm(nearest[np.newaxis])[0]) - self.ball.radius
        return violation if violation <= 0.0 else None

    @cached_property
    def _low(self) -> Vector:
        return self.lower - self.ball.center

    @cached_property
    def _high(self) -> Vector:
        return self.upper - self.ball.center

    def _clipped(self, x: Rows) -> Rows:
        return np.asarray(np.minimum(np.maximum(x, self.lower), self.upper))

    def project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        """Return the projections of rows and the multipliers of the radius."""
        # Far and rough points cost ADMM thousands of iterations and an interior-point solver some
        # twenty, whatever the point.
        if self.ball.size > SOLVABLE:
            p, dual, _ = self._by_admm(x, ENOUGH, None, self.ball.radius)
            return p, dual
        p, dual, hard = self._clipped(x), np.zeros(len(x)), []
        for row in np.flatnonzero(self.ball.norm(p) > self.ball.radius):
            projection = self._differences.project(x[row])
            if projection is None:
                hard.append(row)
            else:
                p[row], dual[row] = self._clipped(projection[0]), projection[1]
        if hard:
            p[hard], dual[hard] = self._program.project_with_dual(x[hard])
        return self._feasible(p), dual

    def project_inexact(self, x: Rows, tolerance: float, warm: object) -> tuple[Rows, object]:
        """Return points inside near the projections, and what to reuse."""
        p, _, state = self._by_admm(x, tolerance, warm, self.ball.radius)
        return p, state

    @cached_property
    def _differences(self) -> DifferenceProgram:
        from constrained_actmax.kernels.difference_program import DifferenceProgram

        ball = self.ball
        return DifferenceProgram(
            ball.matrices,
            ball.center,
            ball.radius,
            self.lower,
            self.upper,
            together=ball.length == "isotropic",
        )

    @cached_property
    def _program(self) -> ConvexProgram:
        return ConvexProgram((self.ball,), self.lower, self.upper)

    def _by_admm(
        self, x: Rows, tolerance: float, warm: object, radius: float
    ) -> tuple[Rows, Vector, _Split | None]:
        clipped = self._clipped(x)
        dual = np.zeros(len(x))
        out = np.flatnonzero(self.ball.norm(clipped) > radius)
        if not out.size:
            return clipped, dual, None
        c = self.ball.center
        whole = out.size == len(x)
        fits = isinstance(warm, _Split) and len(warm.z) == len(x)
        state = warm if whole and fits and isinstance(warm, _Split) else None
        w, dual[out], state = self._admm(x[out] - c, tolerance, state, radius)
        moved = self._clipped(c + w)
        clipped[out] = moved if radius < self.ball.radius else self._feasible(moved)
        return clipped, dual, state

    def _admm(
        self, y: Rows, tolerance: float, state: _Split | None, radius: float
    ) -> tuple[Rows, Vector, _Split]:
        # min 1/2|p - y|^2 with z = D p in the ball, w = p in the box; scaled multipliers a, b.
        ball, lower, upper = self.ball, self._low, self._high
        boxed = bool(np.isfinite(lower).any() or np.isfinite(upper).any())
        clipped = np.minimum(np.maximum(y, lower), upper)
        size = np.maximum(np.max(np.abs(clipped), axis=1, initial=0.0), 1e-300)
        if state is None:
            z = ball.differences(clipped)
            b = y - clipped if boxed else np.zeros_like(y)
            state = _Split(clipped, z, np.zeros_like(z), b, 1.0, np.zeros(len(y)))
        w, z, a, b, rho, threshold = state
        for iteration in range(1, MAX_ITERATIONS + 1):
            right = y + rho * ball.adjoint(z - a)
            if boxed:
                right += rho * (w - b)
            p = ball.solved(right, 1.0 + (rho if boxed else 0.0), rho)
            slope = ball.differences(p)
            mixed = RELAXATION * slope + (1.0 - RELAXATION) * z
            old_z, old_w = z, w
            z, threshold = ball.on_ball(mixed + a, radius, threshold)
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

    def _feasible(self, x: Rows) -> Rows:
        """Move points of the box that are a little too rough toward a smoother one."""
        norm, radius = self.ball.norm, self.ball.radius
        high = np.flatnonzero(norm(x) > radius)
        if high.size:
            anchors = np.stack([self._smoother(x[row]) for row in high])
            x[high] = pulled_inside(x[high], anchors, self.lower, self.upper, norm, radius)
        return x

    def _smoother(self, x: Vector) -> Vector:
        low, high = float(np.max(self._low)), float(np.min(self._high))
        if low <= high:  # a constant change lies in the box: nothing is smoother
            level = float(np.clip(np.mean(x - self.ball.center), low, high))
            return self._clipped(self.ball.center + level)
        return self._interior

    @cached_property
    def _interior(self) -> Vector:
        ball, start = self.ball, self._clipped(self.ball.center)[np.newaxis]
        best: Vector = start[0]
        least = float(ball.norm(start)[0])
        for share in ANCHORS:
            if least < ball.radius:
                break
            interior, _, _ = self._by_admm(start, ENOUGH, None, share * ball.radius)
            value = float(ball.norm(interior)[0])
            if value < least:
                best, least = interior[0], value
        if least > ball.radius:
            raise ProjectionError(
                f"{ball}: no point of the box was found whose total variation is at most "
                f"{ball.radius:g}; the least found is {least:g}."
            )
        return best


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

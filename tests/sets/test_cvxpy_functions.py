"""Every function of cvxpy in a `CvxpySet`: its domain belongs to the set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cvxpy as cp
import numpy as np
import pytest

from constrained_actmax.errors import InfeasibleError, SpecificationError
from constrained_actmax.layout import Layout
from constrained_actmax.sets import Box, CvxpySet, Intersection

N = 4
LAYOUT = Layout.of_array((N,))
A = np.array([[1.0, -2.0, 0.5, 0.0], [0.0, 1.0, 1.0, -1.0]])
Maker = Callable[[Any], Any]
pytestmark = pytest.mark.filterwarnings("ignore:conv is deprecated", "ignore:Solution may be inacc")


def matrix(v: Any) -> Any:
    """Return the symmetric matrix of three entries."""
    return cp.symmetric_wrap(cp.bmat([[v[0], v[1]], [v[1], v[2]]]))


def square(v: Any) -> Any:
    return cp.reshape(v, (2, 2), order="C")


def scaled_log(v: Any) -> list[Any]:
    x, s = cp.Variable(), cp.Variable(nonneg=True)
    return [cp.perspective(-cp.log(x), s) <= -0.5, s <= 1, x == v[0]]


#: Functions that are not finite everywhere; (-3, -3, -3, -3) lies outside.
WITH_DOMAIN: dict[str, list[Maker]] = {
    "entr": [lambda v: cp.sum(cp.entr(v)) >= -2, lambda v: cp.entr(v[0]) + cp.entr(v[2]) >= 0],
    "geo_mean": [lambda v: cp.geo_mean(v) >= 1, lambda v: cp.geo_mean(v[:2], [1, 2]) >= 0.5],
    "harmonic_mean": [lambda v: cp.harmonic_mean(v) >= 1],
    "inv_pos": [lambda v: cp.inv_pos(v) <= 1, lambda v: cp.sum(cp.inv_pos(v[:2])) <= 4],
    "inv_prod": [lambda v: cp.inv_prod(v) <= 1],
    "kl_div": [lambda v: cp.kl_div(v[0], v[1]) <= 1, lambda v: cp.sum(cp.kl_div(v, 1)) <= 1],
    "log": [lambda v: cp.sum(cp.log(v)) >= 0, lambda v: cp.log(v[0] + 1) >= v[1]],
    "log1p": [lambda v: cp.log1p(v) >= -9],
    "log_det": [lambda v: cp.log_det(matrix(v)) >= 0],
    "loggamma": [lambda v: cp.loggamma(v) <= 1],
    "matrix_frac": [lambda v: cp.matrix_frac(np.ones(2), matrix(v)) <= 1],
    "perspective": [scaled_log],
    "pnorm": [lambda v: cp.pnorm(v, 0.5) >= 1, lambda v: cp.pnorm(v, -2) >= 1],
    "power": [
        lambda v: cp.power(v, 0.5) >= 1,
        lambda v: cp.power(v, 1.5) <= 1,
        lambda v: cp.power(v, 3) <= 1,
        lambda v: cp.power(v, -2) <= 1,
    ],
    "quad_over_lin": [lambda v: cp.quad_over_lin(v[1:], v[0]) <= 1],
    "quantum_cond_entr": [],  # of matrices of four entries at least: by itself below
    "quantum_rel_entr": [lambda v: cp.quantum_rel_entr(matrix(v), np.eye(2)) <= 1],
    "rel_entr": [lambda v: cp.rel_entr(v[0], v[1]) <= 1],
    "sqrt": [lambda v: cp.sqrt(v) >= 1, lambda v: cp.sum(cp.sqrt(v)) >= 0],
    "tr_inv": [lambda v: cp.tr_inv(matrix(v)) <= 2],
    "von_neumann_entr": [lambda v: cp.von_neumann_entr(matrix(v)) >= -1],
    "xexp": [],  # convex where its argument is known to be nonnegative
}
#: In sums, compositions, several constraints and beside variables of their own.
NESTED: dict[str, Maker] = {
    "sum": lambda v: 2 * cp.geo_mean(v) - 1 + cp.sum(cp.log(v)) >= -3,
    "log of sqrt": lambda v: cp.sum(cp.log(cp.sqrt(v))) >= 0,
    "inv_pos of sqrt": lambda v: cp.inv_pos(cp.sqrt(v[0])) + cp.inv_pos(v[1]) <= 2,
    "maximum": lambda v: cp.maximum(cp.inv_pos(v), -cp.log(v)) <= 2,
    "stacked": lambda v: cp.vstack([cp.log(v[0]), cp.sqrt(v[1])]) >= -1,
    "indexed": lambda v: cp.hstack([cp.sqrt(v), v])[1] >= 0,
    "norm": lambda v: cp.norm(cp.power(v, 1.5)) <= 2,
    "power of a convex function": lambda v: cp.power(cp.sum_squares(v) - 1, 3) <= 1,
    "several": lambda v: [cp.sum(v) >= 1, cp.log(v[3]) >= -2, cp.sqrt(v[0]) >= v[1]],
    "own variable": lambda v: [cp.log(v) >= (level := cp.Variable()), level >= -1],
}
#: Finite everywhere, affine ones too.
EVERYWHERE: dict[str, Maker] = {
    "abs": lambda v: cp.abs(v) <= 1,
    "bmat": lambda v: cp.bmat([[v[:2], v[2:]]]) <= 1,
    "broadcast_to": lambda v: cp.broadcast_to(v, (2, N)) <= 1,
    "concatenate": lambda v: cp.concatenate([v, v]) <= 1,
    "conj": lambda v: cp.conj(v) <= 1,
    "conv": lambda v: cp.conv(np.ones(2), v) <= 1,
    "convolve": lambda v: cp.convolve(np.ones(2), v) <= 1,
    "cummax": lambda v: cp.cummax(v) <= 1,
    "cumsum": lambda v: cp.cumsum(v) <= 1,
    "cvar": lambda v: cp.cvar(v, 0.5) <= 1,
    "deep_flatten": lambda v: cp.atoms.deep_flatten([v, v]) <= 1,
    "diag": lambda v: cp.diag(v) <= 1,
    "diff": lambda v: cp.diff(v) <= 1,
    "dotsort": lambda v: cp.dotsort(v, np.arange(N)) <= 1,
    "einsum": lambda v: cp.einsum("i,i->", np.ones(N), v) <= 1,
    "exp": lambda v: cp.exp(v) <= 1,
    "hermitian_wrap": lambda v: cp.hermitian_wrap(matrix(v)) << np.eye(2),
    "hstack": lambda v: cp.hstack([v, 1]) <= 1,
    "huber": lambda v: cp.huber(v) <= 1,
    "imag": lambda v: cp.imag(1j * v) <= 1,
    "kron": lambda v: cp.kron(np.ones((2, 1)), square(v)) <= 1,
    "lambda_max": lambda v: cp.lambda_max(matrix(v)) <= 1,
    "lambda_min": lambda v: cp.lambda_min(matrix(v)) >= 1,
    "lambda_sum_largest": lambda v: cp.lambda_sum_largest(matrix(v), 1) <= 1,
    "lambda_sum_smallest": lambda v: cp.lambda_sum_smallest(matrix(v), 1) >= 1,
    "log_normcdf": lambda v: cp.log_normcdf(v) >= -1,
    "log_sum_exp": lambda v: cp.log_sum_exp(v) <= 1,
    "logistic": lambda v: cp.logistic(v) <= 1,
    "matmul": lambda v: cp.matmul(A, v) <= 1,
    "max": lambda v: cp.max(v) <= 1,
    "maximum": lambda v: cp.maximum(v, 0) <= 1,
    "mean": lambda v: cp.mean(v) <= 1,
    "min": lambda v: cp.min(v) >= 1,
    "minimum": lambda v: cp.minimum(v, 2) >= 1,
    "mixed_norm": lambda v: cp.mixed_norm(square(v), 2, 1) <= 1,
    "moveaxis": lambda v: cp.moveaxis(square(v), 0, 1) <= 1,
    "multiply": lambda v: cp.multiply(np.arange(N), v) <= 1,
    "neg": lambda v: cp.neg(v) <= 1,
    "norm": lambda v: cp.norm(v) <= 1,
    "norm1": lambda v: cp.norm1(v) <= 1,
    "norm2": lambda v: cp.norm2(v) <= 1,
    "normNuc": lambda v: cp.normNuc(square(v)) <= 1,
    "norm_inf": lambda v: cp.norm_inf(v) <= 1,
    "outer": lambda v: cp.outer(np.ones(2), v) <= 1,
    "partial_trace": lambda v: cp.partial_trace(cp.diag(v), (2, 2)) <= 1,
    "partial_transpose": lambda v: cp.partial_transpose(cp.diag(v), (2, 2)) <= 1,
    "permute_dims": lambda v: cp.permute_dims(square(v), (1, 0)) <= 1,
    "pos": lambda v: cp.pos(v) <= 1,
    "promote": lambda v: cp.atoms.promote(v[0], (2,)) <= 1,
    "psd_wrap": lambda v: cp.quad_form(v, cp.psd_wrap(np.eye(N))) <= 1,
    "ptp": lambda v: cp.ptp(v) <= 1,
    "quad_form": lambda v: cp.quad_form(v, np.eye(N)) <= 1,
    "real": lambda v: cp.real((1 + 1j) * v) <= 1,
    "reshape": lambda v: cp.reshape(v, (2, 2), order="C") <= 1,
    "scalar_product": lambda v: cp.scalar_product(np.ones(N), v) <= 1,
    "scalene": lambda v: cp.scalene(v, 1, 2) <= 1,
    "sigma_max": lambda v: cp.sigma_max(square(v)) <= 1,
    "skew_symmetric_wrap": lambda v: cp.skew_symmetric_wrap(square(v) - square(v).T) <= 1,
    "square": lambda v: cp.square(v) <= 1,
    "squeeze": lambda v: cp.squeeze(cp.reshape(v, (1, N), order="C")) <= 1,
    "stack": lambda v: cp.stack([v, v]) <= 1,
    "std": lambda v: cp.std(v) <= 1,
    "sum": lambda v: cp.sum(v) <= 1,
    "sum_largest": lambda v: cp.sum_largest(v, 2) <= 1,
    "sum_smallest": lambda v: cp.sum_smallest(v, 2) >= 1,
    "sum_squares": lambda v: cp.sum_squares(v) <= 1,
    "swapaxes": lambda v: cp.swapaxes(square(v), 0, 1) <= 1,
    "symmetric_wrap": lambda v: cp.symmetric_wrap(matrix(v)) << np.eye(2),
    "trace": lambda v: cp.trace(square(v)) <= 1,
    "transpose": lambda v: cp.transpose(square(v)) <= 1,
    "tv": lambda v: cp.tv(v) <= 1,
    "upper_tri": lambda v: cp.upper_tri(square(v)) <= 1,
    "var": lambda v: cp.var(v) <= 1,
    "vdot": lambda v: cp.vdot(np.ones(N), v) <= 1,
    "vec": lambda v: cp.vec(square(v), order="C") <= 1,
    "vec_to_upper_tri": lambda v: cp.vec_to_upper_tri(v[:3]) <= 1,
    "vstack": lambda v: cp.vstack([v, v]) <= 1,
}
#: Neither convex nor concave: `CvxpySet` refuses them.
REFUSED: dict[str, Maker] = {
    "ceil": lambda v: cp.ceil(v) <= 1,
    "condition_number": lambda v: cp.condition_number(matrix(v)) <= 2,
    "cumprod": lambda v: cp.cumprod(v) <= 1,
    "diff_pos": lambda v: cp.diff_pos(v[0], v[1]) >= 1,
    "dist_ratio": lambda v: cp.dist_ratio(v, np.zeros(N), np.ones(N)) <= 1,
    "eye_minus_inv": lambda v: cp.eye_minus_inv(square(v)) <= 1,
    "floor": lambda v: cp.floor(v) <= 1,
    "gen_lambda_max": lambda v: cp.gen_lambda_max(matrix(v), np.eye(2)) <= 1,
    "gmatmul": lambda v: cp.gmatmul(A, v) <= 1,
    "length": lambda v: cp.length(v) <= 1,
    "one_minus_pos": lambda v: cp.one_minus_pos(v) >= 1,
    "pf_eigenvalue": lambda v: cp.pf_eigenvalue(square(v)) <= 1,
    "prod": lambda v: cp.prod(v) <= 1,
    "resolvent": lambda v: cp.resolvent(square(v), 2.0) <= 1,
    "sign": lambda v: cp.sign(v) <= 0,
    "xexp": lambda v: cp.xexp(v) <= 1,
}
POINTS = [
    np.full(N, -3.0),
    np.array([1.0, -3.0, 1.0, -2.0]),
    np.array([-0.01, 0.2, 2.0, -1e-6]),
    np.array([2.0, 0.1, 3.0, 0.5]),
    np.zeros(N),
]


def functions() -> set[str]:
    """Return the names of cvxpy's functions; capitals are the classes that they make."""
    return {
        name
        for name in dir(cp.atoms)
        if not name.startswith("_") and callable(getattr(cp.atoms, name)) and name[0].islower()
    }


def cases() -> Iterator[Any]:
    for name, makers in WITH_DOMAIN.items():
        for number, make in enumerate(makers):
            slow = [pytest.mark.slow] if name.startswith("quantum") else []
            yield pytest.param(make, True, id=f"{name} {number}", marks=slow)
    for name, make in NESTED.items():
        yield pytest.param(make, True, id=name)
    for name, make in EVERYWHERE.items():
        if name in functions():
            yield pytest.param(make, False, id=name)


def nearest(make: Maker, y: np.ndarray) -> np.ndarray:
    """Return the projection that cvxpy finds by itself, within its functions' own domains."""
    x = cp.Variable(N)
    rows = make(x)
    problem = cp.Problem(
        cp.Minimize(cp.sum_squares(x - y)), rows if isinstance(rows, list) else [rows]
    )
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    assert problem.status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE)
    return np.array(x.value)


def test_no_function_is_forgotten() -> None:
    known = set(WITH_DOMAIN) | set(EVERYWHERE) | set(REFUSED)
    assert functions() <= known
    assert len(functions()) > 90


@pytest.mark.parametrize(("make", "limited"), list(cases()))
def test_the_domain_belongs_to_the_set(make: Maker, limited: bool) -> None:
    one = CvxpySet(make)
    assert one.violation(POINTS[0]) > 0.1 or not limited
    assert np.isnan(one.violation(np.full(N, np.nan)))
    for y in POINTS:
        right = nearest(make, y)
        far = float(np.linalg.norm(right - y))
        violation, relative = one.violation(y), one.relative_violation(y)
        assert np.isfinite([violation, relative]).all()
        p = one.project(y)
        if far > 1e-4:
            assert violation > 0.0
            assert relative > 1e-9
        elif far < 1e-9:
            assert violation <= 1e-7
            np.testing.assert_array_equal(p, y)
        assert one.relative_violation(p) <= 1e-8
        assert float(np.linalg.norm(p - y)) == pytest.approx(far, rel=1e-4, abs=2e-4)
        np.testing.assert_allclose(p, right, atol=3e-3)  # flat where the boundary is
        np.testing.assert_array_equal(one.project(p), p)
        x = cp.Variable(N, value=p)
        rows = make(x)
        for row in rows if isinstance(rows, list) else [rows]:
            for limit in (limit for part in row.args for limit in part.domain):
                if limit.is_dcp() and all(variable is x for variable in limit.variables()):
                    assert np.max(limit.violation()) <= 1e-8


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_convex_is_refused(name: str) -> None:
    with pytest.raises(SpecificationError):
        CvxpySet(REFUSED[name]).bind(LAYOUT)


@pytest.mark.parametrize(
    ("make", "right"),
    [
        # In the eigenbasis of the symmetric part; log_det of 2 and 3 is above 0 already.
        (lambda m: cp.lambda_max(m) <= 2.5, lambda size: np.minimum(size, 2.5)),
        (lambda m: cp.log_det(m) >= 0, lambda size: size),
        (lambda m: cp.lambda_sum_largest(m, 1) <= 2.5, lambda size: np.minimum(size, 2.5)),
        (lambda m: cp.tr_inv(m) <= 9, lambda size: size),
    ],
)
def test_functions_of_symmetric_matrices_ask_for_one(make: Maker, right: Callable) -> None:
    one = CvxpySet(make, shape=(2, 2))
    y = np.array([[2.0, 0.7], [0.1, 3.0]])
    size, basis = np.linalg.eigh((y + y.T) / 2)
    p = one.project(y.ravel()).reshape(2, 2)
    np.testing.assert_allclose(p, basis @ np.diag(right(size)) @ basis.T, atol=1e-5)
    # The nearest symmetric matrix is 0.3 away in its largest entry.
    assert one.violation(y.ravel()) >= 0.3 - 1e-6


@pytest.mark.slow
def test_quantum_conditional_entropy() -> None:
    def make(v: Any) -> Any:
        return cp.quantum_cond_entr(cp.hermitian_wrap(cp.diag(v)), [2, 2]) >= 0

    one = CvxpySet(make)
    assert one.violation(np.full(N, -1.0)) > 0.1
    assert np.min(one.project(np.full(N, -1.0))) >= -1e-8


def test_a_domain_that_meets_no_box_is_infeasible() -> None:
    pieces = [CvxpySet(lambda v: cp.geo_mean(v) >= 1), Box(-3, -1)]
    with pytest.raises(InfeasibleError, match="CvxpySet"):
        Intersection(pieces).bind(LAYOUT).check_nonempty()
    together = Intersection([pieces[0], Box(-3, 1.5)]).bind(LAYOUT)
    p = together.project(np.full(N, -3.0))
    np.testing.assert_allclose(p, np.ones(N), atol=1e-5)
    assert CvxpySet(lambda v: cp.log(-1 - cp.abs(v)) >= 0).violation(p) == np.inf


#: Cones given bare, with whether a point is inside by its definition.
CONES: dict[str, tuple[Maker, Callable[[np.ndarray], float]]] = {
    "exponential": (
        lambda v: cp.ExpCone(v[0], v[1], v[2]),
        lambda x: x[1] * np.exp(x[0] / x[1]) - x[2] if x[1] > 0 else max(x[0], -x[2], -x[1]),
    ),
    "exponential, a constant": (
        lambda v: [cp.ExpCone(v[0] + v[1], 1, v[2]), v[2] <= 3],
        lambda x: max(np.exp(x[0] + x[1]) - x[2], x[2] - 3),
    ),
    "power": (
        lambda v: cp.PowCone3D(v[0], v[1], v[2], 0.3),
        lambda x: max(-x[0], -x[1], abs(x[2]) - max(x[0], 0) ** 0.3 * max(x[1], 0) ** 0.7),
    ),
    "power, a row": (
        lambda v: [cp.PowCone3D(v[0], v[1], v[2], 0.4), v[0] + v[1] <= 3],
        lambda x: max(
            -x[0], -x[1], abs(x[2]) - max(x[0], 0) ** 0.4 * max(x[1], 0) ** 0.6, x[0] + x[1] - 3
        ),
    ),
    "second order": (
        lambda v: [cp.SOC(v[0], v[1:]), v[0] <= 3],
        lambda x: max(np.linalg.norm(x[1:]) - x[0], x[0] - 3),
    ),
}


@pytest.mark.parametrize("name", CONES)
def test_bare_cones_are_projected_on(name: str) -> None:
    make, excess = CONES[name]
    bound = CvxpySet(make)
    rng = np.random.default_rng(5)
    points = rng.normal(size=(10, 3)) * rng.choice([0.01, 1.0, 100.0], size=(10, 1))
    inside = np.array([bound.project(point) for point in points])
    for point, nearest in zip(points, inside, strict=True):
        size = max(1.0, float(np.abs(nearest).max()))
        assert bound.relative_violation(nearest) <= 1e-8
        assert excess(nearest) <= 1e-7 * size
        # A projection is the point p of the set with (x - p)'(q - p) <= 0 for every other q.
        longest = float(np.linalg.norm(inside - nearest, axis=1).max())
        assert np.max((inside - nearest) @ (point - nearest)) <= 1e-5 * longest * size
        if excess(point) > 1e-3:
            assert bound.violation(point) > 0.0

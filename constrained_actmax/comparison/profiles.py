"""Performance profiles and data profiles: which share of problems is solved at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Rows, Vector


class Profile(NamedTuple):
    """One step function for each method.

    Parameters
    ----------
    at : numpy.ndarray, shape (K,)
        Where some function jumps, ascending.
    shares : numpy.ndarray, shape (K, S)
        The share of problems that each of S methods has solved there.
    """

    at: Vector
    shares: Rows


def performance_profile(costs: npt.ArrayLike) -> Profile:
    r"""Return performance profiles [1]_.

    .. math:: \rho_s(\tau) = \frac{1}{|P|}
        \left|\left\{p : \frac{t_{p,s}}{\min_q t_{p,q}} \le \tau\right\}\right|

    Parameters
    ----------
    costs : array_like, shape (P, S)
        t, what method s needed to solve problem p (> 0); infinite where it did not.

    Returns
    -------
    Profile
        At ratios >= 1. A problem that no method solved counts for none.

    Raises
    ------
    SpecificationError
        If a cost is not above 0.

    References
    ----------
    .. [1] Dolan, Moré (2002), Benchmarking optimization software with performance profiles,
       Mathematical Programming 91.

    Examples
    --------
    >>> at, shares = performance_profile([[10, 20], [30, 15], [5, float("inf")]])
    >>> at
    array([1., 2.])
    >>> shares.round(2).tolist()
    [[0.67, 0.33], [1.0, 0.67]]
    """
    t = _checked(costs)
    cheapest = t.min(axis=1, keepdims=True)
    solved = np.isfinite(cheapest)
    with np.errstate(invalid="ignore"):
        ratios = np.where(solved & np.isfinite(t), t / np.where(solved, cheapest, 1.0), np.inf)
    return _shares(ratios, start=1.0)


def data_profile(costs: npt.ArrayLike, sizes: Sequence[int] | npt.ArrayLike) -> Profile:
    r"""Return data profiles [1]_.

    .. math:: d_s(\kappa) = \frac{1}{|P|} \left|\left\{p : \frac{t_{p,s}}{n_p + 1} \le \kappa
        \right\}\right|

    Parameters
    ----------
    costs : array_like, shape (P, S)
        t, evaluations that method s needed for problem p; infinite where it did not solve it.
    sizes : array_like of int, shape (P,)
        n, the number of variables of each problem. With 0 for all, the unit is an evaluation.

    Returns
    -------
    Profile
        At groups of n + 1 evaluations.

    References
    ----------
    .. [1] Moré, Wild (2009), Benchmarking derivative-free optimization algorithms, SIAM Journal on
       Optimization 20.

    Examples
    --------
    >>> at, shares = data_profile([[10, 20], [30, 15]], sizes=[4, 4])
    >>> at
    array([2., 3., 4., 6.])
    >>> shares.tolist()
    [[0.5, 0.0], [0.5, 0.5], [0.5, 1.0], [1.0, 1.0]]
    """
    t = _checked(costs)
    n = np.asarray(sizes, dtype=np.float64)
    if n.shape != (len(t),) or (n < 0).any():
        raise SpecificationError(
            f"data_profile: sizes needs one number >= 0 for each of {len(t)} problems, "
            f"got shape {n.shape}."
        )
    return _shares(t / (n[:, np.newaxis] + 1.0), start=None)


def _checked(costs: npt.ArrayLike) -> Rows:
    t = np.asarray(costs, dtype=np.float64)
    if t.ndim != 2 or not t.size or not (t > 0).all():
        raise SpecificationError(
            "profile: costs needs shape (problems, methods) and numbers > 0, infinite where a "
            f"problem was not solved; got shape {t.shape}."
        )
    return t


def _shares(measured: Rows, start: float | None) -> Profile:
    finite = measured[np.isfinite(measured)]
    at = np.unique(finite if start is None else np.append(finite, start))
    reached = measured[np.newaxis] <= at[:, np.newaxis, np.newaxis]
    return Profile(at, reached.mean(axis=1))

"""Small problems with discrete inputs, and their optima by brute force."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

import constrained_actmax as cax

Rows = np.ndarray
#: What counts as the optimum, relative to what f changes over the combinations.
SAME_VALUE = 1e-9


@dataclass(frozen=True)
class Smooth:
    """f of rows and its gradient at one point: a quadratic, or a network of one hidden layer."""

    values: Callable[[Rows], np.ndarray]
    gradient: Callable[[np.ndarray], np.ndarray]

    def both(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return f and its gradient."""
        return float(self.values(x[np.newaxis])[0]), self.gradient(x)


def quadratic(rng: np.random.Generator, center: np.ndarray, width: np.ndarray) -> Smooth:
    """Return an indefinite quadratic with its saddle near the middle of a box."""
    n = len(center)
    a = rng.standard_normal((n, n))
    q = (a + a.T) / np.outer(width, width)
    c = center + rng.uniform(-0.3, 0.3, n) * width
    return Smooth(lambda x: 0.5 * np.einsum("bi,ij,bj->b", x - c, q, x - c), lambda x: q @ (x - c))


def convex(rng: np.random.Generator, center: np.ndarray, width: np.ndarray) -> Smooth:
    """Return an ill-conditioned convex quadratic: rounding its minimiser misses."""
    n = len(center)
    a = rng.standard_normal((n, n)) * np.logspace(0, -1.5, n)
    q = (a @ a.T + 1e-3 * np.eye(n)) / np.outer(width, width)
    c = center + rng.uniform(-0.3, 0.3, n) * width
    return Smooth(lambda x: 0.5 * np.einsum("bi,ij,bj->b", x - c, q, x - c), lambda x: q @ (x - c))


def network(rng: np.random.Generator, center: np.ndarray, width: np.ndarray) -> Smooth:
    """Return a network of 16 tanh units of inputs that are scaled to the box."""
    n = len(center)
    w, b = 2.0 * rng.standard_normal((16, n)) / np.sqrt(n), rng.standard_normal(16)
    v = rng.standard_normal(16)

    def gradient(x: np.ndarray) -> np.ndarray:
        z = np.tanh(2 * w @ ((x - center) / width) + b)
        return 2 * ((v * (1 - z**2)) @ w) / width

    return Smooth(lambda x: np.tanh(2 * ((x - center) / width) @ w.T + b) @ v, gradient)


@dataclass(frozen=True)
class Discrete:
    """One problem: minimise f over the combinations that keep all constraints.

    Parameters
    ----------
    name : str
        Its family and number.
    f : Smooth
        What is minimised.
    sets : tuple
        What is allowed.
    combinations : numpy.ndarray, shape (B, n)
        All points of the discrete sets and the box.
    inside : callable
        Which of them keep the other constraints.
    limit : (Smooth, float) or None
        A bound on a function.
    """

    name: str
    f: Smooth
    sets: tuple[cax.ConvexSet, ...]
    combinations: Rows
    inside: Callable[[Rows], np.ndarray]
    limit: tuple[Smooth, float] | None = None

    def feasible(self, x: Rows) -> np.ndarray:
        """Return which rows keep all constraints, by their own formulas."""
        kept = self.inside(x)
        if self.limit is not None:
            kept &= self.limit[0].values(x) <= self.limit[1] + 1e-9
        return kept

    def optimum(self) -> float:
        """Return the least f over all feasible combinations; infinite where there is none."""
        kept = self.combinations[self.feasible(self.combinations)]
        return float(self.f.values(kept).min(initial=np.inf))

    def spread(self) -> float:
        """Return what f changes over all combinations."""
        return float(np.ptp(self.f.values(self.combinations)))

    def problem(self) -> cax.Problem:
        """Return it as the library takes it."""
        n = self.combinations.shape[1]
        constraints: list[object] = list(self.sets)
        if self.limit is not None:
            g, bound = self.limit
            constraints.append(
                cax.Function(lambda x: g.both(x)[0], upper=bound, jacobian=g.gradient)
            )
        oracle = cax.FunctionOracle(self.f.both, (n,))
        return cax.Problem(oracle, constraints=constraints, sense="minimize")


def product(*parts: Sequence[float]) -> Rows:
    """Return all combinations, one a row."""
    return np.array(list(itertools.product(*parts)), dtype=float)


def hot(groups: int, size: int) -> Rows:
    """Return all choices of one category in each group."""
    rows = [np.concatenate(one) for one in itertools.product(np.eye(size), repeat=groups)]
    return np.array(rows)


def beside(left: Rows, right: Rows) -> Rows:
    """Return all rows of the one with all rows of the other."""
    return np.array([np.concatenate(one) for one in itertools.product(left, right)])


def everything(x: Rows) -> np.ndarray:
    return np.ones(len(x), dtype=bool)


KINDS = (quadratic, convex, network)


def _kind(number: int) -> Callable[..., Smooth]:
    return KINDS[number % len(KINDS)]


def counts(number: int) -> Discrete:
    """Five counts, with a budget that holds exactly or at most."""
    rng = np.random.default_rng((1, number))
    every = product(*[range(7)] * 5)
    price = rng.integers(2, 9, 5).astype(float)
    bound = float(np.round(0.45 * price.sum() * 6))
    lower = bound if number % 2 else bound - 9.0
    f = _kind(number)(rng, np.full(5, 3.0), np.full(5, 6.0))
    sets = (cax.Box(0, 6), cax.Integers(), cax.Linear(price, lower, bound))
    return Discrete(
        f"counts {number}",
        f,
        sets,
        every,
        lambda x: np.abs(x @ price - (lower + bound) / 2) <= (bound - lower) / 2,
    )


def catalogue(number: int) -> Discrete:
    """Six sizes from a catalogue, near a reference in L1."""
    rng = np.random.default_rng((2, number))
    values = np.array([1.0, 1.6, 2.5, 4.0, 6.3, 10.0])
    every = product(*[values] * 6)
    reference = rng.choice(values, 6)
    f = _kind(number)(rng, np.full(6, 5.0), np.full(6, 9.0))
    sets = (cax.Levels(None, values), cax.L1Ball(9.5, center=reference))
    return Discrete(
        f"catalogue {number}",
        f,
        sets,
        every,
        lambda x: np.abs(x - reference).sum(axis=1) <= 9.5 + 1e-9,
    )


def categories(number: int) -> Discrete:
    """Three categories and two counts, with a bound on another function."""
    rng = np.random.default_rng((3, number))
    every = beside(hot(3, 4), product(range(9), range(9)))
    center, width = np.append(np.full(12, 0.5), [4, 4]), np.append(np.ones(12), [8, 8])
    f, g = _kind(number)(rng, center, width), _kind(number + 1)(rng, center, width)
    bound = float(np.quantile(g.values(every), 0.15))
    groups = np.append(np.repeat(np.arange(3), 4), [-1, -1])
    upper = np.append(np.ones(12), [8, 8])
    sets = (cax.Box(0, upper), cax.OneHot(groups), cax.Integers([12, 13]))
    return Discrete(f"categories {number}", f, sets, every, everything, (g, bound))


def few_changes(number: int) -> Discrete:
    """Seven counts, of which at most three differ from a reference."""
    rng = np.random.default_rng((4, number))
    every = product(*[range(5)] * 7)
    reference = rng.integers(0, 5, 7).astype(float)
    f = _kind(number)(rng, np.full(7, 2.0), np.full(7, 4.0))
    sets = (cax.Box(0, 4), cax.Integers(), cax.Cardinality(3, center=reference))
    return Discrete(
        f"few changes {number}", f, sets, every, lambda x: (x != reference).sum(axis=1) <= 3
    )


def counterfactual(number: int) -> Discrete:
    """A person's counts and categories: few changes, and another output beyond a bound."""
    rng = np.random.default_rng((5, number))
    every = beside(hot(2, 4), product(*[range(6)] * 4))
    center, width = (
        np.append(np.full(8, 0.5), np.full(4, 2.5)),
        np.append(np.ones(8), np.full(4, 5.0)),
    )
    f, g = _kind(number)(rng, center, width), network(rng, center, width)
    reference = every[rng.integers(len(every))]
    groups = np.append(np.repeat([0, 1], 4), [2, 3, 4, 5])

    def changes(x: Rows) -> np.ndarray:
        other = (x != reference).astype(int)
        return other[:, :4].max(axis=1) + other[:, 4:8].max(axis=1) + other[:, 8:].sum(axis=1)

    near = every[changes(every) <= 3]
    bound = float(np.quantile(g.values(near), 0.05))
    sets = (
        cax.Box(0, np.append(np.ones(8), np.full(4, 5.0))),
        cax.OneHot(np.append(groups[:8], np.full(4, -1))),
        cax.Integers([8, 9, 10, 11]),
        cax.Cardinality(3, center=reference, groups=groups),
    )
    return Discrete(
        f"counterfactual {number}", f, sets, every, lambda x: changes(x) <= 3, (g, bound)
    )


def narrow(number: int) -> Discrete:
    """Six counts in a ball, with a bound that few of them keep."""
    rng = np.random.default_rng((6, number))
    every = product(*[range(-3, 4)] * 5)
    f = _kind(number)(rng, np.zeros(5), np.full(5, 6.0))
    g = convex(rng, np.zeros(5), np.full(5, 6.0))
    center = rng.uniform(-1, 1, 5)
    kept = np.linalg.norm(every - center, axis=1) <= 3.4
    bound = float(np.quantile(g.values(every[kept]), 0.03))
    sets = (cax.Box(-3, 3), cax.Integers(), cax.L2Ball(3.4, center=center))
    return Discrete(
        f"narrow {number}",
        f,
        sets,
        every,
        lambda x: np.linalg.norm(x - center, axis=1) <= 3.4 + 1e-9,
        (g, bound),
    )


FAMILIES = (counts, catalogue, categories, few_changes, counterfactual, narrow)
#: Of each family so many.
EACH = 8


def problems(each: int = EACH) -> list[Discrete]:
    """Return the first few of each family."""
    return [family(number) for family in FAMILIES for number in range(each)]

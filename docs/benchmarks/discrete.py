"""Discrete inputs against brute force: `python docs/benchmarks/discrete.py --write`.

Every problem is solved once by `auto` with seed 0, by the search alone and by rounding the
relaxation; then with ReLU networks fitted to its functions, by branch and bound. The optimum is the
best of all combinations. With `--cache FILE` finished problems are kept there.
"""

from __future__ import annotations

import argparse
import pickle
import sys
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from discrete_problems import SAME_VALUE, Discrete, problems  # noqa: E402

import constrained_actmax as cax  # noqa: E402
from constrained_actmax.measuring import versions  # noqa: E402

#: Loss, as a share of what f changes over the combinations, from which rounding counts as off.
OFF = 0.01
#: The search alone: nothing is enumerated.
SEARCH = cax.RelaxAndRound(most_combinations=1)
#: Gap, in shares of what f changes, within which branch and bound proves.
GAP = 1e-3
#: Units of the fitted networks, combinations they are fitted to, and time for each proof.
UNITS, FITTED, SECONDS = 16, 4000, 40.0


@dataclass(frozen=True)
class Row:
    """What one problem's row of the table says."""

    name: str
    combinations: int
    feasible: int
    rounded: float
    loss: float
    searched: float
    status: str
    evaluations: int
    false: bool
    proof: Proof


@dataclass(frozen=True)
class Proof:
    """How branch and bound ended on the fitted networks."""

    proven: bool
    loss: float
    boxes: int
    seconds: float
    false: bool


def surrogate(one: Discrete) -> tuple[cax.Problem, Discrete]:
    """Return a problem with ReLU networks in the place of its functions, and the same in NumPy."""
    rng = np.random.default_rng(0)
    every, n = one.combinations, one.combinations.shape[1]
    low, width = every.min(axis=0), np.maximum(np.ptp(every, axis=0), 1.0)
    inner = rng.standard_normal((n, UNITS)) / width[:, np.newaxis]
    offset = rng.uniform(-1.0, 1.0, UNITS) - (low + 0.5 * width) @ inner
    fitted = every[rng.permutation(len(every))[:FITTED]]
    functions = [one.f] if one.limit is None else [one.f, one.limit[0]]
    wanted = np.stack([f.values(fitted) for f in functions], axis=1)
    hidden = np.append(np.maximum(fitted @ inner + offset, 0.0), np.ones((len(fitted), 1)), axis=1)
    outer = np.linalg.lstsq(hidden, wanted, rcond=None)[0]

    def values(x: np.ndarray) -> np.ndarray:
        return np.maximum(x @ inner + offset, 0.0) @ outer[:-1] + outer[-1]

    def network(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(x @ inner + offset) @ outer[:-1] + outer[-1]

    limit = None
    constraints: list[object] = list(one.sets)
    if one.limit is not None:
        inside = values(every[one.inside(every)])[:, 1]
        bound = float(np.quantile(inside, 0.15))
        limit = replace(one.limit[0], values=lambda x: values(x)[:, 1]), bound
        constraints.append(cax.Output(1) <= bound)
    oracle = cax.Oracle(network, input_shape=(n,), precision="float64")
    problem = cax.Problem(oracle, cax.Output(0), constraints, sense="minimize")
    f = replace(one.f, values=lambda x: values(x)[:, 0])
    return problem, replace(one, f=f, limit=limit)


def proof(one: Discrete) -> Proof:
    """Prove the optimum with the fitted networks, and compare it with brute force."""
    problem, fitted = surrogate(one)
    result = cax.solve(problem, method=SEARCH, seed=0, budget=cax.Budget(seconds=SECONDS))
    loss = (result.value - fitted.optimum()) / fitted.spread() if result.feasible else np.inf
    boxes = 0 if result.certificate is None else result.certificate.nodes
    proven = result.status is cax.Status.PROVEN
    return Proof(proven, loss, boxes, result.seconds, _is_false(fitted, result))


def rounded_loss(one: Discrete, problem: cax.Problem, optimum: float) -> float:
    """Return how far off the rounded relaxation is, in shares; infinite where it is infeasible."""
    relaxed = one.problem()
    relaxed.set = problem.set.hull
    relaxed.written_sets = problem.written_sets[:1] * len(relaxed.set.members)
    found = cax.solve(relaxed, starts=4, seed=0)
    x = problem.set.project(np.ravel(found.x))[np.newaxis]
    if not one.feasible(x)[0]:
        return np.inf
    return float(one.f.values(x)[0] - optimum) / one.spread()


def run(one: Discrete) -> Row:
    """Solve one problem both ways."""
    problem, optimum = one.problem(), one.optimum()
    result, search = cax.solve(problem, seed=0), cax.solve(problem, method=SEARCH, seed=0)
    false = any(_is_false(one, found) for found in (result, search))
    loss, searched = (
        (found.value - optimum) / one.spread() if found.feasible else np.inf
        for found in (result, search)
    )
    count = int(one.feasible(one.combinations).sum())
    rounded = rounded_loss(one, problem, optimum)
    return Row(
        one.name,
        len(one.combinations),
        count,
        rounded,
        loss,
        searched,
        result.status.name.lower(),
        result.nfev,
        false,
        proof(one),
    )


def _is_false(one: Discrete, result: cax.Result) -> bool:
    """Return whether a point that is called feasible is not, by the problem's own formulas."""
    x = np.ravel(result.x)[np.newaxis]
    whole = bool(np.any(np.all(one.combinations == x, axis=1)))
    return result.feasible and not (whole and bool(one.feasible(x)[0]))


def words(loss: float) -> str:
    """Return a loss as the table says it."""
    if np.isinf(loss):
        return "infeasible"
    return "optimum" if loss <= SAME_VALUE else f"{100 * loss:.2g} %"


def page(rows: list[Row]) -> str:
    """Return the page."""
    found = sum(one.loss <= SAME_VALUE for one in rows)
    feasible = sum(np.isfinite(one.loss) for one in rows)
    off = sum(one.rounded > OFF for one in rows)
    false = sum(one.false + one.proof.false for one in rows)
    alone = sum(one.searched <= SAME_VALUE for one in rows)
    anything = sum(np.isfinite(one.searched) for one in rows)
    proven = [one for one in rows if one.status == "proven"]
    wrong = sum(one.loss > SAME_VALUE for one in proven)
    closed = [one.proof for one in rows if one.proof.proven]
    untrue = sum(one.loss > GAP for one in closed)
    found_so = sum(one.proof.loss <= GAP for one in rows)
    boxes = sorted(one.boxes for one in closed)
    installed = versions()
    lines = [
        "# Discrete inputs against brute force",
        "",
        f"{len(rows)} problems with counts, catalogue sizes, categories and few changes, with",
        "convex sets and bounds on functions beside them (`tests/discrete_problems.py`), each with",
        f"at most {max(one.combinations for one in rows):,} combinations. The optimum is the best",
        "of all. `auto` ran once with `seed=0` and no budget; *search* is what it does where there",
        "are more combinations than it evaluates. *Rounded* is the relaxation over the hull from",
        "four starts, then the nearest point of C. A loss is a share of what f changes over the",
        "combinations.",
        "",
        f"- The optimum was found in {found} of {len(rows)}, a feasible point in {feasible}.",
        f"- The search alone found the optimum in {alone}, a feasible point in {anything}.",
        f"- Called feasible though a constraint is broken or a number is not whole: {false}.",
        f"- Rounding the relaxation is infeasible or more than 1 % off in {off}.",
        f"- Called proven: {len(proven)}, of which wrong: {wrong}.",
        f"- With ReLU networks of {UNITS} units fitted to the functions, and nothing enumerated,",
        f"  branch and bound closed {len(closed)} of {len(rows)} within {SECONDS:g} s each, of",
        f"  which wrong: {untrue}; it took {boxes[len(boxes) // 2]:,} boxes in the median and",
        f"  {boxes[-1]:,} at most. The optimum was found in {found_so}.",
        "",
        f"NumPy {installed['numpy']}, SciPy {installed['scipy']}; written by",
        "`docs/benchmarks/discrete.py --write`.",
        "",
        "| problem | combinations | feasible | rounded | search | `auto` | status | evaluations "
        "| fitted networks | boxes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.name} | {one.combinations:,} | {one.feasible:,} | {words(one.rounded)} | "
        f"{words(one.searched)} | {words(one.loss)} | {one.status} | {one.evaluations:,} | "
        f"{'proven' if one.proof.proven else 'not proven'} | {one.proof.boxes:,} |"
        for one in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run all problems and print, or write, the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    kept: dict[str, Row] = {}
    if arguments.cache is not None and arguments.cache.exists():
        kept = pickle.loads(arguments.cache.read_bytes())
    for one in problems():
        if one.name not in kept:
            kept[one.name] = run(one)
            print(kept[one.name], flush=True)
            if arguments.cache is not None:
                arguments.cache.write_bytes(pickle.dumps(kept))
    rows = [kept[one.name] for one in problems()]
    text = page(rows)
    if arguments.write:
        (HERE / "discrete.md").write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()

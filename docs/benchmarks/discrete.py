"""Discrete inputs against brute force: `python docs/benchmarks/discrete.py --write`.

Every problem is solved once by `auto` with seed 0, and by rounding the relaxation; the optimum is
the best of all combinations.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

import numpy as np  # noqa: E402
from discrete_problems import SAME_VALUE, Discrete, problems  # noqa: E402

import constrained_actmax as cax  # noqa: E402
from constrained_actmax.measuring import versions  # noqa: E402

#: Loss, as a share of what f changes over the combinations, from which rounding counts as off.
OFF = 0.01
#: The search alone: nothing is enumerated.
SEARCH = cax.RelaxAndRound(most_combinations=1)


@dataclass(frozen=True)
class Row:
    """What one problem's row of the table says."""

    name: str
    combinations: int
    feasible: int
    rounded: float
    loss: float
    searched: float
    result: cax.Result
    false: bool


def rounded_loss(one: Discrete, problem: cax.Problem, optimum: float) -> float:
    """Return how far off the rounded relaxation is, in shares; infinite where it is infeasible."""
    limits = [] if one.limit is None else problem.recipe["constraints"][-1:]
    relaxed = cax.Problem(
        problem.recipe["model"], constraints=[problem.set.hull, *limits], sense="minimize"
    )
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
    return Row(one.name, len(one.combinations), count, rounded, loss, searched, result, false)


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
    feasible = sum(one.result.feasible for one in rows)
    off = sum(one.rounded > OFF for one in rows)
    false = sum(one.false for one in rows)
    alone = sum(one.searched <= SAME_VALUE for one in rows)
    anything = sum(np.isfinite(one.searched) for one in rows)
    proven = [one for one in rows if one.result.status is cax.Status.PROVEN]
    wrong = sum(one.loss > SAME_VALUE for one in proven)
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
        "",
        f"NumPy {installed['numpy']}, SciPy {installed['scipy']}; written by",
        "`docs/benchmarks/discrete.py --write`.",
        "",
        "| problem | combinations | feasible | rounded | search | `auto` | status | evaluations |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.name} | {one.combinations:,} | {one.feasible:,} | {words(one.rounded)} | "
        f"{words(one.searched)} | {words(one.loss)} | {one.result.status.name.lower()} | "
        f"{one.result.nfev:,} |"
        for one in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run all problems and print, or write, the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for one in problems():
        rows.append(run(one))
        last = rows[-1]
        print(
            last.name,
            words(last.rounded),
            words(last.searched),
            words(last.loss),
            last.result.nfev,
            flush=True,
        )
    text = page(rows)
    if arguments.write:
        (HERE / "discrete.md").write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()

"""Which method at which size: value reached and seconds, from 10 to 3,072 inputs.

Two dense networks with seeded random weights, n-64-64-2, one with ReLU (kinks) and one with tanh
(smooth). Maximise the first output with inputs in [0, 1] that add up to at most n / 8; then the
same with the second output at most 0 in the place of the budget. Three drawn starts, the same
for all; 300 evaluations or 5 seconds a run, whichever ends first.

    python docs/benchmarks/sizes.py --write
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import constrained_actmax as cax
from constrained_actmax.measuring import versions

SIZES = (10, 100, 784, 3072)
STARTS = 3
EVALUATIONS, SECONDS = 300, 5.0
LARGEST_SLSQP = 784  # beyond, one iteration alone takes longer than a run may
ON_SETS = ("auto", "pgd", "spg", "pqn", "SLSQP", "trust-constr")
ON_OUTPUTS = ("auto", "augmented-lagrangian", "SLSQP", "trust-constr")


def network(n: int, activation: str) -> Any:
    """Return a dense network with seeded weights, scaled so that slopes stay of one size."""
    import keras

    keras.utils.set_random_seed(n)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((n,)),
            layers.Dense(64, activation=activation, kernel_initializer="lecun_normal"),
            layers.Dense(64, activation=activation, kernel_initializer="he_normal"),
            layers.Dense(2, kernel_initializer="he_normal"),
        ]
    )


def runs(problem: cax.Problem, method: str) -> list[cax.Result]:
    """Return one result a start; what is compiled once is not timed."""
    cax.solve(problem, method=method, seed=99, budget=cax.Budget(evaluations=3))
    budget = cax.Budget(evaluations=EVALUATIONS, seconds=SECONDS)
    return [cax.solve(problem, method=method, seed=k, budget=budget) for k in range(STARTS)]


def table(methods: Sequence[str], sizes: Sequence[int], limited: bool) -> Iterator[str]:
    """Yield the lines of one table."""
    yield "| network | n | " + " | ".join(methods) + " |"
    yield "|---" * (len(methods) + 2) + "|"
    for activation in ("relu", "tanh"):
        for n in sizes:
            limit = cax.Output(1) <= 0.0 if limited else cax.Linear(np.ones(n), upper=n / 8)
            problem = cax.Problem(
                network(n, activation), cax.Output(0), [cax.Box(0, 1), limit], sense="maximize"
            )
            found = {
                one: runs(problem, one)
                for one in methods
                if not (one == "SLSQP" and n > LARGEST_SLSQP)
            }
            best = [
                max((one[k].value for one in found.values() if one[k].feasible), default=np.nan)
                for k in range(STARTS)
            ]
            cells = []
            for one in methods:
                if one not in found:
                    cells.append("not run")
                    continue
                kept = [result.feasible for result in found[one]]
                gaps = [
                    (best[k] - result.value) / abs(best[k]) for k, result in enumerate(found[one])
                ]
                gap = f"{100 * statistics.median(gaps):.1f} %" if all(kept) else "not feasible"
                seconds = statistics.median(result.seconds for result in found[one])
                cells.append(f"{gap}<br>{seconds:.2f} s")
            yield f"| {activation} | {n} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print the tables; write them with --write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--write", action="store_true", help="write sizes.md beside this file")
    options = parser.parse_args()
    pages = []
    for title, methods, limited in (
        ("A budget on the input", ON_SETS, False),
        ("A limit on another output", ON_OUTPUTS, True),
    ):
        print(f"\n## {title}\n", flush=True)
        lines = []
        for line in table(methods, options.sizes, limited):
            print(line, flush=True)
            lines.append(line)
        pages.append(f"## {title}\n\n" + "\n".join(lines))
    if options.write:
        head = (__doc__ or "").split("\n\n")
        text = (
            f"# Methods by size\n\n{head[0]} Printed by `python docs/benchmarks/sizes.py --write` "
            f"({os.cpu_count()} cores, {platform.machine()}, SciPy {versions()['scipy']}).\n\n"
            f"{head[1]}\n\nA cell gives how far the value is below the best of its line, median of "
            "the starts, and the median of seconds. `auto` takes `successive-halving` on ReLU and "
            "`converge-and-search` on tanh under the budget on the input. SLSQP is not run where "
            "one of its iterations would take longer than a run may.\n\n<!-- tables -->\n\n"
        )
        text += "\n\n".join(pages) + "\n"
        Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

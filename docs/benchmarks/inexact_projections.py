"""What inexact projections inside a solver save, and from which size on.

Total variation has no closed projection. Inside a solver a projection may be inexact and warm-
started; the returned point is measured with the accurate one either way. Each row is one run from
one start with at most 200 evaluations, with inexact steps and with accurate ones.

    python docs/benchmarks/inexact_projections.py --write
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import constrained_actmax as cax
from constrained_actmax.measuring import versions
from constrained_actmax.tasks import recording

SIDES = (8, 16, 20, 28)
METHODS = ("spg", "fista", "pqn")
#: What `ACCURATE` is set to.
CHOICES = {
    "inexact": 0,
    "accurate": 10**9,
}


def network(side: int) -> Any:
    """Return a smooth dense network with seeded weights on square pictures."""
    import keras

    keras.utils.set_random_seed(side)
    return keras.Sequential(
        [
            keras.Input((side, side)),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="tanh"),
            keras.layers.Dense(4),
        ]
    )


def rows() -> list[str]:
    """Return the lines of the table."""
    lines = []
    for side in SIDES:
        sets = [cax.Box(0, 1), cax.TotalVariationBall(1.5 * side)]
        problem = cax.Problem(network(side), cax.Output(0), sets)
        for method in METHODS:
            first = None
            for name, size in CHOICES.items():
                recording.ACCURATE = size
                cax.solve(problem, method=method, seed=0, budget=cax.Budget(evaluations=3))
                began = time.perf_counter()
                result = cax.solve(
                    problem, method=method, seed=0, budget=cax.Budget(evaluations=200)
                )
                seconds = time.perf_counter() - began
                first = first or seconds
                lines.append(
                    f"| {side}x{side} | {method} | {name} | {result.value:.5f} "
                    f"| {result.optimality.stationarity:.1e} | {result.status.name} "
                    f"| {result.nfev} | {seconds:.2f} | {seconds / first:.2f} |"
                )
    return lines


def main() -> None:
    """Print the table; write it with --write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the page beside this file")
    options = parser.parse_args()
    size = recording.ACCURATE
    head = [
        "| picture | method | projections | value | residual | status | evaluations | seconds "
        "| over inexact |",
        "|" + "---|" * 9,
    ]
    table = "\n".join([*head, *rows()])
    used = versions()
    machine = (
        f"Python {used['python']}, NumPy {np.__version__}, SciPy {used['scipy']}, cvxpy "
        f"{used['cvxpy']}, {os.cpu_count()} cores ({platform.machine()})."
    )
    print(table, machine, sep="\n\n")
    if options.write:
        text = (
            "# Inexact projections inside solvers\n\n"
            "`Box(0, 1)` and a total-variation ball, whose common projection is iterative. Inside\n"
            "a solver it may be inexact (within 1e-4) and warm-started, \n"
            "and the returned point is measured with the accurate projection in any case. One\n"
            "run a row, 200 evaluations at most.\n"
            "`python docs/benchmarks/inexact_projections.py --write` makes this page."
            f"\n\n{table}\n\n{machine}\n\n"
            f"The library takes the accurate projection up to {size:,} variables in the steps of\n"
            "line-search methods on smooth problems, and in convergence tests:\n"
            "inexact steps end short of the tolerance. The steps of set length of `pgd`, and\n"
            "networks with kinks, where hardly a run ends by such a test, do without.\n"
        )
        Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

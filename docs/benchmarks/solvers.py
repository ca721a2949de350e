"""Every solver on the embedded network under three sets: best value after so many evaluations.

One start, the same for all. A value counts when its point is feasible; the last columns say how far
any accepted iterate was outside the set, and how the run ended.

    python docs/benchmarks/solvers.py --write
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import constrained_actmax as cax
from constrained_actmax.measuring import versions

MARKS = (50, 100, 300)
METHODS = ("auto", "spg", "pgd", "fista", "pqn", "frank-wolfe", "SLSQP", "trust-constr")
SECONDS = 30.0  # of one run; a method that needs more ends with BUDGET in its row


def problems() -> dict[str, tuple[cax.Problem, np.ndarray]]:
    """Return the three problems with their starts."""
    model = cax.examples.load_model()
    shirt = cax.examples.reference("Shirt")
    flat = np.full((28, 28), 60 / 784)
    sets = {
        "Box ∩ L1Ball(60)": ([cax.L1Ball(60)], flat),
        "Box ∩ L2Ball(3) round the mean shirt": ([cax.L2Ball(3, center=shirt)], shirt),
        "Box ∩ TotalVariationBall(40)": ([cax.TotalVariationBall(40)], flat),
    }
    return {
        name: (
            cax.Problem(
                model, cax.Logit("Sneaker"), [cax.Box(0, 1), *ones], labels=cax.examples.CLASS_NAMES
            ),
            x0,
        )
        for name, (ones, x0) in sets.items()
    }


def row(problem: cax.Problem, method: str, x0: np.ndarray) -> tuple[str, str]:
    """Return one line of a table, and the reason where the method refuses."""
    budget = cax.Budget(evaluations=max(MARKS), seconds=SECONDS)
    began = time.perf_counter()
    try:
        result = cax.solve(problem, method=method, x0=x0, budget=budget)
    except cax.RefusedError as refusal:
        return f"| {method} |" + " – |" * (len(MARKS) + 2) + " refused |", f"Refused: {refusal}"
    seconds = time.perf_counter() - began
    history = result.history
    cells = []
    for mark in MARKS:
        seen = [
            value
            for value, rows, violation in zip(
                history.value, history.evaluations, history.violation, strict=True
            )
            if rows <= mark and violation <= problem.set.tolerance
        ]
        cells.append(f"{max(seen):.3f}" if seen else "none in the set")
    worst = max(history.violation, default=0.0)
    label = f"{method} ({result.method})" if method == "auto" else method
    return (
        f"| {label} | " + " | ".join(cells) + f" | {result.value:.3f} | {worst:.0e} "
        f"| {seconds:.1f} s, {result.nfev} evaluations, {result.status.name} |",
        "",
    )


def main() -> None:
    """Print the tables; write them with --write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write solvers.md beside this file")
    options = parser.parse_args()
    head = "| method | " + " | ".join(f"{mark} evaluations" for mark in MARKS)
    head += " | returned | worst iterate outside | cost and end |\n"
    head += "|---" * (len(MARKS) + 4) + "|"
    pages = []
    for name, (problem, x0) in problems().items():
        print(f"\n{name}\n{head}", flush=True)
        lines, refused = [], []
        for method in METHODS:
            line, reason = row(problem, method, x0)
            print(line, flush=True)
            lines.append(line)
            if reason:
                refused.append(reason)
        pages.append(f"## {name}\n\n{head}\n" + "\n".join(lines))
        pages.extend(refused)
    if options.write:
        text = (
            "# Solvers on the embedded network\n\nLogit of Sneaker, one start. Printed by `python "
            f"docs/benchmarks/solvers.py --write` ({os.cpu_count()} cores, {platform.machine()}, "
            f"SciPy {versions()['scipy']}). Values at marks are iterates in the "
            f"set; what is returned was projected on it. A run ends after {max(MARKS)} "
            "evaluations or "
            f"{SECONDS:g} seconds.\n\n" + "\n\n".join(pages) + "\n"
        )
        Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""What a constrained method gives that a gradient loop does not: the README's table.

Logit of Sneaker of the embedded network, pixels in [0, 1], at most 60 of ink, ten drawn starts, at
most 300 evaluations for each. Loops with a rate are entered with the best of a few.

    python docs/benchmarks/readme_table.py
"""

from __future__ import annotations

import os
import statistics
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import constrained_actmax as cax

STARTS, EVALUATIONS = 10, 300
RATES = (0.01, 0.03, 0.1, 0.3)


def entrants() -> dict[str, dict[str, Any]]:
    """Return the settings of each row."""
    return {
        "gradient ascent, no limits": {
            f"ascent {rate:g}": cax.GradientAscent(rate=rate, steps=EVALUATIONS)
            for rate in (*RATES, 1.0)
        },
        "ascent, clipped to the pixels": {
            f"clipped {rate:g}": cax.ClippedAscent(rate=rate, steps=EVALUATIONS) for rate in RATES
        },
        "Adam, projected by this library": {
            f"Adam {rate:g} {decay}": cax.ProjectedAdam(rate=rate, decay=decay)
            for rate in RATES
            for decay in ("constant", "cosine")
        },
        "fixed steps, projected by this library": {
            f"steps {length:g}": cax.ProjectedGradient(step_size=length)
            for length in (0.1, 0.3, 1.0)
        },
        '`maximize`, `method="pgd"`': {"pgd": "pgd"},
        "`maximize`": {"auto": "auto"},
    }


def main() -> None:
    """Print the table."""
    problem = cax.Problem(
        cax.examples.load_model(),
        cax.Logit("Sneaker"),
        [cax.Box(0, 1), cax.L1Ball(60)],
        labels=cax.examples.CLASS_NAMES,
    )
    families = entrants()
    methods = {name: one for family in families.values() for name, one in family.items()}
    found = cax.compare(problem, methods, starts=STARTS, budget=EVALUATIONS)
    print("| method | what it returns: ink of 60, pixels | logit once projected: median | lowest |")
    print("|---|---|---|---|")
    for family, settings in families.items():
        rows = [[one for one in found.trials if one.method == name] for name in settings]
        best = max(rows, key=lambda row: statistics.median(one.value for one in row))
        values = [one.value for one in best]
        ink = statistics.median(float(np.abs(one.raw).sum()) for one in best)
        lowest, highest = (float(end([one.raw for one in best])) for end in (np.min, np.max))
        print(
            f"| {family} | {ink:.0f}, {lowest:.3g} to {highest:.3g} "
            f"| {statistics.median(values):.2f} | {min(values):.2f} |"
        )
    print()
    budget = cax.Budget(evaluations=STARTS * EVALUATIONS)
    print(cax.solve(problem, starts=STARTS, seed=0, budget=budget))


if __name__ == "__main__":
    main()

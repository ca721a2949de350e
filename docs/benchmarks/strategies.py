"""Strategies of the augmented Lagrangian: `python docs/benchmarks/strategies.py --write`.

The augmented Lagrangian on the questions of [output limits](output_limits.md), without a budget:
as it is; with one path from each starting point (no contraction of a dilated set); without
restoration from local minima of the violation; and without the last steps toward the constraints
that the best point nearly reaches. A value is a dash where no point is feasible.

The last steps pay where the constraint is active at the answer. The second table has the image that
is nearest to the mean shirt, in squared Euclidean distance, and called something else; the residual
is that of stationarity.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any
from unittest import mock

from output_limits import problem_of, pullovers, shown

import constrained_actmax as cax
from constrained_actmax.solvers import augmented_lagrangian

HERE = Path(__file__).resolve().parent
#: The images of output_limits.md.
IMAGES = (2, 7, 9, 16, 19, 22, 31, 32)
#: What the nearest image is called.
CALLED = ("Coat", "Pullover")
#: Settings, and what is replaced in the module.
AS_IT_IS = {"RESTORATIONS": augmented_lagrangian.RESTORATIONS}
ARMS: dict[str, tuple[cax.AugmentedLagrangian, dict[str, Any]]] = {
    "all": (cax.AugmentedLagrangian(), AS_IT_IS),
    "no contraction": (cax.AugmentedLagrangian(paths_per_start=1), AS_IT_IS),
    "no restoration": (cax.AugmentedLagrangian(), {"RESTORATIONS": 0}),
    "no last steps": (cax.AugmentedLagrangian(), {"activate": lambda task, start: None}),
}


def nearest(oracle: cax.Oracle) -> list[str]:
    """Return the rows of the second table."""
    lines = [
        "| called | method | last steps | squared distance | residual | evaluations | status |",
        "|---|---|---|---|---|---|---|",
    ]
    shirt = cax.examples.reference("Shirt")
    for name in CALLED:
        allowed = [cax.Box(0, 1), cax.Margin(name) >= 1e-3]
        distance = cax.SquaredDistance(shirt)
        problem = cax.Problem(oracle, distance, allowed, sense="minimize", x0=shirt)
        for method in ("augmented-lagrangian", "auto"):
            for arm, steps in (("all", "yes"), ("no last steps", "no")):
                with mock.patch.multiple(augmented_lagrangian, **ARMS[arm][1]):
                    result = cax.solve(problem, method=method, seed=0)
                lines.append(
                    f"| {name} | {method} | {steps} | {shown(result.value, '.6f')} "
                    f"| {result.optimality.stationarity:.1e} | {result.nfev} "
                    f"| {result.status.name} |"
                )
                print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Measure, print, and write the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of IDX files; else Keras fetches them")
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    oracle = cax.Oracle(cax.examples.load_model(), labels=list(cax.examples.CLASS_NAMES))
    images = list(pullovers(chosen.data))
    lines = [
        "| image | " + " | ".join(f"{arm} | evaluations" for arm in ARMS) + " |",
        "|---|" + "---|" * (2 * len(ARMS)),
    ]
    for number in IMAGES:
        cells = []
        for method, replaced in ARMS.values():
            with mock.patch.multiple(augmented_lagrangian, **replaced):
                result = cax.solve(problem_of(oracle, images[number]), method=method)
            value = result.value if result.feasible else float("nan")
            cells.append(f"{shown(value, '.4f')} | {result.nfev}")
        lines.append(f"| {number} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    found = nearest(oracle)
    if chosen.write:
        head = ["# Strategies of the augmented Lagrangian", "", *(__doc__ or "").split("\n")[2:-1]]
        text = "\n".join([*head, "", *lines, "", *found, ""])
        (HERE / "strategies.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

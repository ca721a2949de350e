"""Make it a Coat, with caps on two rivals: `python docs/benchmarks/output_limits.py --write`.

Maximise Coat's logit of the embedded model with Shirt <= 10 % and Pullover <= 10 %, pixels in
[0, 1] and at most 2 away from a Pullover of the test set, for the first ten Pullovers at which a
cap is active. All methods start from that image, in one process, with one BLAS thread each.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np

import constrained_actmax as cax
from constrained_actmax.examples.train import read_samples

HERE = Path(__file__).resolve().parent
IMAGES, RADIUS, CAP, REPEATS, SECONDS = 10, 2.0, 0.1, 3, 15.0
METHODS = ("augmented-lagrangian", "SLSQP", "trust-constr")
CAPPED = ("Shirt", "Pullover")


def problem_of(oracle: cax.Oracle, image: np.ndarray) -> cax.Problem:
    """Return the question for one image."""
    caps = [cax.Probability(name) <= CAP for name in CAPPED]
    ball = cax.L2Ball(RADIUS, center=image)
    return cax.Problem(oracle, cax.Logit("Coat"), [cax.Box(0, 1), ball, *caps], x0=image)


def pullovers(folder: Path | None) -> np.ndarray:
    """Return the Pullovers of the test set, in its order."""
    _, test = read_samples(folder)
    number = cax.examples.class_number("Pullover")
    return test.images[test.labels == number].astype(np.float64) / 255


def prices(result: cax.Result) -> dict[str, float]:
    """Return what one unit more of each cap would buy."""
    found = result.optimality.multipliers
    return {name: float(found[f"Probability('{name}') <= {CAP:g}"]) for name in CAPPED}


def main() -> None:
    """Measure, print, and write the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, help="folder of the IDX files; else Keras fetches them"
    )
    parser.add_argument("--repeats", type=int, default=REPEATS, help="runs for each median")
    parser.add_argument("--slow-repeats", type=int, default=1, help="the same for the slow methods")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="limit of one run")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--methods", nargs="*", default=METHODS)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    model = cax.examples.load_model()
    oracle = cax.Oracle(model, labels=list(cax.examples.CLASS_NAMES))
    unsolved: list[int] = []
    lines = [
        "| image | method | Coat's logit | below the best | violation | rate of Shirt | "
        "of Pullover | evaluations | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    seconds: dict[str, list[float]] = {}
    gaps: dict[str, list[float]] = {}
    taken = 0
    for number, image in enumerate(pullovers(chosen.data)):
        if taken == chosen.images:
            break
        problem = problem_of(oracle, image)
        probe = cax.solve(problem, method="augmented-lagrangian")
        if not probe.feasible or max(prices(probe).values()) <= 0:
            if not probe.feasible:
                unsolved.append(number)
            continue  # no cap is active there
        taken += 1
        results: dict[str, Any] = {}
        for method in chosen.methods:
            repeats = chosen.repeats if method == METHODS[0] else chosen.slow_repeats
            limit = cax.Budget(seconds=chosen.seconds)
            runs = [cax.solve(problem, method=method, budget=limit) for _ in range(repeats)]
            results[method] = runs[0]
            seconds.setdefault(method, []).append(statistics.median(r.seconds for r in runs))
        best = max(r.value for r in results.values() if r.feasible)
        for method, result in results.items():
            gap = (best - result.value) / abs(best)
            gaps.setdefault(method, []).append(gap if result.feasible else np.inf)
            rates = prices(result)
            lines.append(
                f"| {number} | {method} | {result.value:.4f} | {100 * gap:.2f} % | "
                f"{result.maxcv:.0e} | {rates['Shirt']:.3g} | {rates['Pullover']:.3g} | "
                f"{result.nfev} | {seconds[method][-1]:.2f} |"
            )
            print(lines[-1], result.status.name, flush=True)
    summary = [
        "| method | median seconds | worst gap to the best | times as long as the first |",
        "|---|---|---|---|",
    ]
    first = statistics.median(seconds[METHODS[0]])
    for method, times in seconds.items():
        middle = statistics.median(times)
        summary.append(
            f"| {method} | {middle:.2f} | {100 * max(gaps[method]):.2f} % | {middle / first:.1f} |"
        )
    print("\n".join(summary))
    if chosen.write:
        head = [
            "# Limits on the model's own outputs",
            "",
            *(__doc__ or "").split("\n")[2:-1],
            "Written by `docs/benchmarks/output_limits.py --write`; times are medians of "
            f"{chosen.repeats} runs for the augmented Lagrangian and of {chosen.slow_repeats} for "
            f"the others; a run is ended after {chosen.seconds:g} seconds, and its best feasible "
            "point counts.",
            "Rates are the logit that one unit more of the cap would buy.",
            f"Images left out because the augmented Lagrangian found nothing feasible: "
            f"{unsolved or 'none'}.",
            "",
        ]
        text = "\n".join([*head, *summary, "", *lines, ""])
        (HERE / "output_limits.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""A Coat with bounds on two rivals: `python docs/benchmarks/output_limits.py --write`.

Maximise Coat's logit of the embedded model with Shirt <= 10 % and Pullover <= 10 %, pixels in
[0, 1] and at most 2 away from a Pullover of the test set, for the first Pullovers at which such a
bound is active. All methods start from that image, in one process, with one BLAS thread each.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

import constrained_actmax as cax
from constrained_actmax.examples.train import read_samples

HERE = Path(__file__).resolve().parent
IMAGES, RADIUS, BOUND, REPEATS, SECONDS = 8, 2.0, 0.1, 10, 16.0
CLOSE = 0.01  # of the best value
METHODS = ("augmented-lagrangian", "SLSQP", "trust-constr")
BOUNDED = ("Shirt", "Pullover")


def problem_of(oracle: cax.Oracle, image: np.ndarray) -> cax.Problem:
    """Return the question for one image."""
    bounds = [cax.Probability(name) <= BOUND for name in BOUNDED]
    ball = cax.L2Ball(RADIUS, center=image)
    return cax.Problem(oracle, cax.Logit("Coat"), [cax.Box(0, 1), ball, *bounds], x0=image)


def pullovers(folder: Path | None) -> np.ndarray:
    """Return the Pullovers of the test set, in its order."""
    _, test = read_samples(folder)
    number = cax.examples.class_number("Pullover")
    return test.images[test.labels == number].astype(np.float64) / 255


def multipliers(result: cax.Result) -> dict[str, float]:
    """Return the multiplier of each bound on an output."""
    known = result.optimality.multipliers
    return {name: float(known[f"Probability('{name}') <= {BOUND:g}"]) for name in BOUNDED}


def seconds_until(result: cax.Result, value: float) -> float:
    """Return when a feasible iterate first had this value; infinite if none had."""
    history = result.history
    for when, reached, off in zip(history.seconds, history.value, history.violation, strict=True):
        if off <= result.settings["feasibility_tolerance"] and reached >= value:
            return float(when)
    return np.inf


def shown(number: float, form: str) -> str:
    """Return a number, or a dash where there is none."""
    return format(number, form) if np.isfinite(number) else "–"


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
        "| image | method | Coat's logit | below the best, % | violation | multiplier of "
        "Shirt | of Pullover | evaluations | seconds | until within 1 % |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    seconds: dict[str, list[float]] = {}
    gaps: dict[str, list[float]] = {}
    untils: dict[str, list[float]] = {}
    taken = 0
    for number, image in enumerate(pullovers(chosen.data)):
        if taken == chosen.images:
            break
        problem = problem_of(oracle, image)
        probe = cax.solve(problem, method="augmented-lagrangian")
        if not probe.feasible or max(multipliers(probe).values()) <= 0:
            if not probe.feasible:
                unsolved.append(number)
            continue  # no bound on an output is active there
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
            gap = (best - result.value) / abs(best) if result.feasible else np.inf
            gaps.setdefault(method, []).append(gap)
            until = seconds_until(result, best - CLOSE * abs(best))
            untils.setdefault(method, []).append(until)
            of_bounds = multipliers(result)
            lines.append(
                f"| {number} | {method} "
                f"| {result.value:.4f}{'' if result.feasible else ' (infeasible)'} "
                f"| {shown(100 * gap, '.2f')} | "
                f"{result.maxcv:.0e} | {of_bounds['Shirt']:.3g} | {of_bounds['Pullover']:.3g} | "
                f"{result.nfev} | {seconds[method][-1]:.2f} | {shown(until, '.2f')} |"
            )
            print(lines[-1], result.status.name, flush=True)
    summary = [
        "| method | feasible | within 1 % of the best | worst gap, % | median seconds "
        "| times the first | median seconds until within 1 % | times the first |",
        "|---|---|---|---|---|---|---|---|",
    ]
    first, soonest = (statistics.median(one[METHODS[0]]) for one in (seconds, untils))
    for method, times in seconds.items():
        middle, until = statistics.median(times), statistics.median(untils[method])
        summary.append(
            f"| {method} | {np.isfinite(gaps[method]).sum()} of {taken} "
            f"| {sum(gap <= CLOSE for gap in gaps[method])} "
            f"| {shown(100 * max(gaps[method]), '.2f')} | {middle:.2f} | {middle / first:.1f} "
            f"| {shown(until, '.2f')} | {shown(until / soonest, '.1f')} |"
        )
    print("\n".join(summary))
    if chosen.write:
        head = [
            "# Limits on the model's own outputs",
            "",
            *(__doc__ or "").split("\n")[2:-1],
            "Written by `docs/benchmarks/output_limits.py --write`; seconds are of "
            "processor time of all threads, medians of "
            f"{chosen.repeats} runs for the augmented Lagrangian and of {chosen.slow_repeats} for "
            f"the others; a run is ended after {chosen.seconds:g} seconds, and its best feasible "
            "point counts.",
            "A multiplier is the gain of the logit for one unit more of the bound. *Until within "
            "1 %* is the first feasible iterate that near to the best value of any method; a "
            "method that never comes there counts as infinitely long, and a dash says so. A "
            "feasible point keeps the bounds as probabilities and as the log-odds that they are "
            "imposed on, so one may be infeasible whose violation, in probability, is below the "
            "tolerance.",
            f"Images left out because the augmented Lagrangian found nothing feasible: "
            f"{unsolved or 'none'}.",
            "",
        ]
        text = "\n".join([*head, *summary, "", *lines, ""])
        (HERE / "output_limits.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    # Seconds are of processor time, which other processes on the machine do not spoil.
    time.perf_counter = time.process_time
    main()

"""64 starts of one method: one after another against side by side, one model call a round.

The limit is the bare compiled function: its rows a second in batches of 64 over its rows a second
one at a time. "One after another" solves each start alone, one row a call; "side by side" is the
same call with all starts. Both get the same evaluations for each start.

    python docs/benchmarks/starts.py --write
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import networks
import numpy as np
import scipy.optimize
from threadpoolctl import threadpool_limits

import constrained_actmax as cax
from constrained_actmax.rounds import Rounds

STARTS = 64
EVALUATIONS = 60  # of each start
SMALL = 64  # variables of the small network for SLSQP


def convolutional() -> Any:
    """Return the network of the question's fifth answer, with seeded weights."""
    import keras

    keras.utils.set_random_seed(0)
    return networks.answer_5()


def small() -> Any:
    """Return a small dense network with seeded weights."""
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((SMALL,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(4, activation="softmax"),
        ],
        name="small_dense",
    )


def limit(problem: cax.Problem, repeats: int) -> float:
    """Return rows a second in batches over rows a second one at a time, of the bare oracle."""
    rows = problem.set.sample(np.random.default_rng(0), STARTS)
    oracle = problem.oracle

    def once(x: np.ndarray) -> float:
        began = time.perf_counter()
        oracle.evaluate(x)
        return time.perf_counter() - began

    for x in (rows, rows[:1]):
        once(x)
    one = statistics.median(once(rows[:1]) for _ in range(repeats * 20))
    many = statistics.median(once(rows) for _ in range(repeats * 5))
    return STARTS * one / many


def timed(problem: cax.Problem, method: str, starts: np.ndarray) -> tuple[float, float, int]:
    """Return seconds one after another and side by side, and the model calls of the latter."""
    alone = cax.Budget(evaluations=EVALUATIONS)
    together = cax.Budget(evaluations=EVALUATIONS * len(starts))
    cax.solve(problem, method=method, starts=starts[:1], budget=alone)
    cax.solve(problem, method=method, starts=starts, budget=cax.Budget(evaluations=2 * STARTS))
    began = time.perf_counter()
    asked = sum(
        cax.solve(problem, method=method, starts=one[None], budget=alone).nfev for one in starts
    )
    sequential = time.perf_counter() - began
    began = time.perf_counter()
    result = cax.solve(problem, method=method, starts=starts, budget=together)
    side_by_side = time.perf_counter() - began
    # Seconds for one row each, so that a start that ends early does not count as speed.
    return sequential / asked, side_by_side / result.nfev, result.calls


def own_costs() -> list[str]:
    """Return what the lock-step costs a request, and SciPy an evaluation, with a free function."""
    asks = 300

    def job(ask: Any) -> None:
        for _ in range(asks):
            ask(None)

    rounds = Rounds(lambda asked: asked, STARTS, RuntimeError)
    began = time.perf_counter()
    rounds.run(((key, job) for key in range(STARTS)), lambda key, error: None)
    handing = (time.perf_counter() - began) / (STARTS * asks)
    n = 784
    rng = np.random.default_rng(0)
    slopes, centre = rng.uniform(1.0, 50.0, n), rng.random(n)
    count = [0]

    def bowl(x: np.ndarray) -> tuple[float, np.ndarray]:
        count[0] += 1
        d = x - centre
        return 0.5 * float(slopes @ (d * d)), slopes * d

    points = rng.random((STARTS, n))
    bounds = scipy.optimize.Bounds(np.zeros(n), np.full(n, 0.7))
    began = time.perf_counter()
    with threadpool_limits(1, "blas"):
        for x in points:
            scipy.optimize.minimize(bowl, x, jac=True, method="L-BFGS-B", bounds=bounds)
    scipys = (time.perf_counter() - began) / count[0]
    return [
        f"Handing a request over and back, with {STARTS} starts: {1e3 * handing:.3f} ms. SciPy's "
        f"L-BFGS-B itself, for an evaluation of a function of {n} variables that costs nothing: "
        f"{1e3 * scipys:.3f} ms. Both remain whatever the model costs.",
    ]


def main() -> None:
    """Print the table; write it with --write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write starts.md beside this file")
    options = parser.parse_args()
    box = [cax.Box(0, 1)]
    budget = [cax.Box(0, 1), cax.L1Ball(60)]
    embedded, cnn = cax.examples.load_model(), convolutional()
    cases = [
        (embedded, box, "L-BFGS-B"),
        (embedded, box, "spg"),
        (embedded, box, "pgd"),
        (embedded, budget, "spg"),
        (embedded, budget, "pgd"),
        (cnn, box, "L-BFGS-B"),
        (cnn, box, "spg"),
        (cnn, box, "pgd"),
        (cnn, budget, "spg"),
        (cnn, budget, "pgd"),
        (small(), box, "SLSQP"),
    ]
    lines = [
        "| model | set | method | one after another, ms a row | side by side, ms a row | "
        "times faster | limit of the model | share of the limit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for model, sets, method in cases:
        problem = cax.Problem(model, cax.Logit(0), sets)
        starts = problem.set.sample(np.random.default_rng(0), STARTS)
        most = limit(problem, options.repeats)
        runs = [timed(problem, method, starts) for _ in range(options.repeats)]
        alone = statistics.median(run[0] for run in runs)
        together = statistics.median(run[1] for run in runs)
        ratio = statistics.median(run[0] / run[1] for run in runs)
        lines.append(
            f"| {model.name} | {' ∩ '.join(str(one) for one in sets)} | {method} "
            f"| {1e3 * alone:.3f} | {1e3 * together:.3f} | {ratio:.1f} | {most:.1f} "
            f"| {100 * ratio / most:.0f} % |"
        )
        print(lines[-1], flush=True)
    lines += ["", *own_costs()]
    table = "\n".join(lines)
    print("\n" + table)
    if options.write:
        import tensorflow as tf

        text = (
            f"# Many starts side by side\n\nPrinted by `python docs/benchmarks/starts.py --write` "
            f"(TensorFlow {tf.__version__}, NumPy {np.__version__}, "
            f"{os.cpu_count()} cores, {platform.machine()}): {STARTS} starts, {EVALUATIONS} "
            f"evaluations each, medians of {options.repeats} runs.\n\n"
            "The limit is the model's own gain from batches, measured with the bare compiled "
            "function; the rows of `spg` one at a time on the convolutional network cost more than "
            "its bare calls, which is how a share can pass 100 %. L-BFGS-B stays far from the "
            "limit where the model is cheap, because what remains is SciPy's own work, one start "
            "after the other (below the table).\n\n"
            f"{table}\n"
        )
        Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""64 starts of one method: one after another against side by side, one model call a round.

The limit is the bare compiled function: its rows a second in batches of 64 over its rows a second
one at a time. SciPy's methods work on one start after the other whatever the model does, so the
second limit is (one row + SciPy) over (a 64th of a batch + SciPy). "One after another"
solves each start alone, one row a call; "side by side" is the same call with all starts. Both get
the same evaluations for each start. Whether they end at the same points is asked at one padded
shape, where both are to give the same bits.

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
from constrained_actmax.solvers.selection import named
from constrained_actmax.tasks.recording import Recording

STARTS = 64
EVALUATIONS = 60  # of each start
SMALL = 64  # variables of the small network for SLSQP
SCIPYS = ("L-BFGS-B", "SLSQP")
SCIPY_STEPS = 50  # about as many evaluations
COMPARED_STARTS, COMPARED_STEPS = 16, 15  # of the question whether points are the same
LENGTH = {  # what each method calls its number of iterations
    "L-BFGS-B": "maxiter",
    "SLSQP": "maxiter",
    "spg": "max_iterations",
    "pgd": "iterations",
}


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


def bare(problem: cax.Problem) -> tuple[float, float]:
    """Return the bare oracle's seconds for one row, asked alone and in batches of 64."""
    rows = problem.set.sample(np.random.default_rng(0), STARTS)
    oracle = problem.oracle

    def once(x: np.ndarray) -> float:
        began = time.perf_counter()
        oracle.evaluate(x)
        return time.perf_counter() - began

    for x in (rows, rows[:1]):
        once(x)
    one = statistics.median(once(rows[:1]) for _ in range(60))
    return one, statistics.median(once(rows) for _ in range(15)) / STARTS


def same_points(problem: cax.Problem, method: str, starts: np.ndarray) -> int:
    """Return how many starts end at the same point, bit for bit, alone and beside the others."""
    solver = named(method).with_options({LENGTH[method]: COMPARED_STEPS})
    together = Recording(problem, len(starts), padded_rows=STARTS)
    ends = solver.solve(together, starts)
    same = 0
    for point, end in zip(starts, ends, strict=True):
        alone = solver.solve(Recording(problem, 1, padded_rows=STARTS), point[np.newaxis])[0]
        same += np.array_equal(alone.x, end.x) and alone.iterations == end.iterations
    return same


def timed(problem: cax.Problem, method: str, starts: np.ndarray) -> tuple[float, float]:
    """Return seconds for a row, one after another and side by side."""
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
    return sequential / asked, side_by_side / result.nfev


def handing_over() -> float:
    """Return the seconds in which a request goes to the server and its answer comes back."""
    asks = 300

    def job(ask: Any) -> None:
        for _ in range(asks):
            ask(None)

    rounds = Rounds(lambda asked: asked, STARTS, RuntimeError)
    began = time.perf_counter()
    rounds.run(((key, job) for key in range(STARTS)), lambda key, error: None)
    return (time.perf_counter() - began) / (STARTS * asks)


def scipys_own(problem: cax.Problem, method: str, starts: np.ndarray) -> float:
    """Return SciPy's own seconds for an evaluation: what it spends outside the function."""
    inside, asked = 0.0, 0

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal inside, asked
        began = time.perf_counter()
        values, jacobian = problem.oracle.evaluate(x[np.newaxis])
        asked += 1
        inside += time.perf_counter() - began
        return float(values[0, 0]), jacobian[0, 0]

    bounds = scipy.optimize.Bounds(np.zeros(problem.size), np.ones(problem.size))
    began = time.perf_counter()
    with threadpool_limits(1, "blas"):
        for x in starts:
            scipy.optimize.minimize(
                function,
                x,
                jac=True,
                method=method,
                bounds=bounds,
                tol=problem.oracle.epsilon,
                options={"maxiter": SCIPY_STEPS},
            )
    return (time.perf_counter() - began - inside) / asked


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
        "| model | set | method | one after another, ms an evaluation | side by side, ms an "
        "evaluation | "
        "times faster | limit of the model | share of it | SciPy's own work, ms an evaluation | "
        "limit with that | share of it | same points |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for model, sets, method in cases:
        problem = cax.Problem(model, cax.Logit(0), sets)
        starts = problem.set.sample(np.random.default_rng(0), STARTS)
        same = same_points(problem, method, starts[:COMPARED_STARTS])
        runs = [(*timed(problem, method, starts), *bare(problem)) for _ in range(options.repeats)]
        alone, together, one, many = (
            statistics.median(column) for column in zip(*runs, strict=True)
        )
        ratio = statistics.median(run[0] / run[1] for run in runs)
        most = one / many
        limits = "| | | "
        if method in SCIPYS:
            scipys = scipys_own(problem, method, starts)
            with_scipy = (one + scipys) / (many + scipys)
            limits = f"| {1e3 * scipys:.3f} | {with_scipy:.1f} | {100 * ratio / with_scipy:.0f} % "
        lines.append(
            f"| {model.name} | {' ∩ '.join(str(one) for one in sets)} | {method} "
            f"| {1e3 * alone:.3f} | {1e3 * together:.3f} | {ratio:.1f} | {most:.1f} "
            f"| {100 * ratio / most:.0f} % {limits}| {same} of {COMPARED_STARTS} |"
        )
        print(lines[-1], flush=True)
    lines += [
        "",
        f"The lock-step's own cost, handing a request over and back with {STARTS} starts: "
        f"{1e3 * handing_over():.4f} ms.",
    ]
    table = "\n".join(lines)
    print("\n" + table)
    if options.write:
        import tensorflow as tf

        text = (
            f"# Many starts side by side\n\nPrinted by `python docs/benchmarks/starts.py --write` "
            f"(TensorFlow {tf.__version__}, NumPy {np.__version__}, "
            f"{os.cpu_count()} cores, {platform.machine()}): {STARTS} starts, {EVALUATIONS} "
            f"evaluations each, medians of {options.repeats} runs.\n\n"
            "The limit of the model is its own gain from batches, measured with the bare compiled "
            "function between the runs. The second limit is what SciPy's own work leaves, which is "
            "done one start after the other: (one row + SciPy's work) over (a row in a batch + "
            "SciPy's work). "
            "A share can pass 100 % where one row at a time costs more inside a solver than in a "
            "loop that does nothing else. Same "
            f"points: of {COMPARED_STARTS} starts after {COMPARED_STEPS} iterations, bit for bit, "
            f"in calls padded to {STARTS} rows.\n\n"
            f"{table}\n"
        )
        Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

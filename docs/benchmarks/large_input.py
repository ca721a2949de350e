"""A limit on an output of a large network: `python docs/benchmarks/large_input.py --write`.

Maximise one logit of MobileNetV2 with random weights (3.5 million), at 224 x 224 x 3 = 150,528
inputs in [0, 1] and at most 20 away from a random image, while another logit stays at or below 0.
The statistics of its normalisation layers are those of random images: without them the signal of
an untrained network of this depth vanishes.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import keras
import numpy as np

import constrained_actmax as cax

HERE = Path(__file__).resolve().parent
EVALUATIONS, RADIUS = 300, 20.0
METHODS = ("augmented-lagrangian", "SLSQP", "trust-constr", "COBYQA")


def random_mobilenet() -> keras.Model:
    """Return MobileNetV2 with random weights, its signal of order one."""
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(weights=None)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # one batch sets the statistics
    images = np.random.default_rng(0).uniform(size=(8, 224, 224, 3))
    model(images.astype(np.float32), training=True)
    return model


def main() -> None:
    """Measure, print, and write the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=EVALUATIONS)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest is told")
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    oracle = cax.Oracle(random_mobilenet())
    image = np.random.default_rng(1).uniform(size=(224, 224, 3))
    constraints = [cax.Box(0, 1), cax.L2Ball(RADIUS, center=image), cax.Logit(8) <= 0]
    problem = cax.Problem(oracle, cax.Logit(7), constraints, x0=image)
    spent = [0.0]
    evaluate = problem.oracle.evaluate

    def timed(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        began = time.perf_counter()
        found = evaluate(x)
        spent[0] += time.perf_counter() - began
        return found

    evaluate(problem.x0[np.newaxis])  # compiled before the clock starts
    problem.oracle.evaluate = timed  # type: ignore[method-assign]
    lines = [
        "| method | outcome | logit | violation | seconds | of it the model | own share |",
        "|---|---|---|---|---|---|---|",
    ]
    for method in METHODS:
        found: list[tuple[float, str]] = []
        for _ in range(chosen.repeats):
            spent[0] = 0.0
            began = time.perf_counter()
            try:
                result = cax.solve(
                    problem, method=method, budget=cax.Budget(evaluations=chosen.evaluations)
                )
            except cax.RefusedError as refusal:
                found.append((0.0, f"| {method} | refused: {refusal} | | | | | |"))
                break
            seconds = time.perf_counter() - began
            own = seconds / spent[0] - 1.0
            line = (
                f"| {method} | {result.status.name.lower()} after {result.nfev} evaluations | "
                f"{result.value:.4f} | {result.maxcv:.0e} | {seconds:.1f} | {spent[0]:.1f} | "
                f"{100 * own:.1f} % of the model's |"
            )
            found.append((seconds, line))
        lines.append(min(found)[1])
        print(lines[-1], flush=True)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    start = problem.evaluate(problem.x0[np.newaxis])
    words = [
        f"The logit starts at {-start.f[0]:.4f}, the limited one at {start.c[0, 0]:.4f}.",
        f"Largest memory of the whole process, TensorFlow and model included: {memory:.2f} GB.",
    ]
    print("\n".join(words))
    if chosen.write:
        head = ["# A limit on an output of a photograph-size network", ""]
        text = (__doc__ or "").split("\n")[2:-1]
        how = f"Written by `docs/benchmarks/large_input.py --write`; fastest of {chosen.repeats}."
        page = "\n".join([*head, *text, "", how, "", *lines, "", *words, ""])
        (HERE / "large_input.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

"""The nearest image of another class: `python docs/benchmarks/nearest.py --write`.

For the first images of Fashion-MNIST's test set that the embedded model classifies correctly: the
smallest Norm(p, center=image) with pixels in [0, 1] and Margin(label) <= 0, for p = ∞, 2 and 1. All
methods start from the image; one process. The rivals:

- *bisection*: 20 halvings of the radius of a ball; at each, `auto` minimises the margin within the
  ball, from the last image that changed the verdict, with 30 or 100 evaluations a radius, or with
  what `auto` takes without a budget (p = ∞, the first image alone).
- *augmented-lagrangian*: what `auto` took before `nearest-point`.
- *SLSQP*, *trust-constr*: SciPy's, on the norm itself (p = 2), in split variables (p = 1) and on
  the epigraph, minimise t with |x - image| <= t (p = ∞), on the first images alone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize
import scipy.sparse as sp

import constrained_actmax as cax
from constrained_actmax.examples.train import read_samples

HERE = Path(__file__).resolve().parent
#: By norm: its words, its ball, a radius within which the verdict of every image changes, images.
NORMS: dict[float, tuple[str, Any, float, int]] = {
    np.inf: ("L∞", cax.LinfBall, 0.3, 20),
    2.0: ("L2", cax.L2Ball, 4.0, 5),
    1.0: ("L1", cax.L1Ball, 30.0, 5),
}
HALVINGS, SLOW_IMAGES, SECONDS = 20, 1, 15.0
TOLERANCE = 1e-5  # of the margin, about what the library allows here
REFERENCE, CLOSE = "bisection, 100 a radius", 0.01
MINE = "nearest-point"


class Found(NamedTuple):
    """The distance that one method found for one image, its evaluations and its time."""

    distance: float
    evaluations: int
    seconds: float


def solved(oracle: cax.Oracle, image: np.ndarray, label: int, order: float, **how: Any) -> Found:
    """Return what one method of the library finds."""
    result = cax.minimize(
        oracle,
        cax.Norm(order, center=image),
        [cax.Box(0, 1), cax.Margin(label) <= 0],
        x0=image,
        seed=0,
        **how,
    )
    distance = result.value if result.feasible else np.inf
    return Found(distance, result.nfev, result.seconds)


def bisected(
    oracle: cax.Oracle, image: np.ndarray, label: int, order: float, each: int | None
) -> Found:
    """Halve the radius of a ball in which the margin is minimised."""
    began = time.perf_counter()
    _, ball, high, _ = NORMS[order]
    low, x, nearest, evaluations = 0.0, image, np.inf, 0
    budget = None if each is None else cax.Budget(evaluations=each)
    for _ in range(HALVINGS):
        radius = 0.5 * (low + high)
        sets = [cax.Box(0, 1), ball(radius, center=image)]
        result = cax.minimize(oracle, cax.Margin(label), sets, x0=x, seed=0, budget=budget)
        evaluations += result.nfev
        if result.value <= 0:
            x = result.x
            nearest = float(np.linalg.norm((x - image).ravel(), order))
            high = min(radius, nearest)
        else:
            low = radius
    return Found(nearest, evaluations, time.perf_counter() - began)


def on_the_epigraph(oracle: cax.Oracle, image: np.ndarray, label: int, method: str) -> Found:
    """Minimise t over (x, t) with \\|x - image\\| <= t and Margin <= 0, by SciPy directly."""
    began = time.perf_counter()
    margin = oracle.with_objectives(cax.Margin(label))
    c, n = image.ravel(), image.size
    kept: dict[bytes, tuple[float, np.ndarray]] = {}
    best = [np.inf]

    def asked(y: np.ndarray) -> tuple[float, np.ndarray]:
        key = y[:n].tobytes()
        if key not in kept:
            if time.perf_counter() - began > SECONDS:
                raise TimeoutError
            x = np.clip(y[:n], 0, 1)
            values, jacobian = margin.evaluate(x[np.newaxis])
            kept[key] = float(values[0, 0]), jacobian[0, 0]
            if values[0, 0] <= TOLERANCE:
                best[0] = min(best[0], float(np.abs(x - c).max()))
        return kept[key]

    eye, one = sp.eye_array(n), np.ones((n, 1))
    rows = sp.csr_array(sp.vstack([sp.hstack([eye, -one]), sp.hstack([-eye, -one])]))
    linear = scipy.optimize.LinearConstraint(rows, -np.inf, np.concatenate([c, -c]))
    curved = scipy.optimize.NonlinearConstraint(
        lambda y: asked(y)[0],
        -np.inf,
        0.0,
        jac=lambda y: np.append(asked(y)[1], 0.0)[np.newaxis],
        hess=scipy.optimize.BFGS(),
    )
    e = np.append(np.zeros(n), 1.0)
    options: dict[str, Any] = {"maxiter": 1000}
    if method == "trust-constr":
        options["sparse_jacobian"] = True
    with contextlib.suppress(TimeoutError):
        scipy.optimize.minimize(
            lambda y: y[n],
            np.append(c, 0.1),
            jac=lambda y: e,
            hess=(lambda y: sp.csr_array((n + 1, n + 1))) if method == "trust-constr" else None,
            method=method,
            bounds=scipy.optimize.Bounds(np.zeros(n + 1), np.append(np.ones(n), np.inf)),
            constraints=[linear, curved],
            options=options,
        )
    return Found(best[0], len(kept), time.perf_counter() - began)


def methods(oracle: cax.Oracle, order: float) -> dict[str, tuple[Callable[..., Found], bool]]:
    """Return the methods for one norm, and whether each runs on the first images alone."""

    def with_method(name: str, seconds: float | None = None) -> Callable[..., Found]:
        budget = None if seconds is None else cax.Budget(seconds=seconds)
        return lambda image, label: solved(oracle, image, label, order, method=name, budget=budget)

    def bisection(each: int | None) -> Callable[..., Found]:
        return lambda image, label: bisected(oracle, image, label, order, each)

    def epigraph(name: str) -> Callable[..., Found]:
        return lambda image, label: on_the_epigraph(oracle, image, label, name)

    chosen = {
        MINE: (with_method(MINE), False),
        "bisection, 30 a radius": (bisection(30), False),
        REFERENCE: (bisection(100), False),
        "augmented-lagrangian": (with_method("augmented-lagrangian"), False),
    }
    for name in ("SLSQP", "trust-constr"):
        run = epigraph(name) if order == np.inf else with_method(name, SECONDS)
        chosen[name] = run, True
    if order == np.inf:
        chosen["bisection, no budget"] = bisection(None), True
    return chosen


def shown(number: float, form: str) -> str:
    """Return a number, or a dash where there is none."""
    return format(number, form) if np.isfinite(number) else "–"


def samples(count: int) -> list[tuple[int, np.ndarray, int]]:
    """Return number, image and label of the first images that the model classifies correctly."""
    shared = os.environ.get("CONSTRAINED_ACTMAX_SHARED")
    if not shared:
        raise SystemExit("nearest.py: skipped, set CONSTRAINED_ACTMAX_SHARED to the folder of data")
    _, test = read_samples(Path(shared) / "data" / "fashion-mnist")
    images = test.images[: 5 * count].astype(np.float64) / 255
    verdicts = cax.examples.load_model().predict(images, verbose=0).argmax(axis=1)
    right = np.flatnonzero(verdicts == test.labels[: 5 * count])[:count]
    return [(int(one), images[one], int(test.labels[one])) for one in right]


def write(summary: list[str], details: list[str]) -> None:
    """Write the page with the norms that are measured so far."""
    load = ", ".join(f"{one:.0f}" for one in os.getloadavg())
    head = [
        "# The nearest image of another class",
        "",
        *(__doc__ or "").split("\n")[2:-1],
        "",
        f"Written by `docs/benchmarks/nearest.py --write` on {os.cpu_count()} cores with other "
        f"work on them (load {load}): the seconds are spoiled by that, the evaluations are not. "
        f"SciPy's methods are stopped after {SECONDS:g} seconds, which that spoils too. *Over it* "
        "is the distance over that of bisection with 100 evaluations a radius: below 0 it is "
        "nearer. A dash says that no image of another class was found.",
        "",
    ]
    (HERE / "nearest.md").write_text("\n".join([*head, *summary, "", *details, ""]), "utf-8")


def main() -> None:
    """Measure, print, and write the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20, help="of each norm at most")
    parser.add_argument("--slow-images", type=int, default=SLOW_IMAGES)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    oracle = cax.Oracle(cax.examples.load_model())
    taken = samples(chosen.images)
    summary = [
        "| norm | method | images | found | within 1 % of bisection with 100 | median over it, % "
        "| worst, % | median evaluations | median seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    details = [
        "| norm | image | nearest-point | evaluations | bisection with 100 | evaluations |",
        "|---|---|---|---|---|---|",
    ]
    for order, (words, _, _, count) in NORMS.items():
        runs: dict[str, list[Found]] = {}
        for name, (run, slow) in methods(oracle, order).items():
            of = taken[: chosen.slow_images if slow else count]
            runs[name] = [run(image, label) for _, image, label in of]
            print(words, name, [round(one.distance, 5) for one in runs[name]], flush=True)
        for name, found in runs.items():
            over = [
                one.distance / two.distance - 1
                for one, two in zip(found, runs[REFERENCE], strict=False)
            ]
            near = sum(one <= CLOSE for one in over)
            summary.append(
                f"| {words} | {name} | {len(found)} "
                f"| {sum(np.isfinite(one.distance) for one in found)} | {near} "
                f"| {shown(100 * statistics.median(over), '.2f')} "
                f"| {shown(100 * max(over), '.2f')} "
                f"| {statistics.median(one.evaluations for one in found):.0f} "
                f"| {statistics.median(one.seconds for one in found):.2f} |"
            )
            print(summary[-1], flush=True)
        for (number, _, _), mine, other in zip(taken, runs[MINE], runs[REFERENCE], strict=False):
            details.append(
                f"| {words} | {number} | {mine.distance:.5f} | {mine.evaluations} "
                f"| {other.distance:.5f} | {other.evaluations} |"
            )
        if chosen.write:
            write(summary, details)


if __name__ == "__main__":
    main()

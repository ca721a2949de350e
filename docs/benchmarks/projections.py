"""Time per projection of every set and of the intersections that users write most.

One point and 64 rows at a time, at 784 and 150,528 entries, beside the same projection by cvxpy
(compiled once, 784 only), by JAXopt and optax where they are installed and have the set, and one
bare pass over the data. Medians; every projected point is checked to lie inside.

    python docs/benchmarks/projections.py --write
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from constrained_actmax.kernels.convex_program import ConvexProgram
from constrained_actmax.kernels.total_variation_ball import TotalVariationBallKernel
from constrained_actmax.layout import Layout
from constrained_actmax.sets import (
    AffineSubspace,
    BandLimited,
    Box,
    Cardinality,
    ConvexHull,
    ConvexSet,
    Ellipsoid,
    Fixed,
    GroupBall,
    Halfspace,
    Intersection,
    L1Ball,
    L2Ball,
    Linear,
    LinfBall,
    Monotone,
    MovingRange,
    NuclearNormBall,
    Simplex,
    Symmetric,
    TotalVariationBall,
)

SMALL, LARGE = (28, 28), (224, 224, 3)
ROWS = 64
PATIENCE = 0.5  # seconds for one number: medians over as many calls as fit, at least one
LISTED = (
    "Box ∩ L1Ball",
    "Box ∩ L2Ball",
    "Box ∩ LinfBall ∩ L2Ball",
    "Box ∩ L1Ball ∩ Fixed",
    "Box ∩ one row",
    "Simplex groups ∩ Box ∩ Fixed",
    "Box ∩ TotalVariationBall",
)


def cases(shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, list[ConvexSet]]:
    """Return the sets, with radii that bind on a normal point: the budgets grow with the size."""
    n = int(np.prod(shape))
    c = rng.uniform(size=shape)
    mask = rng.uniform(size=shape) < 0.1
    groups = np.arange(n).reshape(shape) // 4
    share = np.full(shape, 0.25)
    normal = np.random.default_rng(3).standard_normal((3, *shape))
    return {
        "Box": [Box(0, 1)],
        "L1Ball": [L1Ball(0.08 * n)],
        "weighted L1Ball": [L1Ball(0.08 * n, weights=0.5 + c)],
        "L2Ball": [L2Ball(0.1 * np.sqrt(n), c)],
        "LinfBall": [LinfBall(0.1, c)],
        "Ellipsoid (variances)": [Ellipsoid(0.1 * np.sqrt(n), 0.5 + c, c)],
        "GroupBall": [GroupBall(0.08 * n, groups)],
        "Simplex": [Simplex(0.08 * n)],
        "Halfspace": [Halfspace(c, -0.1 * n)],
        "AffineSubspace (3 rows)": [AffineSubspace(rng.standard_normal((3, *shape)), 1.0)],
        "NuclearNormBall": [NuclearNormBall(0.1 * n**0.5)],
        "BandLimited": [BandLimited(shape[0] // 4)],
        "Symmetric": [Symmetric("left-right")],
        "Monotone": [Monotone(axis=0)],
        "ConvexHull (20 points)": [ConvexHull(rng.uniform(size=(20, *shape)))],
        "Cardinality, a heuristic": [Box(0, 1), Cardinality(n // 10)],
        "TotalVariationBall": [TotalVariationBall(0.05 * n)],
        "MovingRange": [MovingRange(0.3, axis=0)],
        "Box ∩ L1Ball": [Box(0, 1), L1Ball(0.08 * n)],
        "Box ∩ L1Ball, with a center": [Box(0, 1), L1Ball(0.08 * n, c)],
        "Box ∩ L2Ball": [Box(0, 1), L2Ball(0.1 * np.sqrt(n), c)],
        "Box ∩ LinfBall ∩ L2Ball": [Box(0, 1), LinfBall(0.3, c), L2Ball(0.1 * np.sqrt(n), c)],
        "Box ∩ L1Ball ∩ Fixed": [Box(0, 1), L1Ball(0.08 * n, c), Fixed(mask, c)],
        "Box ∩ one row": [Box(0, 1), Linear(np.ones((1, *shape)), upper=0.2 * n)],
        "Simplex groups ∩ Box ∩ Fixed": [
            Simplex(groups=groups),
            Box(0, 0.9),
            Fixed(mask & (groups % 2 == 0), share),
        ],
        "Box ∩ 3 rows": [Box(0, 1), Linear(normal, -1.0, 0.05 * n)],
        "Box ∩ L1Ball ∩ one row": [
            Box(0, 1),
            L1Ball(0.08 * n, c),
            Linear(np.ones((1, *shape)), upper=0.49 * n),
        ],
        "Box ∩ L1Ball ∩ L2Ball": [Box(0, 1), L1Ball(0.06 * n, c), L2Ball(0.1 * np.sqrt(n), c)],
        "Box ∩ Ellipsoid (variances)": [Box(0, 1), Ellipsoid(0.1 * np.sqrt(n), 0.5 + c, c)],
        "Box ∩ GroupBall": [Box(0, 1), GroupBall(0.02 * n, groups, c)],
        "Box ∩ TotalVariationBall": [Box(0, 1), TotalVariationBall(0.05 * n)],
    }


def median(call: Callable[[], Any], patience: float = PATIENCE) -> float:
    """Return the median milliseconds of a call, after one that is not counted."""
    start = time.perf_counter()
    call()
    times: list[float] = []
    begun = time.perf_counter()
    if begun - start > patience:
        return (begun - start) * 1e3
    while not times or (time.perf_counter() - begun < patience and len(times) < 300):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e3


def peers(name: str, shape: tuple[int, ...], y: np.ndarray) -> dict[str, float]:
    """Return milliseconds of JAXopt and optax where they have the set, compiled, one point."""
    found: dict[str, float] = {}
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return found
    jax.config.update("jax_enable_x64", True)
    n = int(np.prod(shape))
    point = jnp.asarray(y)
    budget = 0.08 * n
    calls: dict[str, Callable[[Any], Any]] = {}
    try:
        from jaxopt import projection

        calls["JAXopt"] = {
            "Box": lambda x: projection.projection_box(x, (0.0, 1.0)),
            "L1Ball": lambda x: projection.projection_l1_ball(x, budget),
            "Simplex": lambda x: projection.projection_simplex(x, budget),
            "Box ∩ one row": lambda x: projection.projection_box_section(
                x, (jnp.zeros(n), jnp.ones(n), jnp.ones(n), 0.2 * n), check_feasible=False
            ),
        }.get(name)
    except ImportError:
        pass
    try:
        from optax import projections

        calls["optax"] = {
            "Box": lambda x: projections.projection_box(x, 0.0, 1.0),
            "L1Ball": lambda x: projections.projection_l1_ball(x, budget),
            "Simplex": lambda x: projections.projection_simplex(x, budget),
        }.get(name)
    except ImportError:
        pass
    for who, call in calls.items():
        if call is not None:
            compiled = jax.jit(call)
            found[who] = median(lambda f=compiled: f(point).block_until_ready())
    return found


def by_cvxpy(together: Intersection, y: np.ndarray) -> float:
    """Return milliseconds of one projection by cvxpy, compiled once."""
    program = ConvexProgram(together.members, *(sign * np.full(y.size, np.inf) for sign in (-1, 1)))
    program.project(y[np.newaxis])  # loads cvxpy and compiles
    return median(lambda: program.project(y[np.newaxis]), 0.3)


def measured(shape: tuple[int, ...], only: Sequence[str], cvxpy: bool) -> list[list[str]]:
    """Return one line of the table for each set."""
    rng = np.random.default_rng(0)
    n = int(np.prod(shape))
    y, rows = rng.standard_normal(n), rng.standard_normal((ROWS, n))
    layout, lines = Layout.of_array(shape), []
    lines.append(
        [
            "one bare pass, y + 1",
            f"{median(lambda: y + 1.0):.4f}",
            f"{median(lambda: rows + 1.0) / ROWS:.4f}",
            "",
            "",
            "",
        ]
    )
    for name, members in cases(shape, np.random.default_rng(1)).items():
        if only and name not in only:
            continue
        if "TotalVariation" in name and n > np.prod(SMALL):
            lines.append([name, "see below", "", "", "", ""])
            continue
        try:
            together = Intersection(members).bind(layout)
            inside = float(together.violation(together.project(y)))
        except ValueError as refused:
            lines.append([name, "-", "-", "", "", str(refused)[:60]])
            continue
        assert inside <= together.tolerance, f"{name}: {inside}"
        one = median(lambda s=together: s.project(y))
        # What takes a second a point is measured on one row.
        many = median(lambda s=together: s.project(rows)) / ROWS if one < 200 else np.nan
        reference = by_cvxpy(together, y) if cvxpy and together.convex and one < 1e4 else np.nan
        other = ", ".join(f"{who} {ms:.3f}" for who, ms in peers(name, shape, y).items())
        blank = "" if np.isnan(reference) else f"{reference:.1f}"
        ratio = "" if np.isnan(reference) else f"{reference / one:.0f}"
        lines.append(
            [name, f"{one:.3f}", "-" if np.isnan(many) else f"{many:.3f}", blank, ratio, other]
        )
        print(" | ".join(lines[-1]), flush=True)
    return lines


def warm_total_variation(shape: tuple[int, ...]) -> str:
    """Return a line on warm-started, inexact projections on Box ∩ TotalVariationBall."""
    rng = np.random.default_rng(0)
    n = int(np.prod(shape))
    together = Intersection([Box(0, 1), TotalVariationBall(0.05 * n)]).bind(Layout.of_array(shape))
    y = rng.uniform(size=n)
    p, warm = together.project_inexact(y, 1e-3)
    times, off = [], 0.0
    for _ in range(5):
        y = p + 0.01 * rng.standard_normal(n)
        start = time.perf_counter()
        p, warm = together.project_inexact(y, 1e-3, warm)
        times.append(time.perf_counter() - start)
        assert together.violation(p) <= 1e-12
        finer, _ = together.project_inexact(y, 1e-6)
        off = max(off, float(np.max(np.abs(p - finer))))
    return (
        f"Box ∩ TotalVariationBall at {n:,} entries, steps of 0.01 from a point of the set, "
        f"`project_inexact(y, 1e-3, warm)`: {np.median(times) * 1e3:.1f} ms, always inside, within "
        f"{off:.1e} of the same to 1e-6."
    )


def total_variation_beside_cvxpy(pairs: int = 25) -> str:
    """Return a line on Box ∩ TotalVariationBall and cvxpy, one after the other on the same points.

    Turns make a busy machine slow for both. Processor time is what either costs by itself.
    """
    rng = np.random.default_rng(2)
    n = int(np.prod(SMALL))
    together = Intersection([Box(0, 1), TotalVariationBall(0.05 * n)]).bind(Layout.of_array(SMALL))
    program = ConvexProgram(together.members, np.full(n, -np.inf), np.full(n, np.inf))
    ours: Callable[[np.ndarray], np.ndarray] = together.project

    def theirs(y: np.ndarray) -> np.ndarray:
        return program.project(y[np.newaxis])[0]

    spent: dict[str, list[tuple[float, float]]] = {"ours": [], "cvxpy": []}
    apart = 0.0
    for number in range(pairs + 1):
        y = rng.standard_normal(n) if number % 2 else rng.uniform(size=n)
        found = {}
        for who, call in (("ours", ours), ("cvxpy", theirs)):
            wall, processor = time.perf_counter(), time.process_time()
            found[who] = call(y)
            spent[who].append((time.perf_counter() - wall, time.process_time() - processor))
        apart = max(apart, float(np.max(np.abs(found["ours"] - found["cvxpy"]))))
        assert together.violation(found["ours"]) <= 1e-12
    (wall, processor), (their_wall, their_processor) = (
        np.median(spent[who][1:], axis=0) * 1e3 for who in ("ours", "cvxpy")
    )
    wins = sum(a[0] <= b[0] for a, b in zip(spent["ours"][1:], spent["cvxpy"][1:], strict=True))
    return (
        f"Box ∩ TotalVariationBall at {n:,} entries, in turns with cvxpy compiled once (Clarabel "
        f"at 1e-12), {pairs} normal and uniform points: {wall:.1f} ms against {their_wall:.1f} ms "
        f"(of the processor {processor:.1f} against {their_processor:.1f}), faster on {wins}; "
        f"always inside, at most {apart:.1e} apart."
    )


def total_variation_of_images(tolerances: Sequence[float] = (1e-2, 1e-3, 1e-4)) -> str:
    """Return a table of seconds and errors of TotalVariationBall, where cvxpy cannot go."""
    n = int(np.prod(LARGE))
    y = np.random.default_rng(0).standard_normal(n)
    written = TotalVariationBall(0.05 * n)
    ball = written.bind(Layout.of_array(LARGE))
    assert isinstance(ball, TotalVariationBallKernel)
    zero, one = np.zeros(n), np.ones(n)
    rows = [
        [
            "set",
            "tolerance",
            "s",
            "violation",
            "root mean square error at most",
            "from a run to 1e-5, largest entry",
        ],
        ["---"] * 6,
    ]
    for name, members, box in (
        ("TotalVariationBall", [written], ()),
        ("Box ∩ TotalVariationBall", [Box(0, 1), written], (zero, one)),
    ):
        together = Intersection(members).bind(Layout.of_array(LARGE))
        runs = []
        for tolerance in (*tolerances, 1e-5):
            start = time.perf_counter()
            p, warm = together.project_inexact(y, tolerance)
            seconds = time.perf_counter() - start
            bound = float(ball.error_bound(y[np.newaxis], p[np.newaxis], warm, *box)[0])
            runs.append((tolerance, seconds, together.violation(p), bound / np.sqrt(n), p))
            print(name, *runs[-1][:4], flush=True)
        for tolerance, seconds, outside, bound, p in runs:
            off = f"{np.max(np.abs(p - runs[-1][4])):.1e}" if tolerance > 1e-5 else ""
            rows.append(
                [name, f"{tolerance:g}", f"{seconds:.1f}", f"{outside:.0e}", f"{bound:.1e}", off]
            )
    return (
        "## Total variation at image size\n\nOne cold projection at 150,528 entries (224, 224, 3); "
        "the bound on the error is "
        "`TotalVariationBall.error_bound`, from the duality gap, whatever the true projection is.\n"
        "\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
    )


def table(title: str, lines: list[list[str]]) -> str:
    """Return one table of the page."""
    head = [
        "set",
        "one point, ms",
        f"a row of {ROWS}, ms",
        "cvxpy, ms",
        "times faster",
        "peers, ms",
    ]
    rows = [head, ["---"] * len(head), *lines]
    return f"## {title}\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def machine() -> str:
    """Return the line on machine and versions."""
    found = []
    for name in ("numpy", "scipy", "cvxpy", "clarabel", "jaxopt", "optax"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    return (
        f"Python {platform.python_version()}, {', '.join(found)}, {os.cpu_count()} cores "
        f"({platform.machine()}); load of the machine when done "
        f"{', '.join(f'{one:.1f}' for one in os.getloadavg())}.\n"
    )


def targets(small: list[list[str]], large: list[list[str]]) -> str:
    """Return what was asked of the projections beside what the tables have."""
    at_small = {line[0]: line for line in small}
    at_large = {line[0]: line for line in large}
    rows = [["target", "measured", "holds"], ["---"] * 3]

    def line(words: str, value: float, unit: str, holds: bool) -> None:
        rows.append([words, f"{value:.3g} {unit}", "yes" if holds else "no"])

    for name in ("Box ∩ L1Ball", "Box ∩ L1Ball, with a center"):
        one = at_small[name]
        line(f"{name}, 784: at most 0.15 ms", float(one[1]), "ms", float(one[1]) <= 0.15)
        if one[4]:
            line(
                f"{name}, 784: 100 times faster than cvxpy",
                float(one[4]),
                "times",
                float(one[4]) >= 100,
            )
        if at_large:
            big = float(at_large[name][1])
            line(f"{name}, 150,528: at most 15 ms", big, "ms", big <= 15.0)
    for name in LISTED[1:-1]:
        one = at_small[name]
        line(f"{name}, 784: under 1 ms", float(one[1]), "ms", float(one[1]) < 1.0)
    one = at_small[LISTED[-1]]
    if one[3]:
        line(
            f"{LISTED[-1]}, 784: no slower than cvxpy ({one[3]} ms)",
            float(one[1]),
            "ms",
            float(one[1]) <= float(one[3]),
        )
    return "## Targets\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


HEAD = (
    "# Time per projection\n\n"
    "Normal points outside each set, float64, medians. The page is what `python "
    "docs/benchmarks/projections.py --write` printed; each section names its machine and load, and "
    "`--sections tables`, `turns` or `images` measures one and leaves the others. JAXopt and optax "
    "are measured where they are installed (`pip install jax jaxopt optax`): they are compiled for "
    "one point and know a subset; where a budget shares a box JAXopt takes an equality. cvxpy is "
    "compiled once, with Clarabel at tight tolerance.\n"
)


def main() -> None:
    """Measure, print, and write the page if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="store projections.md beside this")
    parser.add_argument(
        "--sections", nargs="*", default=["tables", "turns", "images"], help="what to measure"
    )
    parser.add_argument("--no-cvxpy", action="store_true", help="leave out cvxpy")
    parser.add_argument("--only", nargs="*", default=[], help="names of sets; prints the tables")
    arguments = parser.parse_args()
    found: dict[str, str] = {}
    if "tables" in arguments.sections:
        small = measured(SMALL, arguments.only, not arguments.no_cvxpy)
        large = measured(LARGE, arguments.only, False)
        if not arguments.only:
            found["Targets"] = targets(small, large)
        found["784 entries (28, 28)"] = table("784 entries (28, 28)", small)
        title = "150,528 entries (224, 224, 3)"
        found[title] = table(title, large) + "\n" + machine()
    if "turns" in arguments.sections and not arguments.only:
        title = "Total variation at 784 entries"
        found[title] = (
            f"## {title}\n\n{total_variation_beside_cvxpy()}\n\n{warm_total_variation(SMALL)}\n\n"
            f"{machine()}"
        )
    if "images" in arguments.sections and not arguments.only:
        found["Total variation at image size"] = total_variation_of_images() + "\n" + machine()
    print("\n".join(found.values()))
    if arguments.write and not arguments.only:
        path = Path(__file__).with_suffix(".md")
        old = path.read_text(encoding="utf-8").split("\n## ")[1:] if path.exists() else []
        kept = {one.splitlines()[0]: "## " + one for one in old}
        every = [
            "Targets",
            "784 entries (28, 28)",
            "150,528 entries (224, 224, 3)",
            "Total variation at 784 entries",
            "Total variation at image size",
        ]
        parts = [found.get(title, kept.get(title, "")).strip() for title in every]
        path.write_text("\n\n".join([HEAD.strip(), *filter(None, parts)]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

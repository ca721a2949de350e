"""The main job on the model that the package ships: a class, then the way to another one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

import constrained_actmax as cax
from constrained_actmax.cli.display import draw, quiet_start, write_result
from constrained_actmax.layout import Vector
from constrained_actmax.plotting import plot_nearness, plot_result
from constrained_actmax.plotting.figures import new_figure
from constrained_actmax.result import Result

BUDGET_L1 = 60.0
FROM, TO = "Shirt", "Coat"
SOLVES = 12  # bisections of the radius: the last bracket is 1/4096 of the first


def run_demo(folder: Path, seed: int) -> None:
    """Run both parts, print them, and write pictures and saved runs into a folder."""
    with quiet_start():
        model = cax.examples.load_model()
        oracle = cax.Oracle(model, labels=list(cax.examples.CLASS_NAMES))
        sneaker = cax.Problem(oracle, cax.Logit("Sneaker"), [cax.Box(0, 1), cax.L1Ball(BUDGET_L1)])
    click.echo(
        "1. Which image makes the network most sure of a sneaker, with pixels in [0, 1]\n"
        f"   and at most {BUDGET_L1:g} of ink?\n"
    )
    most = cax.solve(sneaker, starts=4, seed=seed)
    click.echo(str(most))
    click.echo("")

    click.echo(
        f"2. How little must the mean {FROM.lower()} change until the network sees a "
        f"{TO.lower()}?\n   The smallest L2 ball round it in which Margin({TO!r}) becomes "
        "positive, by bisection.\n"
    )
    reference = cax.examples.reference(FROM)
    farthest = float(np.linalg.norm(cax.examples.reference(TO) - reference))

    def solve(radius: float, x0: Vector) -> Result:
        constraints = [cax.Box(0, 1), cax.L2Ball(radius, center=reference)]
        problem = cax.Problem(oracle, cax.Margin(TO), constraints)
        result: Result = cax.solve(problem, x0=x0, seed=seed)
        return result

    table = Table("solve", "radius", f"largest margin of {TO}", "", box=None, pad_edge=False)
    near = smallest_radius(solve, reference, farthest, table)
    Console().print(table)
    if near is None:
        click.echo(f"\nNo {TO.lower()} found within {farthest:.3g}.")
    else:
        change = float(np.linalg.norm(near.x - reference))
        click.echo(f"\nA change of length {change:.4f} is enough; nearer, none was found.\n")
        click.echo(str(near))
    click.echo("")

    for name, result in (("sneaker", most), ("coat", near)):
        if result is not None:
            for line in write_result(result, folder / name):
                click.echo(line)
    if near is not None:
        click.echo(f"Drew {_draw(most, near, reference, folder)}.")


def _draw(most: Result, near: Result, reference: Vector, folder: Path) -> Path:
    figure = new_figure(15.0, 3.8)
    axes = figure.subplots(1, 4)
    plot_result(most, ax=axes[0])
    titles = (f"mean {FROM.lower()}", f"the network says {TO.lower()}")
    plot_nearness(reference, near.x, lower=0.0, upper=1.0, titles=titles, ax=axes[1:])
    draw(figure, folder / "demo.png")
    return folder / "demo.png"


def smallest_radius(
    solve: Callable[[float, Vector], Result], start: Vector, farthest: float, table: Table
) -> Result | None:
    """Bisect on the radius; return the result of the smallest one with a positive value.

    Parameters
    ----------
    solve : callable
        ``solve(radius, x0)`` gives the largest margin in that ball.
    start : numpy.ndarray
        The ball's centre, where the first solve starts; later ones start from the best image.
    farthest : float
        A radius that is surely large enough: it reaches the mean of the wanted class.
    table : rich.table.Table
        Gets a row for each solve.
    """
    best = None
    low, high, x0 = 0.0, farthest, start
    for number in range(1, SOLVES + 1):
        radius = 0.5 * (low + high)
        result = solve(radius, x0)
        there = result.feasible and result.value > 0
        if there:
            best, high, x0 = result, radius, result.x
        else:
            low = radius
        table.add_row(
            str(number), f"{radius:.4f}", f"{result.value:+.4f}", "enough" if there else "too small"
        )
    return best

"""The main job on the model that the package ships: a class, then the way to another one."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

import constrained_actmax as cax
from constrained_actmax.cli.display import draw, quiet_start, write_result
from constrained_actmax.layout import Vector
from constrained_actmax.plotting import plot_nearness, plot_result
from constrained_actmax.plotting.figures import new_figure
from constrained_actmax.result import Result

BUDGET_L1 = 60.0
FROM, TO = "Shirt", "Coat"
LEAD = 1e-3  # by how much the wanted class leads: well above the tolerance, so the verdict is clear


def run_demo(folder: Path, seed: int) -> None:
    """Run both parts, print them, and write pictures and saved runs into a folder."""
    with quiet_start():
        model = cax.examples.load_model()
        oracle = cax.Oracle(model, labels=list(cax.examples.CLASS_NAMES))
        sneaker = cax.Problem(oracle, cax.Logit("Sneaker"), [cax.Box(0, 1), cax.L1Ball(BUDGET_L1)])
    click.echo(
        "1. Which image does the network most confidently call a sneaker\n"
        f"   (pixels in [0, 1], total ink at most {BUDGET_L1:g})?\n"
    )
    most = cax.solve(sneaker, starts=4, seed=seed)
    click.echo(str(most))
    click.echo("")

    click.echo(
        f"2. How little must the mean {FROM.lower()} change before the network calls it a "
        f"{TO.lower()}?\n   The nearest image with Margin({TO!r}) >= {LEAD:g}:\n"
    )
    reference = cax.examples.reference(FROM)
    near: Result = cax.minimize(
        oracle,
        cax.SquaredDistance(reference),
        [cax.Box(0, 1), cax.Margin(TO) >= LEAD],
        x0=reference,
        seed=seed,
    )
    click.echo(str(near))
    change = float(np.linalg.norm(near.x - reference))
    if near.feasible:
        click.echo(f"\nThe smallest change found has Euclidean norm {change:.4f}.\n")
    else:
        click.echo(f"\nNo {TO.lower()} was found.\n")

    for name, result in (("sneaker", most), ("coat", near)):
        for line in write_result(result, folder / name, lambda _: (0.0, 1.0)):
            click.echo(line)
    if near.feasible:
        click.echo(f"Drew {_draw(most, near, reference, folder)}.")


def _draw(most: Result, near: Result, reference: Vector, folder: Path) -> Path:
    figure = new_figure(15.0, 3.8)
    axes = figure.subplots(1, 4)
    plot_result(most, ax=axes[0])
    titles = (f"mean {FROM.lower()}", f"called a {TO.lower()}")
    plot_nearness(reference, near.x, lower=0.0, upper=1.0, titles=titles, ax=axes[1:])
    draw(figure, folder / "demo.png")
    return folder / "demo.png"

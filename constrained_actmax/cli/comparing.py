"""The commands that compare methods and that write a page of what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

import constrained_actmax as cax
from constrained_actmax.cli.commands import (
    FEASIBLE,
    NOTHING_FEASIBLE,
    QUESTION,
    _specification,
    _with,
    cli,
)
from constrained_actmax.cli.display import draw, quiet_start
from constrained_actmax.errors import SpecificationError

EXAMPLES = """\b
Examples:
  constrained-actmax compare example --class Sneaker --bounds 0 1 --l1 60 \\
      --methods auto,SLSQP,gradient-ascent --budget 300 --starts 10 --out found
  constrained-actmax report found
"""


@cli.command(epilog=EXAMPLES)
@_with(QUESTION)
@click.option(
    "--methods",
    metavar="LIST",
    default="auto,spg,projected-adam,gradient-ascent",
    show_default=True,
    help="Names, with commas: the library's methods, and what people do today.",
)
@click.option("--starts", type=int, default=3, show_default=True, metavar="K")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N")
@click.option(
    "--budget", type=int, default=300, show_default=True, metavar="N",
    help="Evaluations of each run of one method from one start.",
)  # fmt: skip
@click.option("--workers", type=int, default=1, show_default=True, metavar="W")
@click.option("--data", metavar="FILE", help="Samples for dataset-search, one a row, as .npy.")
@click.option(
    "--out", metavar="DIR", help="Keep every run there, go on from what is there, and write a page."
)
@click.pass_context
def compare(context: click.Context, /, **flags: Any) -> None:
    """Run several methods on one question, from the same starts, under the same budget.

    MODEL is a model or a TOML file, as for maximize. With --out, a comparison that was cut off
    goes on where it stopped.
    """
    specification = _specification(flags)
    with quiet_start():
        problem, _ = specification.problem(specification.goal or "maximize")
    methods: dict[str, Any] = {}
    for label in filter(None, map(str.strip, flags["methods"].split(","))):
        if label == cax.DatasetSearch.name and flags["data"] is not None:
            methods[label] = cax.DatasetSearch(samples=_samples(flags["data"]))
        else:
            methods[label] = label
    out = None if flags["out"] is None else Path(flags["out"])
    comparison = cax.compare(
        problem,
        methods,
        starts=flags["starts"],
        budget=flags["budget"],
        seed=flags["seed"],
        workers=flags["workers"],
        folder=out,
    )
    click.echo(str(comparison))
    if out is not None:
        draw(comparison.plot_convergence().figure, out / "convergence.png")
        click.echo(f"Drew {out / 'convergence.png'}.")
        click.echo(f"Wrote {comparison.to_html(out)}.")
    feasible = any(trial.feasible for trial in comparison.trials)
    context.exit(FEASIBLE if feasible else NOTHING_FEASIBLE)


@cli.command()
@click.argument("folder", metavar="DIR")
@click.option("--out", metavar="FILE", help="Where the page goes; DIR/report.html by default.")
def report(folder: str, out: str | None) -> None:
    """Write one page of HTML about the run or the comparison that was saved in DIR."""
    path = Path(folder)
    subject: Any
    if (path / "comparison.json").is_file():
        subject = cax.load_comparison(path)
    elif (path / "result.json").is_file():
        subject = cax.load_result(path)
    else:
        raise SpecificationError(
            f"report: {folder} holds neither comparison.json nor result.json; make one with "
            "maximize --out or compare --out."
        )
    click.echo(f"Wrote {subject.to_html(path if out is None else Path(out))}.")


def _samples(name: str) -> Any:
    try:
        return np.load(name, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SpecificationError(f"--data: {name} is no array of numbers ({error}).") from None

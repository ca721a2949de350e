"""The commands, their flags, and how errors end them."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import click

import constrained_actmax as cax
from constrained_actmax.certifying import rest_of, share_of
from constrained_actmax.cli.demo import run_demo
from constrained_actmax.cli.display import quiet_start, write_result
from constrained_actmax.cli.specification import EXAMPLE, Specification
from constrained_actmax.errors import ConstrainedActmaxError, SpecificationError

FEASIBLE, NOTHING_FEASIBLE, BAD_INPUT, BROKEN, INTERRUPTED = 0, 1, 2, 3, 130
#: Set to anything to see the traceback of an error that the library did not expect.
TRACEBACK = "CONSTRAINED_ACTMAX_TRACEBACK"

Flags: TypeAlias = dict[str, Any]
Command: TypeAlias = Callable[..., None]

SCORES = {
    "logit": "Logit",
    "probability": "Probability",
    "log-probability": "LogProbability",
    "margin": "Margin",
}

QUESTION = (
    click.argument("model", metavar="MODEL"),
    click.option("--class", "target", metavar="LABEL", help="A class, by number or label."),
    click.option(
        "--score",
        type=click.Choice(list(SCORES)),
        help="What of the class counts; the logit by default.",
    ),
    click.option("--output", metavar="INDEX", help="A plain output, by number or label."),
    click.option("--neuron", metavar="LAYER:INDEX", help="A unit of a layer; 3,4,0 for several."),
    click.option("--channel", metavar="LAYER:INDEX", help="The mean of a layer's channel."),
    click.option("--bounds", type=float, nargs=2, metavar="LOW HIGH", help="On every entry."),
    click.option("--l1", type=float, metavar="R", help="Sum of absolute changes at most R."),
    click.option("--l2", type=float, metavar="R", help="Euclidean norm of the change at most R."),
    click.option("--linf", type=float, metavar="R", help="Each entry changes by at most R."),
    click.option(
        "--near", metavar="FILE", help="Picture or .npy: where changes count from and the search "
        "starts; zero by default.",
    ),
    click.option("--resize", is_flag=True, help="Scale a picture of another size."),
    click.option("--labels", metavar="LIST", help="Names of the outputs: a,b,c or a text file."),
    click.option("--feature-names", metavar="LIST", help="Names of the columns: a,b,c."),
    click.option("--input-shape", metavar="SHAPE", help="Where the model leaves it open: 28,28."),
    click.option("--precision", metavar="DTYPE", help="float64 computes on a float64 copy."),
)  # fmt: skip
RUN = (
    click.option("--method", metavar="NAME", help="auto (default), L-BFGS-B, SLSQP, spg, pgd, ..."),
    click.option("--starts", type=int, metavar="K", help="How many starts; 1 by default."),
    click.option("--seed", type=int, metavar="N", help="Repeats the draws; drawn by default."),
    click.option("--budget", type=int, metavar="N", help="At most N evaluations of the model."),
    click.option("--seconds", type=float, metavar="S", help="At most S seconds of solving."),
    click.option(
        "--target", "good_enough", type=float, metavar="V", help="Stop at a value this good."
    ),
    click.option("--tol", type=float, metavar="T", help="Residual that counts as converged."),
    click.option("--out", metavar="DIR", help="Write pictures and the saved run there."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="constrained-actmax")
def cli() -> None:
    """Find the input that makes a trained network's output largest, among those you allow.

    MODEL is a .keras or .h5 file, a SavedModel folder, "example" for the model that the package
    ships, or a TOML file that says everything. The exit status is 0 for a feasible result, 1 if
    nothing feasible was found, 2 for bad input.
    """


def _with(flags: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for flag in reversed(flags):
            command = flag(command)
        return command

    return add


EXAMPLES = """\b
Examples:
  constrained-actmax maximize example --class Sneaker --bounds 0 1 --l1 60 --out run
  constrained-actmax maximize model.keras --class 3 --bounds 0 1 --near cat.png --l2 2
  constrained-actmax maximize run.toml
"""


@cli.command(epilog=EXAMPLES)
@_with(QUESTION)
@_with(RUN)
@click.pass_context
def maximize(context: click.Context, /, **flags: Any) -> None:
    """Make an output of MODEL as large as the constraints allow."""
    context.exit(_solve("maximize", flags))


@cli.command()
@_with(QUESTION)
@_with(RUN)
@click.pass_context
def minimize(context: click.Context, /, **flags: Any) -> None:
    """Make an output of MODEL as small as the constraints allow."""
    context.exit(_solve("minimize", flags))


@cli.command()
@_with(QUESTION)
@_with(RUN)
@click.option("--minimize", "down", is_flag=True, help="Bound the smallest value instead.")
@click.option(
    "--rtol",
    type=float,
    default=1e-4,
    show_default=True,
    metavar="T",
    help="Gap that counts as proven, relative to the range of the output.",
)
@click.pass_context
def certify(context: click.Context, /, down: bool, rtol: float, **flags: Any) -> None:
    """Solve as maximize does, and bound what any allowed input can reach.

    The limits are those of the whole: a fifth is for solving. With --target it ends where it is
    decided whether an allowed input is beyond it. The exit status is 0 if the result is proven to
    be the optimum, or that there is none, or that no input is beyond the target, and 1 if not.
    """
    specification = _specification(flags)
    problem, arguments = _problem(
        specification, "minimize" if down else specification.goal or "maximize", flags
    )
    budget = arguments.get("budget")
    if budget is not None:
        starts = arguments.get("starts", 1)
        arguments["budget"] = share_of(budget, starts if isinstance(starts, int) else len(starts))
    result = cax.solve(problem, **arguments)
    certificate = cax.certify(
        problem,
        result,
        rtol=rtol,
        budget=None if budget is None else rest_of(budget, result),
        target=arguments.get("target"),
        seed=arguments.get("seed"),
    )
    _show(result, specification, flags)
    context.exit(FEASIBLE if certificate.proven else NOTHING_FEASIBLE)


@cli.command()
@_with(QUESTION)
def check(**flags: Any) -> None:
    """Look before solving: shapes, gradient, feasibility, method, seconds.

    MODEL is a model or a TOML file, as for maximize.
    """
    specification = _specification(flags)
    with quiet_start():
        problem, _ = specification.problem(specification.goal or "maximize")
        report = cax.check(problem)
    click.echo(str(report))


@cli.command()
@click.option(
    "--out",
    metavar="DIR",
    default="constrained-actmax-demo",
    show_default=True,
    help="Where pictures and saved runs go.",
)
@click.option("--seed", type=int, default=0, show_default=True, metavar="N")
def demo(out: str, seed: int) -> None:
    """Show what the library does, on the model that it ships, in under a minute."""
    run_demo(Path(out), seed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit status."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        warnings.simplefilter("ignore", DeprecationWarning)  # between packages: not for a user
        status = _run(None if arguments is None else list(arguments))
    sys.exit(status)


def _run(arguments: list[str] | None) -> int:
    try:
        status: int | None = cli.main(
            args=arguments, prog_name="constrained-actmax", standalone_mode=False
        )
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return BAD_INPUT
    except click.ClickException as error:
        return _complain(error.format_message(), BAD_INPUT)
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted.", INTERRUPTED)
    except (ConstrainedActmaxError, OSError) as error:
        return _complain(str(error), BAD_INPUT)
    except Exception as error:  # the last door: a person gets one line, a developer asks for more
        if os.environ.get(TRACEBACK):
            raise
        return _complain(
            f"unexpected {type(error).__name__}: {error} (set {TRACEBACK}=1 to see where)", BROKEN
        )
    return status or FEASIBLE


def _complain(message: str, status: int) -> int:
    click.echo("constrained-actmax: " + " ".join(message.split()), err=True)
    return status


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo("constrained-actmax: warning: " + " ".join(str(message).split()), err=True)


def _solve(goal: str, flags: Flags) -> int:
    specification = _specification(flags)
    problem, arguments = _problem(specification, goal, flags)
    result = cax.solve(problem, **arguments)
    _show(result, specification, flags)
    return FEASIBLE if result.feasible else NOTHING_FEASIBLE


def _problem(
    specification: Specification, goal: str, flags: Flags
) -> tuple[cax.Problem, dict[str, Any]]:
    """Return the problem, and the other arguments of `solve` with those of the flags."""
    with quiet_start():
        problem, arguments = specification.problem(goal)
    for name in ("method", "starts", "seed", "tol"):
        if flags[name] is not None:
            arguments[name] = flags[name]
    if flags["good_enough"] is not None:
        arguments["target"] = flags["good_enough"]
    if flags["budget"] is not None or flags["seconds"] is not None:
        arguments["budget"] = cax.Budget(evaluations=flags["budget"], seconds=flags["seconds"])
    return problem, arguments


def _show(result: cax.Result, specification: Specification, flags: Flags) -> None:
    """Print a result, and write it where asked."""
    click.echo(str(result))
    out = flags["out"]
    if out is None and specification.out is not None:
        out = str(specification.path(specification.out))
    if out is not None:
        for line in write_result(result, Path(out), partial(specification.box, result.layout)):
            click.echo(line)


def _specification(flags: Flags) -> Specification:
    """Return what the TOML file or the flags say."""
    model = flags["model"]
    if Path(model).suffix == ".toml":
        for flag in QUESTION_FLAGS:
            if flags.get(flag) not in (None, False):
                name = "class" if flag == "target" else flag.replace("_", "-")
                raise SpecificationError(f"--{name}: {model} states the problem; change it there.")
        return Specification.read(Path(model), resize=flags["resize"])
    table: dict[str, Any] = {"path": model}
    labels = flags["labels"]
    if labels is not None:
        table["labels"] = labels if Path(labels).is_file() else _words(labels)
    if flags["feature_names"] is not None:
        table["feature_names"] = _words(flags["feature_names"])
    if flags["input_shape"] is not None:
        table["input_shape"] = _numbers(flags["input_shape"], "--input-shape")
    if flags["precision"] is not None:
        table["precision"] = flags["precision"]
    near = None if flags["near"] is None else _near(flags["near"], model)
    return Specification(
        model=table,
        objective=_objective(flags),
        constraints=tuple(_constraints(flags, near)),
        solve={} if near is None else {"x0": near},
        resize=flags["resize"],
    )


#: What a TOML file says instead.
QUESTION_FLAGS = (
    "target",
    "score",
    "output",
    "neuron",
    "channel",
    "bounds",
    "l1",
    "l2",
    "linf",
    "near",
    "labels",
    "feature_names",
    "input_shape",
    "precision",
)


def _objective(flags: Flags) -> dict[str, Any]:
    chosen = [name for name in ("target", "output", "neuron", "channel") if flags[name] is not None]
    if len(chosen) != 1:
        raise SpecificationError(
            "say what should change with exactly one of --class, --output, --neuron, --channel."
        )
    value = flags[chosen[0]]
    if flags["score"] is not None and chosen != ["target"]:
        raise SpecificationError("--score: goes with --class.")
    if chosen == ["target"]:
        return {"type": SCORES[flags["score"] or "logit"], "target": _unit(value)}
    if chosen == ["output"]:
        return {"type": "Output", "index": _unit(value)}
    layer, colon, index = value.rpartition(":")
    if not colon or not layer:
        raise SpecificationError(f"--{chosen[0]}: expected LAYER:INDEX, got {value!r}.")
    numbers = _numbers(index, f"--{chosen[0]}")
    kind = chosen[0].capitalize()
    return {"type": kind, "layer": layer, "index": numbers if len(numbers) > 1 else numbers[0]}


def _constraints(flags: Flags, near: Any) -> list[dict[str, Any]]:
    tables: list[dict[str, Any]] = []
    if flags["bounds"] is not None:
        tables.append({"type": "Box", "lower": flags["bounds"][0], "upper": flags["bounds"][1]})
    for flag, kind in (("l1", "L1Ball"), ("l2", "L2Ball"), ("linf", "LinfBall")):
        if flags[flag] is not None:
            center = {} if near is None else {"center": near}
            tables.append({"type": kind, "radius": flags[flag], **center})
    return tables


def _near(value: str, model: str) -> dict[str, str]:
    """Return the table of a file, or of a class mean of the shipped model."""
    if model == EXAMPLE and not Path(value).exists() and not Path(value).suffix:
        return {"example": value}
    return {"file": value}


def _unit(value: str) -> int | str:
    return int(value) if value.isdecimal() else value


def _words(value: str) -> list[str]:
    return [word.strip() for word in value.split(",")]


def _numbers(value: str, who: str) -> list[int]:
    try:
        return [int(word) for word in value.split(",")]
    except ValueError:
        raise SpecificationError(f"{who}: expected numbers such as 3,4,0, got {value!r}.") from None

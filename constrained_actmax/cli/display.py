"""What a person sees while it runs, and the files that a run leaves."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from constrained_actmax.plotting import plot_history, plot_result, write_image
from constrained_actmax.plotting.figures import close
from constrained_actmax.plotting.images import image_size
from constrained_actmax.result import Result

#: Pictures of plots.
DOTS_PER_INCH = 120


@contextmanager
def quiet_start() -> Iterator[None]:
    """Keep what TensorFlow's libraries say about this machine off the terminal.

    They write to the process's standard error while they load, before they read any setting.
    What Python says, warnings among it, still gets through.
    """
    ours = sys.stderr
    if ours is not sys.__stderr__ or ours is None:
        yield
        return
    ours.flush()
    terminal = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with os.fdopen(os.dup(terminal), "w", encoding=ours.encoding) as stream:
            sys.stderr = stream
            try:
                yield
            finally:
                sys.stderr = ours
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)


def draw(figure: Any, path: Path) -> None:
    """Write a figure to a file, and let it go."""
    figure.savefig(path, dpi=DOTS_PER_INCH)
    close(figure)


def write_result(
    result: Result, folder: Path, box: Callable[[str], tuple[float, float]]
) -> Iterator[str]:
    """Save a run with its pictures, and yield a line about each file for the user.

    Parameters
    ----------
    result : Result
        The run.
    folder : Path
        Where to.
    box : callable
        Takes the name of an input and returns the values that black and white stand for, as where
        a picture is read; where they are infinite, those of the result's bounds.
    """
    result.save(folder)
    yield f"Saved the run in {folder} (result.json, arrays.npz)."
    draw(plot_result(result)[0].figure, folder / "result.png")
    yield f"Drew {folder / 'result.png'}."
    if result.history.value:
        draw(plot_history(result).figure, folder / "history.png")
        yield f"Drew {folder / 'history.png'}."
    lower, upper = result.bounds
    for input_ in result.layout.inputs:
        if image_size(input_.shape) is None:
            continue
        part = result.layout.slices[input_.name]
        name = "input.png" if len(result.layout.inputs) == 1 else f"input-{input_.name}.png"
        path = folder / name.replace("/", "_").replace(":", "_")
        black, white = box(input_.name)
        low, high = write_image(
            path,
            result.flat[part].reshape(input_.shape),
            black if np.isfinite(black) else lower[part],
            white if np.isfinite(white) else upper[part],
        )
        yield f"Wrote {path}: 0..255 stands for {low:g}..{high:g}; arrays.npz has it unrounded."

"""Draw the pictures of the first page and the README: `python docs/images/draw.py [--out DIR]`.

The first page's own code blocks are run, and their results drawn, so a picture is always that of
the code beside it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np

import constrained_actmax as cax
from constrained_actmax.cli.demo import run_demo
from constrained_actmax.plotting import plot_nearness, plot_result

HERE = Path(__file__).resolve().parent
#: The pictures, in the order of the code blocks behind the introduction of the first page.
CARDS = ("interpretability", "robustness", "counterfactuals", "design")
SIZES = {"interpretability": (3.4, 2.6), "robustness": (9.0, 3.2)}


def trained(units: int, x: np.ndarray, y: np.ndarray, *, classes: bool) -> keras.Model:
    """Return a small network, trained on the rows of x."""
    keras.utils.set_random_seed(0)
    last = "softmax" if classes else None
    model = keras.Sequential(
        [
            keras.Input((x.shape[1],)),
            keras.layers.Dense(32, "tanh"),
            keras.layers.Dense(32, "tanh"),
            keras.layers.Dense(units, last),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy" if classes else "mse"
    )
    model.fit(x, y, epochs=60, batch_size=32, verbose=0)
    return model


def beam(x: np.ndarray) -> np.ndarray:
    """Deflection, by bending and torsion, and mass of beams of width and height in [0, 1]."""
    width, height = 0.3 + 0.7 * x.T
    deflection = 0.1 / (width * height**3) + 0.05 / (width**3 * height)
    return np.stack([deflection, width * height], axis=1)


def names() -> dict[str, Any]:
    """Return what the code blocks of the first page use."""
    from sklearn.datasets import load_iris

    rng = np.random.default_rng(0)
    flowers = load_iris()
    rows = flowers.data.astype(float)
    scores = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    designs = rng.uniform(size=(2000, 2))
    return {
        "cax": cax,
        "model": cax.examples.load_model(),
        "shirt": cax.examples.reference("Shirt"),
        "classifier": trained(3, scores, flowers.target, classes=True),
        "row": scores[0],
        "low": scores.min(axis=0),
        "high": scores.max(axis=0),
        "columns": [name.removesuffix(" (cm)") for name in flowers.feature_names],
        "surrogate": trained(2, designs, beam(designs), classes=False),
    }


def draw(card: str, known: dict[str, Any], result: cax.Result, path: Path) -> None:
    """Draw the result of one card."""
    figure = plt.figure(figsize=SIZES.get(card, (5.4, 2.4)), layout="constrained")
    if card == "interpretability":
        plot_result(result, ax=figure.subplots())
    elif card == "robustness":
        titles = ("mean shirt", "called a coat")
        axes = figure.subplots(1, 3)
        plot_nearness(known["shirt"], result.x, lower=0, upper=1, titles=titles, ax=axes)
        axes[2].set_title("change")
    elif card == "counterfactuals":
        ax = figure.subplots()
        ax.barh(known["columns"], result.x - known["row"])
        ax.set(xlabel="change, in standard deviations")
        ax.invert_yaxis()
    else:
        ax = figure.subplots()
        axis = np.linspace(0, 1, 61)
        grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        deflection, mass = known["surrogate"].predict(grid, verbose=0).T.reshape(2, 61, 61)
        lines = ax.contour(axis, axis, np.log10(np.maximum(deflection, 1e-3)), 8, cmap="viridis")
        ax.contourf(axis, axis, mass, [0.5, 9], colors="0.8")
        ax.plot(*result.x, "o", color="C3", label="optimum", clip_on=False)
        ax.set(xlabel="width", ylabel="height")
        ax.legend(loc="lower left")
        figure.colorbar(lines, ax=ax, label="deflection, log10")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Run the blocks and the demo, and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    page = (HERE.parent / "index.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[1:]
    known = names()
    for card, block in zip(CARDS, blocks, strict=True):
        exec(block, known)
        result = known["result"]
        print(f"{card}: {str(result).splitlines()[0]}")
        if not result.feasible:
            raise SystemExit(f"{card}: the result is not feasible.")
        draw(card, known, result, out / f"{card}.png")
    with tempfile.TemporaryDirectory() as folder:
        run_demo(Path(folder), seed=0)
        shutil.copy(Path(folder) / "demo.png", out / "demo.png")


if __name__ == "__main__":
    main()

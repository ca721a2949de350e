"""Verdicts proven for test images: `python docs/benchmarks/robustness.py --write --cache FILE`.

May any image within a distance r of a test image get another verdict? `certify` with ``target=0``
says proven (none), refuted (an image is named) or open. On the embedded network and on a small
convolutional one that is trained here by interval bounds (Gowal et al. 2018), with HiGHS's plain
mixed-integer program of the embedded network beside them: big-M by interval bounds, one program
for each rival, ended as soon as its bound or its point decides.

Images are the first ones of Fashion-MNIST's test set that the network gets right, from the folder
CONSTRAINED_ACTMAX_SHARED names; without it there is nothing to run. Seconds are the process's own
CPU seconds. Each run is a line of the file that `--cache` names, and is not run again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import highspy
import keras
import numpy as np
import scipy.sparse as sp
import tensorflow as tf
from opening import opened

import constrained_actmax as cax

HERE = Path(__file__).resolve().parent
SECONDS, WALL = 30.0, 90.0  # a run: CPU seconds that count, and those of the clock that end it
#: Network, radius in L-infinity, budget of the total change or none.
QUESTIONS: list[tuple[str, float, float | None]] = [
    ("embedded", 0.02, None),
    ("embedded", 0.05, None),
    ("embedded", 0.1, None),
    ("embedded", 0.1, 20.0),
    ("convolutional", 0.1, None),
    ("2 x 256", 0.02, None),
]
FEW = {"2 x 256": 10}  # images, where fewer are asked about
PLAIN = QUESTIONS[:2]  # which HiGHS is asked too
WIDE = "wide set"
VERDICTS = ("proven", "refuted", "open")
TRAINING, EPOCHS, RAMP, BATCH, RADIUS = 6000, 12, 6, 100, 0.1


def images(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images in [0, 1] and labels of Fashion-MNIST's `train` or `t10k`."""
    folder = Path(os.environ["CONSTRAINED_ACTMAX_SHARED"]) / "data" / "fashion-mnist"
    pixels = gzip.decompress((folder / f"{name}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((folder / f"{name}-labels-idx1-ubyte.gz").read_bytes())[8:]
    x = np.frombuffer(pixels, np.uint8).reshape(-1, 28, 28) / 255.0
    return x, np.frombuffer(labels, np.uint8).astype(int)


# -- the networks ----------------------------------------------------------------------------------


def convolutional() -> Any:
    """Return a network of two convolutions and two dense layers, not yet trained."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Reshape((28, 28, 1)),
            keras.layers.Conv2D(8, 4, strides=2, padding="same", activation="relu"),
            keras.layers.Conv2D(16, 4, strides=2, padding="same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10),
        ]
    )


def wide() -> Any:
    """Return a network of two layers of 256 units, not yet trained."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(256, activation="relu") for _ in range(2)]
    return keras.Sequential(
        [keras.Input((28, 28)), keras.layers.Flatten(), *layers, keras.layers.Dense(10)]
    )


def interval_logits(model: Any, x: Any, radius: Any) -> tuple[Any, Any]:
    """Return the middle and the half width of the logits over boxes round images."""
    low, high = tf.maximum(x - radius, 0.0), tf.minimum(x + radius, 1.0)
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    for layer in model.layers:
        if not layer.weights:
            middle, half = layer(middle), layer(half)
            continue
        kernel, bias = layer.kernel, layer.bias
        if isinstance(layer, keras.layers.Conv2D):
            middle = tf.nn.conv2d(middle, kernel, 2, "SAME") + bias
            half = tf.nn.conv2d(half, tf.abs(kernel), 2, "SAME")
        else:
            middle, half = middle @ kernel + bias, half @ tf.abs(kernel)
        if layer.activation is keras.activations.relu:
            low, high = tf.nn.relu(middle - half), tf.nn.relu(middle + half)
            middle, half = 0.5 * (low + high), 0.5 * (high - low)
    return middle, half


def train(model: Any, robust: bool) -> None:
    """Train by the cross-entropy of the images, and of the worst logits of their intervals."""
    x, y = images("train")
    x, y = x[:TRAINING].astype(np.float32), y[:TRAINING]
    optimizer = keras.optimizers.Adam(1e-3)
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits

    @tf.function
    def step(batch: Any, labels: Any, share: Any) -> None:
        with tf.GradientTape() as tape:
            middle, half = interval_logits(model, batch, share * RADIUS)
            worst = middle + half * (1.0 - 2.0 * tf.one_hot(labels, 10))
            plain = entropy(labels, model(batch))
            each = (1.0 - 0.5 * share) * plain + 0.5 * share * entropy(labels, worst)
            loss = tf.reduce_mean(each)
        gradient = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradient, model.trainable_variables, strict=True))

    rng = np.random.default_rng(0)
    for epoch in range(EPOCHS):
        share = tf.constant(min(1.0, epoch / RAMP) if robust else 0.0, tf.float32)
        for rows in rng.permutation(TRAINING).reshape(-1, BATCH):
            step(x[rows], y[rows], share)


@cache
def network(name: str, cached: Path | None) -> tuple[Any, dict[str, float]]:
    """Return a network as an oracle, and what is said of it."""
    if name == "embedded":
        model, spent = cax.examples.load_model(), 0.0
    else:
        model = convolutional() if name == "convolutional" else wide()
        suffix = ".weights.npz" if name == "convolutional" else ".wide.npz"
        weights = None if cached is None else cached.with_suffix(suffix)
        began = time.process_time()
        if weights is not None and weights.exists():
            known = np.load(weights)
            model.set_weights([known[one] for one in sorted(known.files) if one != "seconds"])
            spent = float(known["seconds"])
        else:
            train(model, robust=name == "convolutional")
            spent = time.process_time() - began
            if weights is not None:
                every = {f"{k:02}": one for k, one in enumerate(model.get_weights())}
                np.savez(weights, seconds=spent, **every)
    x, y = images("t10k")
    right = model.predict(x, verbose=0, batch_size=1000).argmax(axis=1) == y
    return cax.Oracle(model), {"accuracy": float(right.mean()), "seconds": spent}


def right_ones(name: str, cached: Path | None, count: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the first images that the network gets right, with their class."""
    oracle, _ = network(name, cached)
    x, y = images("t10k")
    right = oracle.model.predict(x[: 4 * count], verbose=0).argmax(axis=1) == y[: 4 * count]
    for place in np.flatnonzero(right)[:count].tolist():
        yield x[place], int(y[place])


# -- the runs --------------------------------------------------------------------------------------


def certified(question: tuple[str, float, float | None], cached: Path | None, place: int) -> Any:
    """Return what certify decides of one image."""
    name, radius, total = question
    oracle, _ = network(name, cached)
    x, k = list(right_ones(name, cached, place + 1))[place]
    sets = [cax.Box(0, 1), cax.LinfBall(radius, center=x)]
    sets += [] if total is None else [cax.L1Ball(total, center=x)]
    problem = cax.Problem(oracle, cax.Margin(k, link="softmax"), sets, sense="minimize")
    problem.user_oracle.structure()
    began = time.process_time()
    found = cax.certify(
        problem,
        target=0.0,
        budget=cax.Budget(seconds=WALL),
        callback=lambda one: time.process_time() - began >= SECONDS,
    )
    spent = time.process_time() - began
    verdict = found.verdict if spent <= SECONDS else "open"
    return {"verdict": verdict, "seconds": spent, "how": found.method, "bound": found.dual_bound}


def wide_set() -> Any:
    """Return the bound over a set that is no neighbourhood of an image, and the best value."""
    sets = [cax.Box(0, 1), cax.L1Ball(10)]
    problem = cax.Problem(cax.examples.load_model(), cax.Logit(7), sets)
    budget = cax.Budget(seconds=WALL)
    found = cax.certify(problem, method="linear-program", budget=budget)
    return {"bound": found.dual_bound, "best": found.best_value}


def highs(question: tuple[str, float, float | None], cached: Path | None, place: int) -> Any:
    """Return what HiGHS decides with big-M from intervals."""
    name, radius, _ = question
    oracle, _ = network(name, cached)
    x, k = list(right_ones(name, cached, place + 1))[place]
    W, b, V, d = (np.asarray(one, dtype=np.float64) for one in oracle.model.get_weights())
    low, high = (np.clip(x.ravel() + side, 0, 1) for side in (-radius, radius))
    p, m = np.maximum(W, 0), np.minimum(W, 0)
    least, most = low @ p + high @ m + b, high @ p + low @ m + b
    n, h = W.shape
    began, verdict = time.process_time(), "proven"
    eye, none = sp.identity(h), None
    below, above = np.minimum(least, 0.0), np.maximum(most, 0.0)
    matrix = sp.bmat(  # h >= z; h <= z - l (1 - a); h <= u a
        [[-W.T, eye, none], [-W.T, eye, sp.diags(-below)], [none, eye, sp.diags(-above)]]
    ).tocsr()
    infinite = np.full(h, np.inf)
    rows = np.r_[b, -infinite, -infinite], np.r_[infinite, b - below, np.zeros(h)]
    for rival in range(len(d)):
        if rival == k or verdict != "proven":
            continue
        gain, constant = V[:, rival] - V[:, k], float(d[rival] - d[k])
        program = highspy.HighsLp()
        program.num_row_, program.num_col_ = matrix.shape
        program.col_cost_ = np.r_[np.zeros(n), -gain, np.zeros(h)]
        program.col_lower_ = np.r_[low, np.zeros(2 * h)]
        program.col_upper_ = np.r_[high, above, np.ones(h)]
        program.row_lower_, program.row_upper_ = rows
        program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        program.a_matrix_.start_ = matrix.indptr
        program.a_matrix_.index_ = matrix.indices
        program.a_matrix_.value_ = matrix.data
        kinds = highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger
        program.integrality_ = [kinds[0]] * (n + h) + [kinds[1]] * h
        solver = highspy.Highs()
        solver.setOptionValue("output_flag", False)
        solver.passModel(program)

        def stop(event: Any, constant: float = constant) -> None:
            state = event.data_out
            decided = state.mip_dual_bound > constant or state.mip_primal_bound < constant
            event.data_in.user_interrupt = decided or time.process_time() - began >= SECONDS

        solver.cbMipInterrupt += stop
        solver.run()
        info = solver.getInfo()
        if float(info.mip_dual_bound) <= constant:
            known = info.primal_solution_status == 2  # a point
            refuted = known and float(info.objective_function_value) < constant
            verdict = "refuted" if refuted else "open"
    return {"verdict": verdict, "seconds": time.process_time() - began}


def named(question: tuple[str, float, float | None]) -> str:
    """Return a question in words."""
    name, radius, total = question
    return f"{name}, {radius:g}" + ("" if total is None else f", total {total:g}")


def jobs(given: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the runs, image by image, so that every table grows alike."""
    for place in range(given.images):
        for question in QUESTIONS:
            if place >= FEW.get(question[0], given.images):
                continue
            yield f"{named(question)} {place}", partial(certified, question, given.cache, place)
    yield WIDE, wide_set
    for place in range(given.plain):
        for question in PLAIN:
            yield f"highs {named(question)} {place}", partial(highs, question, given.cache, place)


# -- the page --------------------------------------------------------------------------------------


def row(runs: list[dict[str, Any]]) -> str:
    """Return the cells of a table: counts, share decided, median and largest seconds."""
    counts = [sum(one["verdict"] == verdict for one in runs) for verdict in VERDICTS]
    seconds = [one["seconds"] for one in runs]
    return (
        f"{len(runs)} | {counts[0]} | {counts[1]} | {counts[2]} | "
        f"{100 * (counts[0] + counts[1]) / len(runs):.0f} % | {np.median(seconds):.1f} s | "
        f"{max(seconds):.1f} s"
    )


def page(given: argparse.Namespace, known: dict[str, dict[str, Any]]) -> str:
    """Return the page of what is known."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for question in QUESTIONS:
        for plain in (False, True):
            name = ("highs " if plain else "") + named(question)
            runs = [known.get(f"{name} {place}") for place in range(given.images)]
            if any(runs):
                words = f"HiGHS's plain program: {named(question)}" if plain else named(question)
                tables[words] = [one for one in runs if one is not None]
    _, about = network("convolutional", given.cache)
    _, embedded = network("embedded", given.cache)
    _, dense = network("2 x 256", given.cache)
    return "\n".join(
        [
            "# Verdicts proven for test images",
            "",
            "Written by `docs/benchmarks/robustness.py`. Images are the first of Fashion-MNIST's",
            "test set that a network gets right. *Proven*: no image in the set has another",
            f"verdict; *refuted*: one is found; *open*: neither, after {SECONDS:g} s. Seconds are",
            "the process's own CPU seconds, and reading a network's structure, once for each",
            f"class, is not counted. `certify` was also ended after {WALL:g} s of the clock, on a",
            "machine busy with other work: an open question may have had less than its time (the",
            "column *longest* says so). HiGHS had all of it.",
            "",
            "| network, distance | images | proven | refuted | open | decided | median | longest |",
            "|---|---|---|---|---|---|---|---|",
            *(f"| {name} | {row(runs)} |" for name, runs in tables.items()),
            "",
            "- *embedded*: 784 inputs, 128 ReLU units, 10 classes, "
            f"{100 * embedded['accuracy']:.1f} % right on the test set; it was not trained for",
            "  robustness. *total 20*: the entries change by at most 20 in all besides.",
            "- *convolutional*: two convolutions (8 and 16 filters of 4 x 4, stride 2), 64 units,",
            f"  trained here by interval bounds at {RADIUS:g} on {TRAINING:,} images in",
            f"  {about['seconds']:.0f} s; {100 * about['accuracy']:.1f} % right.",
            "- *2 x 256*: two layers of 256 units, trained here without regard to robustness, "
            f"{100 * dense['accuracy']:.1f} % right.",
            "- *HiGHS's plain program*: one mixed-integer program for each rival with big-M from",
            "  interval bounds, which stops as soon as its bound or its point decides.",
            "",
            same_images(known),
            "",
            "## By what",
            "",
            "| network, distance | linear bounds | linear program | mixed-integer | search |",
            "|---|---|---|---|---|",
            *(f"| {name} | {ways(runs)} |" for name, runs in tables.items() if "how" in runs[0]),
            "",
            "The method that proved; *search*: refuted by a point.",
            "",
            "## Where it does not help",
            "",
            *(wide_words(known[WIDE]) if WIDE in known else ()),
            "- Wider layers: *2 x 256* in the tables, at the distance at which nearly all of the",
            "  embedded network's verdicts are decided.",
            "",
        ]
    )


def wide_words(found: dict[str, float]) -> tuple[str, str]:
    """Return how far the bound over a wide set is, rounded so that it holds."""
    bound = math.ceil(100.0 * found["bound"]) / 100.0
    return (
        "- Wide sets at 784 inputs. For the largest Logit(7) over [0, 1] with a total of 10",
        f"  the linear program proves {bound:.2f}; the best value found is {found['best']:.2f}.",
    )


def same_images(known: dict[str, dict[str, Any]]) -> str:
    """Return how often both decide the questions that HiGHS was asked."""
    names = [name.removeprefix("highs ") for name in known if name.startswith("highs ")]
    ours = sum(known[name]["verdict"] != "open" for name in names)
    theirs = sum(known[f"highs {name}"]["verdict"] != "open" for name in names)
    return (
        f"Of the {len(names)} questions that HiGHS was asked `certify` decides {ours}, and HiGHS "
        f"{theirs}."
    )


def ways(runs: list[dict[str, Any]]) -> str:
    """Return how many were proven by each method, and how many refuted."""
    proven = [one["how"] for one in runs if one["verdict"] == "proven"]
    methods = ("linear bounds", "linear program", "mixed-integer program")
    counts = [str(proven.count(one)) for one in methods]
    return " | ".join([*counts, str(sum(one["verdict"] == "refuted" for one in runs))])


def main() -> None:
    """Measure, and write the page where asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--finished", action="store_true", help="of finished runs alone")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--plain", type=int, default=50, help="images that HiGHS is asked about")
    given = parser.parse_args()
    if "CONSTRAINED_ACTMAX_SHARED" not in os.environ:
        raise SystemExit("The test images are missing: set CONSTRAINED_ACTMAX_SHARED.")
    exists = given.cache is not None and given.cache.exists()
    lines = given.cache.read_text().splitlines() if exists else []
    known = dict(json.loads(line) for line in lines)
    for name, measure in () if given.finished else jobs(given):
        if name not in known:
            known[name] = measure()
            print(name, known[name], flush=True)
            if given.cache is not None:
                with given.cache.open("a") as file:
                    file.write(json.dumps([name, known[name]]) + "\n")
    if given.write:
        text = opened(page(given, known), "robustness")
        (HERE / "robustness.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

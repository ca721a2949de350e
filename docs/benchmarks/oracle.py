"""One call of the oracle against the bare compiled TensorFlow function, NumPy in and out.

The bare function is what a person writes who knows TensorFlow well: value and gradient of one logit
by GradientTape, float32 in and out, its concrete function called directly. The oracle takes and
gives float64, counts, and finds the logits itself. Beside it the oracle with ``xla=True``, and the
seconds until its first answer. All run alternately, and the median of many rounds is reported.

    python docs/benchmarks/oracle.py --write
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

ROWS = (1, 2, 4, 8, 16, 32)


def convolutional() -> Any:
    """Return a small CNN on 28 x 28 pixels, with seeded weights."""
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ],
        name="cnn",
    )


def dense() -> Any:
    """Return a narrow, deep network of 5 inputs, with seeded weights."""
    import keras

    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(50, activation="relu") for _ in range(6)]
    return keras.Sequential(
        [keras.Input((5,)), *hidden, keras.layers.Dense(10, activation="softmax")], name="dense"
    )


def bare(model: Any, k: int) -> Callable[[np.ndarray], Any]:
    """Return the concrete function of the gradient of logit k."""
    import keras
    import tensorflow as tf

    *body, head = model.layers
    trunk = keras.Sequential([keras.Input(model.inputs[0].shape[1:]), *body])
    trunk.trainable = False

    def value_and_gradient(x: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            z = tf.matmul(trunk(x, training=False), head.kernel) + head.bias
            value = z[:, k]
        return value, tape.gradient(value, x)

    shape = [None, *model.inputs[0].shape[1:]]
    concrete = tf.function(
        value_and_gradient,
        input_signature=[tf.TensorSpec(shape, tf.float32)],
        autograph=False,
    ).get_concrete_function()

    def call(x: np.ndarray) -> Any:
        value, gradient = concrete(tf.constant(x))
        return value.numpy(), gradient.numpy()

    return call


def medians(calls: list[Callable[[], Any]], repeats: int) -> list[float]:
    """Return the median seconds of each, run in turn."""
    for call in calls:
        for _ in range(10):
            call()
    times = np.empty((repeats, len(calls)))
    for i in range(repeats):
        for j, call in enumerate(calls):
            start = time.perf_counter()
            call()
            times[i, j] = time.perf_counter() - start
    return [float(one) for one in np.median(times, axis=0)]


def measure(repeats: int) -> list[dict[str, Any]]:
    """Return one row of the table for each model and batch size."""
    import constrained_actmax as cax

    rows = []
    for name, model in (
        ("embedded", cax.examples.load_model()),
        ("6 x 50", dense()),
        ("CNN", convolutional()),
    ):
        plain, fast = (cax.Oracle(model, cax.Logit(7), xla=xla) for xla in (False, True))
        function = bare(model, 7)
        for batch in ROWS:
            x = np.random.default_rng(0).uniform(size=(batch, plain.size))
            given = x.reshape(batch, *model.inputs[0].shape[1:]).astype(np.float32)
            expected, found = function(given), plain.evaluate(x)
            np.testing.assert_allclose(found[0][:, 0], expected[0], rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(
                found[1][:, 0], expected[1].reshape(batch, -1), rtol=1e-2, atol=1e-3
            )
            began = time.perf_counter()
            fast.evaluate(x)
            first = time.perf_counter() - began
            calls = [
                partial(plain.evaluate, x),
                partial(fast.evaluate, x),
                partial(function, given),
            ]
            ours, compiled, other = medians(calls, repeats if batch == 1 else max(20, repeats // 4))
            rows.append(
                {
                    "model": name,
                    "rows": batch,
                    "oracle": ours,
                    "compiled": compiled,
                    "first": first,
                    "bare": other,
                }
            )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the table in Markdown."""
    lines = [
        "| model | rows | bare, µs | oracle, µs | ratio | more, µs | oracle with XLA, µs "
        "| XLA's share of the time | XLA's first call, s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ours, other, compiled = row["oracle"], row["bare"], row["compiled"]
        lines.append(
            f"| {row['model']} | {row['rows']} | {1e6 * other:.0f} | {1e6 * ours:.0f} "
            f"| {ours / other:.2f} | {1e6 * (ours - other):+.0f} | {1e6 * compiled:.0f} "
            f"| {compiled / ours:.2f} | {row['first']:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1600, help="rounds of calls a line")
    parser.add_argument("--write", action="store_true", help="write oracle.md beside this file")
    arguments = parser.parse_args()

    import keras
    import tensorflow as tf

    text = table(measure(arguments.repeats))
    versions = (
        f"Python {platform.python_version()}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__}, NumPy {np.__version__}, {os.cpu_count()} cores "
        f"({platform.machine()}), {arguments.repeats} rounds of calls at one row, a quarter beyond."
    )
    print(text, versions, sep="\n\n")
    if arguments.write:
        page = (
            "# One call of the oracle against the bare function\n\n"
            "Value and gradient of one logit, NumPy in and out, medians of alternating calls. The "
            "bare function is written by hand in TensorFlow, float32 in and out, its concrete "
            "function called directly; the oracle takes and gives float64. XLA is off unless "
            "`xla=True` is given: divide the seconds of its first call by what it saves on a call "
            "to see after how many calls it pays. "
            "`python docs/benchmarks/oracle.py --write` makes this page.\n\n"
            f"{text}\n\n{versions}\n"
        )
        Path(__file__).with_suffix(".md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Local maxima at the kinks of ReLU networks: `python docs/benchmarks/kinks.py --write`.

Dense ReLU networks, half of them random and half trained, on scikit-learn's digits or, where they
have 784 inputs, on Fashion-MNIST, and the convolutional network of answer 5, over sets of several
kinds. `successive-halving` alone, and `auto`, which goes on from its points by linear programs,
from the same starts in one process; at the end, the arena's instances with kinks at equal
evaluations.
Every run is added to `--records` as it ends, and a second call goes on from there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import networks
import numpy as np

import constrained_actmax as cax
from constrained_actmax.tasks import recording

HERE = Path(__file__).resolve().parent
STARTS, SECONDS = 4, 60.0
#: Starts of the large networks, and the data on which those of 784 inputs are trained.
FEWER_STARTS, EPOCHS, SAMPLES = 2, 2, 15_000
#: Inputs, units of each hidden layer, seeds.
RANDOM = [
    ((10, 100), (0, 1)),
    ((10, 100, 100), (0, 1)),
    ((50, 100, 100), (0, 1)),
    ((100, 100), (0, 1)),
    ((100, 200), (0, 1)),
    ((100, 100, 100), (0, 1)),
]
#: Hidden layers of the networks of 64 inputs, and the classes that are asked for.
TRAINED = [((64,), (0, 7)), ((128,), (1, 8)), ((32, 32), (2, 3)), ((64, 64), (4, 9))]
#: Random networks of 784 inputs or 4 x 500 units, hidden layers of those trained on Fashion-MNIST.
LARGE_RANDOM = [(100, 500, 500, 500, 500), (784, 500), (784, 500, 500), (784, 500, 500, 500, 500)]
LARGE_TRAINED = [(500,), (500, 500), (500, 500, 500, 500), (128, 128, 128)]
#: Evaluations of each run on the arena's instances, and seconds.
ROWS, ARENA_SECONDS = 1000, 2.0
LARGE_CLASS, CONVOLUTIONAL_CLASSES = 7, (0, 3, 7, 9)
ARENA_TITLE = "## The arena with the last stage and without"
ARENA_NOTE = (
    "The last stage is given what it is likely to take on a network of that size; where that is",
    "more than a fifth of the evaluations, as on the convolutional network and for the logits of",
    "the residual one, it is given nothing, and both runs are the same, evaluation by evaluation.",
    "Elsewhere both searches are the same until it begins.",
)
EVALUATIONS_NOTE = (
    f"One start, {ROWS:,} evaluations for each; passes of the last stage count among them. *Gain* "
    "as above; equal is within 0.001 % of the range; *p, worse* is that of Wilcoxon's signed "
    "ranks, small where the runs with the last stage are worse."
)
CLOCK_TITLE = "## The same by the clock"
SECONDS_NOTE = (
    f"{ARENA_SECONDS:g} seconds of processor time for each, of all threads, with the model "
    "compiled and its structure read before. Columns as above."
)
CLOCK_NOTE = (
    "Both searches plan by the seconds that an evaluation takes, as they measure them, so no two",
    "runs are the same. The last stage is left out where its passes are likely to take more than a",
    "fifth of the seconds, here on the convolutional network: both columns are the search alone",
    "there, and what they differ by is chance.",
)
SETS: dict[str, list[Any]] = {
    "box": [],
    "box, L1 ball": [lambda n, d: cax.L1Ball(0.2 * n)],
    "box, L2 ball": [lambda n, d: cax.L2Ball(0.3 * n**0.5, center=d)],
}


def dense(sizes: tuple[int, ...], seed: int) -> Any:
    """Return a random dense ReLU network with one output (He et al. 2015)."""
    import keras

    rng = np.random.default_rng(seed)
    layers = keras.layers
    model = keras.Sequential([keras.Input((sizes[0],))])
    for units in sizes[1:]:
        model.add(layers.Dense(units, activation="relu"))
    model.add(layers.Dense(1))
    for layer, (a, b) in zip(model.layers, zip(sizes, (*sizes[1:], 1), strict=True), strict=True):
        layer.set_weights(
            [rng.standard_normal((a, b)) * (2 / a) ** 0.5, 0.3 * rng.standard_normal(b)]
        )
    return model


def digits(hidden: tuple[int, ...]) -> Any:
    """Return a network trained on scikit-learn's digits, pixels in [0, 1]."""
    import keras
    from sklearn.datasets import load_digits

    data = load_digits()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    hidden_layers = [layers.Dense(units, activation="relu") for units in hidden]
    model = keras.Sequential([keras.Input((64,)), *hidden_layers, layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    model.fit(data.data / 16.0, data.target, epochs=15, batch_size=64, verbose=0)
    return model


def fashion(model: Any, folder: Path) -> Any:
    """Return a network trained on Fashion-MNIST, pixels in [0, 1]."""
    import keras

    from constrained_actmax.examples.train import read_samples

    samples, _ = read_samples(folder)
    images = samples.images[:SAMPLES].reshape(-1, *model.input_shape[1:]) / 255
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=False))
    model.fit(images, samples.labels[:SAMPLES], epochs=EPOCHS, batch_size=64, verbose=0)
    return model


def classifier(hidden: tuple[int, ...]) -> Any:
    """Return a dense network of 784 inputs and ten classes."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    hidden_layers = [layers.Dense(units, activation="relu") for units in hidden]
    return keras.Sequential(
        [keras.Input((784,)), *hidden_layers, layers.Dense(10, activation="softmax")]
    )


def large_instances(folder: Path) -> Any:
    """Yield the same of networks up to 4 x 500 units and 784 inputs, and convolutional ones."""
    import keras

    for word in ("untrained", "trained"):
        keras.utils.set_random_seed(0)
        model = networks.answer_5("he_normal")
        if word == "trained":
            model = fashion(model, folder)
        for one in CONVOLUTIONAL_CLASSES:
            for kind in ("box", "box, L1 ball"):
                name = f"convolutional, {word}, class {one}"
                yield name, kind, model, cax.Logit(one), cax.Box(0, 1), SETS[kind], 784, 0.5
    for conic in (False, True):  # the conic sets, which take longest, come last
        kinds = {kind: more for kind, more in SETS.items() if ("L2" in kind) is conic}
        for sizes in LARGE_RANDOM:
            model = dense(sizes, 0)
            for kind, more in kinds.items():
                name = f"large random {'-'.join(map(str, sizes))}"
                yield name, kind, model, cax.Output(0), cax.Box(-1, 1), more, sizes[0], 0.0
        for hidden in LARGE_TRAINED:
            model = fashion(classifier(hidden), folder)
            for kind, more in kinds.items():
                name = f"large trained 784-{'-'.join(map(str, hidden))}"
                yield name, kind, model, cax.Logit(LARGE_CLASS), cax.Box(0, 1), more, 784, 0.5


def instances() -> Any:
    """Yield name, kind of set, model, objective, box, and constraints besides."""
    for sizes, seeds in RANDOM:
        for seed in seeds:
            model = dense(sizes, seed)
            for kind, more in SETS.items():
                name = f"random {'-'.join(map(str, sizes))}, seed {seed}"
                yield name, kind, model, cax.Output(0), cax.Box(-1, 1), more, sizes[0], 0.0
    for hidden, classes in TRAINED:
        model = digits(hidden)
        for one in classes:
            for kind, more in SETS.items():
                name = f"digits 64-{'-'.join(map(str, hidden))}, class {one}"
                yield name, kind, model, cax.Logit(one), cax.Box(0, 1), more, 64, 0.5


def run(method: str, problem: cax.Problem, starts: int) -> dict[str, Any]:
    """Return what one method reached."""
    began = time.process_time()
    result = cax.solve(problem, starts=starts, seed=0, method=method)
    return {
        "value": result.value,
        "values": [one.value for one in result.starts],
        "statuses": [one.status.name for one in result.starts],
        "status": result.status.name,
        "details": [one.detail for one in result.starts],
        "residuals": [one.stationarity for one in result.starts],
        "evaluations": result.nfev,
        "seconds": time.process_time() - began,
        "range": problem.scales.range,
    }


def records(path: Path, folder: Path | None) -> list[dict[str, Any]]:
    """Run what is missing, and return all runs."""
    done = []
    if path.is_file():
        done = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    known = {(one["name"], one["set"], one["method"]) for one in done}
    large = () if folder is None else large_instances(folder)
    for name, kind, model, objective, box, more, n, centre in itertools.chain(instances(), large):
        if {(name, kind, method) for method in ("successive-halving", "auto")} <= known:
            continue
        starts = STARTS if name.startswith(("random", "digits")) else FEWER_STARTS
        problem = cax.Problem(model, objective, [box, *(one(n, centre) for one in more)])
        for method in ("successive-halving", "auto"):
            if (name, kind, method) in known:
                continue
            done.append(
                {"name": name, "set": kind, "method": method, **run(method, problem, starts)}
            )
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[-1]) + "\n")
    return done


def arena(path: Path, models: Path, seconds: float | None = None) -> list[dict[str, Any]]:
    """Run the arena's instances with kinks with the last stage and without, and return all runs.

    By evaluations, or by seconds of processor time, which other processes do not spoil.
    """
    import solver_lab

    done = []
    if path.is_file():
        done = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    known = {one["name"] for one in done}
    every = [one for one in solver_lab.instances() if one.kind == "ReLU" and "TV" not in one.set]
    budget = cax.Budget(evaluations=ROWS) if seconds is None else cax.Budget(seconds=seconds)
    clock = time.perf_counter if seconds is None else time.process_time
    # Instances of all families first, so that a part of the runs is a sample of all.
    for one in sorted(every, key=lambda one: int(one.name.rsplit(" ", 1)[1])):
        if one.name in known:
            continue
        problem = one.problem(models)
        run: dict[str, Any] = {"name": one.name, "set": one.set, "model": one.model}
        if seconds is not None:  # the model is compiled and its structure read
            cax.solve(problem, seed=0, budget=cax.Budget(evaluations=ROWS))
        for word, method in {"without": cax.SuccessiveHalving(), "with": "auto"}.items():
            with mock.patch.object(recording, "time", SimpleNamespace(perf_counter=clock)):
                result = cax.solve(problem, method=method, seed=0, budget=budget)
            run[word] = {
                "value": result.value,
                "status": result.status.name,
                "evaluations": result.nfev,
                "residual": result.optimality.stationarity,
                "seconds": result.seconds,
            }
        run["range"] = problem.scales.range
        done.append(run)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(run) + "\n")
    return done


def arena_lines(title: str, note: str, done: list[dict[str, Any]]) -> list[str]:
    """Return the section on the arena's instances, by evaluations or by seconds."""
    from scipy.stats import wilcoxon

    lines = [
        "",
        title,
        "",
        note,
        "",
        "| network | set | instances | better | equal | worse | median gain, % | least, % | "
        "p, worse | converged: without | with |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for model, kind in sorted({(one["model"], one["set"]) for one in done}):
        runs = [one for one in done if (one["model"], one["set"]) == (model, kind)]
        gains = np.array(
            [100 * (one["with"]["value"] - one["without"]["value"]) / one["range"] for one in runs]
        )
        counts = [np.sum(gains > 1e-3), np.sum(np.abs(gains) <= 1e-3), np.sum(gains < -1e-3)]
        differ = gains[np.abs(gains) > 1e-3]
        p = wilcoxon(differ, alternative="less").pvalue if differ.size else 1.0
        converged = [
            sum(one[word]["status"] == "CONVERGED" for one in runs) for word in ("without", "with")
        ]
        lines.append(
            f"| {model} | {kind} | {len(runs)} | {' | '.join(map(str, counts))} | "
            f"{np.median(gains):.3f} | {gains.min():.3f} | {p:.2f} | {converged[0]} | "
            f"{converged[1]} |"
        )
    return lines


def arenas(path: Path, models: Path) -> list[str]:
    """Return the sections on the arena's instances."""
    counted = arena(path.with_suffix(".arena.jsonl"), models)
    timed = arena(path.with_suffix(".clock.jsonl"), models, ARENA_SECONDS)
    return [
        *arena_lines(ARENA_TITLE, EVALUATIONS_NOTE, counted),
        "",
        *ARENA_NOTE,
        *arena_lines(CLOCK_TITLE, SECONDS_NOTE, timed),
        "",
        *CLOCK_NOTE,
    ]


def page(done: list[dict[str, Any]]) -> str:
    """Return the page."""
    by = {(one["name"], one["set"], one["method"]): one for one in done}
    lines = [
        "# Local maxima at kinks",
        "",
        *str(__doc__).split("\n\n", 1)[1].rstrip().splitlines(),
        "",
        f"{STARTS} starts, {FEWER_STARTS} on large networks, no budget. Seconds are of processor "
        "time, of all threads; those in details are wall-clock time, while the machine did other "
        "work. *Converged* counts starts that the library calls local "
        f"maxima; an answer counts within {SECONDS:g} seconds an instance. *Gain* is the value of "
        "`auto` less that of `successive-halving`, over the range of the objective over draws.",
        "",
        "| networks | set | instances | converged: all starts | the answer | most seconds | "
        "median gain, % | least gain, % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    failures = []
    for family in ("random", "digits", "large random", "large trained", "convolutional"):
        for kind in SETS:
            pairs = [
                (by[name, k, "successive-halving"], one)
                for (name, k, method), one in by.items()
                if k == kind and method == "auto" and name.startswith(family)
            ]
            if not pairs:
                continue
            starts = [status for _, one in pairs for status in one["statuses"]]
            answers = [
                one["status"] == "CONVERGED" and one["seconds"] <= SECONDS for _, one in pairs
            ]
            gains = [100 * (b["value"] - a["value"]) / b["range"] for a, b in pairs]
            converged = f"{starts.count('CONVERGED')} of {len(starts)}"
            lines.append(
                f"| {family} | {kind} | {len(pairs)} | {converged} | "
                f"{sum(answers)} of {len(pairs)} | {max(b['seconds'] for _, b in pairs):.1f} | "
                f"{np.median(gains):.2f} | {min(gains):.2f} |"
            )
            for _, one in pairs:
                for status, detail in zip(one["statuses"], one["details"], strict=True):
                    if status != "CONVERGED":
                        failures.append(f"| {one['name']} | {kind} | {status} | {detail} |")
    if failures:
        lines += [
            "",
            "| starts that did not converge | set | status | detail |",
            "|---|---|---|---|",
        ]
        lines += failures
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the page")
    parser.add_argument("--records", type=Path, default=Path("kinks.jsonl"))
    parser.add_argument("--data", type=Path, help="IDX files of Fashion-MNIST, for large networks")
    parser.add_argument("--lab", type=Path, help="the arena's trained models, for its instances")
    parser.add_argument("--arena-alone", action="store_true", help="leave the rest of the page")
    arguments = parser.parse_args()
    if arguments.arena_alone:
        text = (HERE / "kinks.md").read_text(encoding="utf-8").split("\n" + ARENA_TITLE)[0]
    else:
        text = page(records(arguments.records, arguments.data))
    if arguments.lab is not None:
        text += "\n".join(arenas(arguments.records, arguments.lab)) + "\n"
    if arguments.write:
        (HERE / "kinks.md").write_text(text, encoding="utf-8")
    print(text)

"""The five answers of the question, what people use today, and this library, on the same problems.

Two networks of Fashion-MNIST (the embedded one, and the convolutional one of answer 5, trained
here), ten classes, pixels in [0, 1] with and without an L1 budget, one drawn start, the same number
of model evaluations for all. First each answer by itself, without constraints, with its own
parameters, on the class probability that it is about.

    python docs/benchmarks/answers.py --data FOLDER --folder answers-run --write

FOLDER holds the four IDX files of Fashion-MNIST. The trials are kept in ``--folder``; a second run
takes them up, and the report of the comparison is written there too. The whole takes about half an
hour of one core; ``--partial`` makes the tables of the problems that are done.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import networks
import numpy as np

import constrained_actmax as cax
from constrained_actmax.examples.train import Samples, read_samples
from constrained_actmax.measuring import versions

BUDGET = 300
RADIUS = 60.0
SEED = 0
EPOCHS_OF_CNN = 3
NAMES = cax.examples.CLASS_NAMES

ANSWERS = ("identity-dense", "gradient-ascent", "trainable-input", "dataset-search", "input-mask")


def answer_5_network(samples: Samples, test: Samples, path: Path) -> tuple[Any, float]:
    """Return the CNN of answer 5, trained once, and its accuracy."""
    if not path.exists():
        keras.utils.set_random_seed(SEED)
        model = networks.answer_5(kernel_initializer="he_normal")
        model.compile("rmsprop", "sparse_categorical_crossentropy")
        images = samples.images[..., np.newaxis] / 255
        model.fit(images, samples.labels, batch_size=64, epochs=EPOCHS_OF_CNN, verbose=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    model = keras.models.load_model(path, compile=False)
    found = model.predict(test.images[..., np.newaxis] / 255, verbose=0, batch_size=500)
    return model, float((found.argmax(axis=1) == test.labels).mean())


def claims(samples: Samples, folder: Path) -> Iterator[str]:
    """Yield the table of the five answers with their own parameters and without constraints."""
    oracle = cax.Oracle(cax.examples.load_model(), labels=NAMES)
    problems = {name: cax.Problem(oracle, cax.Probability(name)) for name in NAMES}
    rng = np.random.default_rng(SEED)
    uniform = rng.uniform(-0.05, 0.05, (1, 784))
    entries = {  # what the answer says; where its image begins
        "identity-dense": (
            "identity rows, Adam 0.001; 100 epochs, as it names none",
            cax.IdentityDense(data="identity", epochs=100),
            uniform,
        ),
        "gradient-ascent": ("50 steps of rate 1", cax.GradientAscent(), rng.random((1, 784))),
        "trainable-input": ("Adam, 300 epochs", cax.TrainableInput(), uniform),
        "dataset-search": (
            "all 60,000 training images",
            cax.DatasetSearch(samples=samples.images / 255),
            uniform,
        ),
        "input-mask": (
            "RMSprop, the first 300 of its 187,500 steps",
            cax.InputMask(),
            rng.normal(0.0, np.sqrt(2 / 784), (1, 784)),  # he_normal: Keras 2 saw a fan-in of 784
        ),
    }
    yield (
        "| answer | parameters | at the start | reached: lowest | median | highest "
        "| outside [0, 1] |"
    )
    yield "|---|---|---|---|---|---|---|"
    for name, (words, method, x0) in entries.items():
        found = cax.compare(problems, {name: method}, starts=x0, folder=folder / name)
        complete(found, len(NAMES))
        before = [float(one.start_values[0]) for one in found.problems]
        after = [one.raw_value for one in found.trials]
        outside = statistics.median(
            float(np.mean((one.raw < 0) | (one.raw > 1))) for one in found.trials
        )
        yield (
            f"| {name} | {words} | {statistics.median(before):.2g} | {min(after):.4f} | "
            f"{statistics.median(after):.4f} | {max(after):.4f} | {outside:.0%} of pixels |"
        )


def complete(found: cax.Comparison, count: int) -> None:
    """Leave if Ctrl-C cut a comparison short; its trials are kept."""
    if len(found.trials) < count:
        raise SystemExit(f"{len(found.trials)} of {count} trials are done; run it again.")


def problems(networks: dict[str, Any]) -> dict[str, cax.Problem]:
    """Return the problems by network, constraint and class."""
    found = {}
    for network, model in networks.items():
        oracle = cax.Oracle(model, labels=NAMES)
        for words, sets in (("box", []), ("L1", [cax.L1Ball(RADIUS)])):
            for name in NAMES:
                label = f"{network}, {words}, {name}"
                found[label] = cax.Problem(oracle, cax.Logit(name), [cax.Box(0, 1), *sets])
    return found


def methods(samples: Samples) -> dict[str, dict[str, Any]]:
    """Return the entrants by family, the setting that is its own first."""
    order = np.random.default_rng(SEED).permutation(len(samples.images))
    shuffled = samples.images[order] / 255
    return {
        "auto": {"auto": "auto"},
        "spg": {"spg": "spg"},
        "identity-dense": {
            "identity-dense": cax.IdentityDense(),
            "identity-dense 1e-4": cax.IdentityDense(rate=1e-4),
        },
        "gradient-ascent": {
            "gradient-ascent": cax.GradientAscent(),
            "gradient-ascent 0.3 x 300": cax.GradientAscent(rate=0.3, steps=BUDGET),
            "gradient-ascent 1 x 300": cax.GradientAscent(rate=1.0, steps=BUDGET),
        },
        "trainable-input": {
            "trainable-input": cax.TrainableInput(),
            "trainable-input 0.03": cax.TrainableInput(rate=0.03),
        },
        "dataset-search": {"dataset-search": cax.DatasetSearch(samples=shuffled)},
        "input-mask": {
            "input-mask": cax.InputMask(),
            "input-mask 0.03": cax.InputMask(rate=0.03),
        },
        "projected-adam": {
            f"projected-adam {rate:g} {decay}": cax.ProjectedAdam(rate=rate, decay=decay)
            for rate in (0.1, 0.01, 0.03, 0.3)
            for decay in ("constant", "cosine")
        },
        "projected-gradient": {
            f"projected-gradient {length:g}": cax.ProjectedGradient(step_size=length)
            for length in (0.3, 0.1, 1.0)
        },
        "clipped-ascent": {
            "clipped-ascent": cax.ClippedAscent(),
            "clipped-ascent 0.03 x 300": cax.ClippedAscent(rate=0.03, steps=BUDGET),
        },
        "auto-pgd": {"auto-pgd": cax.AutoPGD()},
        "tf-keras-vis": {
            "tf-keras-vis": cax.TfKerasVis(),
            "tf-keras-vis 10, no penalties": cax.TfKerasVis(rate=10.0, penalties=0.0),
        },
        "foolbox": {"foolbox": cax.Foolbox(), "foolbox 0.03": cax.Foolbox(relative_step_size=0.03)},
        "adversarial-robustness-toolbox": {
            "adversarial-robustness-toolbox": cax.AdversarialRobustnessToolbox()
        },
    }


def tables(found: cax.Comparison, families: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield a table for each network and constraint."""
    groups: dict[str, list[str]] = {}
    for one in found.problems:
        groups.setdefault(one.label.rsplit(", ", 1)[0], []).append(one.label)
    for group, labels in groups.items():
        part = found.subset(labels)
        trials = part.to_trials()
        network, words = group.split(", ")
        allowed = "pixels in [0, 1]"
        if words == "L1":
            allowed += f" and an L1 budget of {RADIUS:g}"
        yield f"\n### {network[0].upper()}{network[1:]}, {allowed}\n"
        if len(labels) < len(NAMES):
            done = ", ".join(label.rsplit(", ", 1)[1] for label in labels)
            yield f"{len(labels)} of the ten classes: {done}.\n"
        yield (
            "| method | logit after projection: median | lowest | highest | raw violation | "
            "evaluations | "
            "seconds | best setting of its sweep | its median | classes won |"
        )
        yield "|---|---|---|---|---|---|---|---|---|---|"
        medians = trials[trials.feasible].groupby("method").value.median()
        best = {
            family: max((s for s in settings if s in medians.index), key=medians.get, default=None)
            for family, settings in families.items()
        }
        contenders = part.subset(methods=[one for one in best.values() if one])
        ranks = contenders.ranks()
        rows, refused = [], []
        for family, settings in families.items():
            own, top = next(iter(settings)), best[family]
            mine = trials[(trials.method == own) & (trials.outcome == "ran")]
            if not len(mine):
                reason = part.errors().query("method == @own").reason.iloc[0]
                rows.append((-np.inf, f"| {family} | refused |" + " – |" * 8))
                refused.append(f"\nRefused: {reason}")
                continue
            won = f"{ranks.wins[top]}" + (f" + {ranks.ties[top]} tied" if ranks.ties[top] else "")
            label = "own" if top == own else top.removeprefix(f"{family} ")
            rows.append(
                (
                    medians[top],
                    f"| {own} | {mine.value.median():.2f} | {mine.value.min():.2f} | "
                    f"{mine.value.max():.2f} | {mine.raw_violation.median():.2g} | "
                    f"{mine.evaluations.median():.0f} | {mine.seconds.median():.2f} | {label} | "
                    f"{medians[top]:.2f} | {won} |",
                )
            )
        for _, line in sorted(rows, key=lambda row: -row[0]):
            yield line
        yield from refused
        yield f"\n{_sentence(contenders)}"


def _sentence(contenders: cax.Comparison) -> str:
    verdict = contenders.best()
    lines = [f"Each with the best setting of its sweep: {verdict}"]
    behind = [one for one in verdict.differences if one.decided]
    if verdict.winner is None and behind:
        names = ", ".join(one.method for one in behind)
        lines.append(f"{verdict.leader} is ahead of: {names}.")
    return " ".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with the IDX files of Fashion-MNIST")
    parser.add_argument("--folder", type=Path, default=Path("answers-run"))
    parser.add_argument(
        "--partial", action="store_true", help="no new trials: the problems that are complete"
    )
    parser.add_argument("--write", action="store_true", help="write the numbers into answers.md")
    given = parser.parse_args()
    samples, test = read_samples(given.data)
    cnn, accuracy = answer_5_network(samples, test, given.folder / "answer_5.keras")
    networks = {"embedded network": cax.examples.load_model(), "CNN of answer 5": cnn}
    families = methods(samples)
    flat = {label: one for family in families.values() for label, one in family.items()}
    asked = problems(networks)
    place = given.folder / "trials"
    if given.partial:
        found = cax.load_comparison(place)
        found = found.subset([one for one in asked if len(found.of(one)) == len(flat)])
    else:
        found = cax.compare(asked, flat, budget=BUDGET, seed=SEED, folder=place)
        complete(found, len(asked) * len(flat))
    found.to_html(given.folder / "report.html", title="The five answers, and what is used today")
    started = {one.label.rsplit(", ", 1)[0] for one in found.problems}
    missing = [
        one for one in dict.fromkeys(x.rsplit(", ", 1)[0] for x in asked) if one not in started
    ]
    own = list(claims(samples, given.folder / "claims"))
    known = versions()
    lines = [
        f"Printed by `python docs/benchmarks/answers.py --data FOLDER --write` "
        f"({os.cpu_count()} cores, {platform.machine()}, TensorFlow {known['tensorflow']}, "
        f"Keras {known['keras']}). Budget {BUDGET} evaluations, seed {SEED}. Accuracy of the CNN "
        "after "
        f"{EPOCHS_OF_CNN} epochs: {accuracy:.4f}.",
        "\n## Each answer by itself\n",
        *own,
        "\n## All together",
        *tables(found, families),
        *(f"\nNot run yet: {one}." for one in missing),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if given.write:
        page = Path(__file__).with_suffix(".md")
        head, _, _ = page.read_text(encoding="utf-8").partition(MARK)
        page.write_text(head + MARK + "\n\n" + text, encoding="utf-8")


MARK = "<!-- below: printed by answers.py -->"

if __name__ == "__main__":
    main()

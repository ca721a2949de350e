"""Two checkouts on the same questions, side by side: `python docs/benchmarks/paired.py OTHER`.

Each checkout answers in a process of its own, from the same starting points, with the embedded
network: a class's logit, log-probability and margin over four kinds of sets with 300 evaluations,
a logit under two bounds on other outputs, and the question of output_limits at 120 Pullovers of
the test set, from the image and from a point near it. A difference is over the objective's range at
200 draws in the set; less than 0.1 % of that is a tie.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve()
CHECKOUT = HERE.parents[2]
EVALUATIONS, SEEDS, DRAWS, TIE, IMAGES, NEAR = 300, 2, 200, 1e-3, 120, 0.1
BOUNDED = ((2, 0.1), (6, 0.1), (4, 0.1), (0, 0.05), (3, 0.2))


def answers(path: Path, data: Path | None) -> None:
    """Answer all questions with the library on the path, and write the answers."""
    import constrained_actmax as cax
    from constrained_actmax.examples.train import read_samples

    oracle = cax.Oracle(cax.examples.load_model(), labels=list(cax.examples.CLASS_NAMES))
    found: dict[str, list[Any]] = {}

    def record(label: str, problem: cax.Problem, result: cax.Result) -> None:
        draws = problem.set.sample(np.random.default_rng(0), DRAWS)
        spread = float(np.ptp(problem.oracle.values(draws)[:, 0]))
        found[label] = [result.value, result.feasible, result.nfev, spread]

    budget = cax.Budget(evaluations=EVALUATIONS)
    for seed in range(SEEDS):
        image = cax.examples.reference((0, 2)[seed])
        sets = {
            "Box": [cax.Box(0, 1)],
            "Box and L1": [cax.Box(0, 1), cax.L1Ball(60)],
            "Box and L2": [cax.Box(0, 1), cax.L2Ball(3.0, center=image)],
            "Box and L-infinity": [cax.Box(0, 1), cax.LinfBall(0.2, center=image)],
        }
        for number in range(10):
            drawn = np.random.default_rng((seed, number)).uniform(size=(28, 28))
            for name, members in sets.items():
                x0 = drawn if name in ("Box", "Box and L1") else image
                for kind in (cax.Logit, cax.LogProbability, cax.Margin):
                    problem = cax.Problem(oracle, kind(number), members)
                    result = cax.solve(problem, x0=x0, budget=budget, seed=0)
                    record(f"{name}, {kind.__name__}|{number} {seed}", problem, result)
    for own, cap in BOUNDED:
        image = cax.examples.reference(own)
        other = float(oracle.with_objectives([cax.Logit(8)]).values(image.reshape(1, -1))[0, 0])
        limits = [cax.Probability(9) <= cap, cax.Logit(8) <= other]
        for radius in (1.5, 2.0, 3.0):
            for number in (1, 3, 4, 7):
                if number == own:
                    continue
                ball = [cax.Box(0, 1), cax.L2Ball(radius, center=image)]
                problem = cax.Problem(oracle, cax.Logit(number), [*ball, *limits], x0=image)
                result = cax.solve(problem, method="augmented-lagrangian", seed=0)
                record(f"bounded outputs|{own} {radius:g} {number}", problem, result)
    _, test = read_samples(data)
    pullovers = test.images[test.labels == cax.examples.class_number("Pullover")]
    for number, pixels in enumerate(pullovers[:IMAGES]):
        image = pixels.astype(np.float64) / 255
        noise = np.random.default_rng((number, 1)).normal(size=image.shape)
        starting_points = {
            "from the image": image,
            "from near it": np.clip(image + NEAR * noise, 0, 1),
        }
        for name, x0 in starting_points.items():
            caps = [cax.Probability(rival) <= 0.1 for rival in ("Shirt", "Pullover")]
            ball = [cax.Box(0, 1), cax.L2Ball(2.0, center=image)]
            problem = cax.Problem(oracle, cax.Logit("Coat"), [*ball, *caps], x0=x0)
            result = cax.solve(problem, method="augmented-lagrangian", seed=0)
            record(f"Coat, {name}|{number}", problem, result)
    path.write_text(json.dumps({"library": cax.__file__, "answers": found}), encoding="utf-8")


def asked(checkout: Path, folder: Path, data: Path | None) -> dict[str, list[Any]]:
    """Return the answers of one checkout, from a process of its own."""
    path = folder / f"{len(list(folder.iterdir()))}.json"
    environment = os.environ | {"PYTHONPATH": str(checkout), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(HERE), "--answer", str(path)]
    if data is not None:
        command += ["--data", str(data)]
    subprocess.run(command, env=environment, check=True)
    answer = json.loads(path.read_text(encoding="utf-8"))
    assert Path(answer["library"]).is_relative_to(checkout), answer["library"]
    found: dict[str, list[Any]] = answer["answers"]
    return found


def table(ours: dict[str, list[Any]], theirs: dict[str, list[Any]]) -> list[str]:
    """Return the lines of the table, one for each family."""
    families: dict[str, list[str]] = defaultdict(list)
    for label in ours:
        families[label.split("|")[0]].append(label)
    lines = [
        "| family | pairs | median | worst | better, tie, worse | feasible | evaluations |",
        "|---|---|---|---|---|---|---|",
    ]
    for family, labels in families.items():
        one = np.array([ours[label][0] for label in labels])
        two = np.array([theirs[label][0] for label in labels])
        difference = (one - two) / np.array([theirs[label][3] for label in labels])
        counts = [
            int(np.sum(difference > TIE)),
            int(np.sum(np.abs(difference) <= TIE)),
            int(np.sum(difference < -TIE)),
        ]
        feasible, spent = (
            " / ".join(
                str(sum(int(side[label][place]) for label in labels)) for side in (ours, theirs)
            )
            for place in (1, 2)
        )
        lines.append(
            f"| {family} | {len(labels)} | {np.median(difference):+.1e} "
            f"| {difference.min():+.1e} | {', '.join(map(str, counts))} | {feasible} | {spent} |"
        )
    return lines


def main() -> None:
    """Ask both checkouts and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, nargs="?", help="folder of the other checkout")
    parser.add_argument(
        "--data", type=Path, help="folder of the IDX files; else Keras fetches them"
    )
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.answer is not None:
        answers(chosen.answer, chosen.data)
        return
    if chosen.other is None:
        parser.error("give the folder of the other checkout")
    with tempfile.TemporaryDirectory() as folder:
        ours = asked(CHECKOUT, Path(folder), chosen.data)
        theirs = asked(chosen.other.resolve(), Path(folder), chosen.data)
    print("\n".join(table(ours, theirs)))


if __name__ == "__main__":
    main()

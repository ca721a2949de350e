"""Two checkouts on the same questions, side by side: `python docs/benchmarks/paired.py OTHER`.

Each checkout answers in a process of its own, from the same starting points, with the embedded
network: a class's logit, log-probability and margin over four kinds of sets with 300 evaluations,
and a logit under two bounds on other outputs. A difference is over the objective's range at 200
draws in the set; less than 0.1 % of that is a tie.
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
EVALUATIONS, SEEDS, DRAWS, TIE = 300, 2, 200, 1e-3
BOUNDED = ((2, 0.1), (6, 0.1), (4, 0.1), (0, 0.05), (3, 0.2))


def answers(path: Path) -> None:
    """Answer all questions with the library on the path, and write the answers."""
    import constrained_actmax as cax

    oracle = cax.Oracle(cax.examples.load_model())
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
    path.write_text(json.dumps({"library": cax.__file__, "answers": found}), encoding="utf-8")


def asked(checkout: Path, folder: Path) -> dict[str, list[Any]]:
    """Return the answers of one checkout, from a process of its own."""
    path = folder / f"{len(list(folder.iterdir()))}.json"
    environment = os.environ | {"PYTHONPATH": str(checkout), "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, str(HERE), "--answer", str(path)], env=environment, check=True)
    data = json.loads(path.read_text(encoding="utf-8"))
    assert Path(data["library"]).is_relative_to(checkout), data["library"]
    found: dict[str, list[Any]] = data["answers"]
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
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.answer is not None:
        answers(chosen.answer)
        return
    if chosen.other is None:
        parser.error("give the folder of the other checkout")
    with tempfile.TemporaryDirectory() as folder:
        ours = asked(CHECKOUT, Path(folder))
        theirs = asked(chosen.other.resolve(), Path(folder))
    print("\n".join(table(ours, theirs)))


if __name__ == "__main__":
    main()

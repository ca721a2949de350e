"""The literature's task at kinks: `python docs/benchmarks/literature.py --write`.

Largest output of random dense ReLU networks over [-1, 1]^n with 10, 100 and 1,000 inputs and one to
three hidden layers of 100 and 500 units, the task of [Perakis and Tsiourvas
(2022)](https://arxiv.org/abs/2205.14189) and [Tong, Cai and Serra
(2024)](https://arxiv.org/abs/2401.03451); and the least L1 change that gives an image of
scikit-learn's digits its second most probable class, pixels in [0, 1].

Entrants: `auto` from four starts; `lp-walk` from up to a hundred starts (the paper's begin at
solutions of relaxations); `region-sampling`, the paper's first algorithm; `perturbed-gradient`
after [Tong, Zhu, Serra and Burer (2025)](https://arxiv.org/abs/2512.24295), from one start, without
and with its linear region valve, with settings of ours, since the paper's were not at hand; and
HiGHS's mixed-integer program with a binary variable for every unit, bounds from intervals and its
own heuristics, on networks of up to 1,000 units, with 1,000 inputs up to 500. The walks take no
constraints on outputs, so `auto`, the augmented Lagrangian and the mixed-integer program alone are
asked for the least change.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kinks
import numpy as np

import constrained_actmax as cax

# Limits in seconds are of processor time, which other processes on the machine do not spoil.
time.perf_counter = time.process_time

HERE = Path(__file__).resolve().parent
INPUTS, LAYERS, UNITS, SEEDS = (10, 100, 1000), (1, 2, 3), (100, 500), (0, 1)
STARTS, WALKS, MANY, DRAWS = 4, 100, 1000, 1000
#: Hidden layers of the networks on digits, the images, and the lead of the wanted class.
DIGITS, IMAGES, LEAD, TOLERANCE = ((100,), (100, 100)), (0, 1, 2, 3), 1e-2, 1e-4
#: Units, and inputs times units, up to which HiGHS is asked: larger programs it presolves for
#: minutes and hears no limit.
MOST_UNITS, MOST_PRODUCTS = 1000, 500_000
#: In the order of the page.
ENTRANTS = (
    "auto",
    "lp-walk",
    "region-sampling",
    "perturbed-gradient",
    "perturbed-gradient with valve",
    "augmented-lagrangian",
    "HiGHS",
)
#: Of all instances, and of those of each cell, on which `auto` should be as good as the best.
TARGET, TARGET_A_CELL = 0.95, 0.8
#: Limits in seconds: on every instance, and on the largest network of each number of inputs.
SECONDS, LONG = 10.0, 60.0
LARGEST = [f"{n} inputs, {max(LAYERS)} x {max(UNITS)}" for n in INPUTS]
#: As good as the best within this share of max(|best|, range over draws).
SAME = 1e-3

Weights = list[tuple[np.ndarray, np.ndarray]]


def forward(weights: Weights, x: np.ndarray) -> np.ndarray:
    """Return the outputs of rows in float64."""
    for W, b in weights[:-1]:
        x = np.maximum(x @ W + b, 0.0)
    return np.asarray(x @ weights[-1][0] + weights[-1][1])


class MixedInteger:
    """A dense ReLU network over a box, one binary variable a unit, in one HiGHS model.

    Parameters
    ----------
    weights : list of (W, b)
    lower, upper : numpy.ndarray, shape (n,)
    """

    def __init__(self, weights: Weights, lower: np.ndarray, upper: np.ndarray) -> None:
        import highspy

        self.highs = highspy.Highs()
        self.highs.setOptionValue("output_flag", False)
        self.integer = highspy.HighsVarType.kInteger
        self.n = len(lower)
        previous = self.columns(lower, upper)
        for W, b in weights[:-1]:
            least = np.minimum(W.T * lower, W.T * upper).sum(axis=1) + b
            most = np.maximum(W.T * lower, W.T * upper).sum(axis=1) + b
            lower, upper = np.maximum(least, 0.0), np.maximum(most, 0.0)
            h = self.columns(lower, upper)
            for unit in range(len(b)):
                row, places = -W[:, unit], previous
                if least[unit] >= 0.0:
                    self.row(b[unit], b[unit], places, row, [h[unit]], [1.0])
                elif most[unit] > 0.0:
                    one = self.columns(np.zeros(1), np.ones(1))[0]
                    self.highs.changeColIntegrality(int(one), self.integer)
                    low, high = -least[unit], most[unit]
                    self.row(b[unit], np.inf, places, row, [h[unit]], [1.0])
                    self.row(-np.inf, b[unit] + low, places, row, [h[unit], one], [1.0, low])
                    self.row(-np.inf, 0.0, [], [], [h[unit], one], [1.0, -high])
            previous = h
        self.last = previous

    def columns(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Add variables, and return their numbers."""
        first, none = self.highs.getNumCol(), np.zeros(0, dtype=np.int32)
        count = len(low)
        starts = np.zeros(count, dtype=np.int32)
        self.highs.addCols(count, np.zeros(count), low, high, 0, starts, none, np.zeros(0))
        return np.arange(first, first + count)

    def row(self, low: float, high: float, *parts: Any) -> None:
        """Add a row of numbers of variables and coefficients, by turns."""
        places = np.concatenate([np.asarray(one, dtype=np.int32) for one in parts[::2]])
        numbers = np.concatenate([np.asarray(one, dtype=float) for one in parts[1::2]])
        self.highs.addRow(float(low), float(high), len(places), places, numbers)

    def minimum(self, places: np.ndarray, costs: np.ndarray, seconds: float) -> Any:
        """Return the best input found within a time of the processor's, or None."""
        end = time.process_time() + seconds

        def stop(event: Any) -> None:
            if time.process_time() >= end:
                event.interrupt()

        highs = self.highs
        highs.cbMipInterrupt.subscribe(stop)
        highs.cbSimplexInterrupt.subscribe(stop)
        highs.changeColsCost(len(places), places.astype(np.int32), costs)
        highs.run()
        found = np.asarray(highs.getSolution().col_value)
        feasible = highs.getInfo().primal_solution_status == 2
        return found[: self.n] if feasible and found.size else None


def largest_mip(weights: Weights, seconds: float) -> Any:
    n = weights[0][0].shape[0]
    program = MixedInteger(weights, -np.ones(n), np.ones(n))
    return program.minimum(program.last, -weights[-1][0][:, 0], seconds)


def nearest_mip(weights: Weights, image: np.ndarray, target: int, seconds: float) -> Any:
    program = MixedInteger(weights, np.zeros(len(image)), np.ones(len(image)))
    (W, b), n = weights[-1], len(image)
    for rival in range(len(b)):
        if rival != target:
            row, offset = W[:, target] - W[:, rival], b[target] - b[rival]
            program.row(LEAD - offset, np.inf, program.last, row)
    change = program.columns(np.zeros(2 * n), np.ones(2 * n))
    for i in range(n):
        program.row(image[i], image[i], [i, change[i], change[n + i]], [1.0, -1.0, 1.0])
    return program.minimum(change, np.ones(2 * n), seconds)


def random_tasks(seed: int) -> Any:
    """Yield cell, entrants by name, and the score of a point (lower is better), and a size."""
    for n, layers, units in itertools.product(INPUTS, LAYERS, UNITS):
        model = kinks.dense((n, *[units] * layers), seed)
        weights = weights_of(model)
        problem = cax.Problem(model, cax.Output(0), cax.Box(-1, 1))

        def library(
            method: Any, starts: int, problem: cax.Problem = problem
        ) -> Callable[[float], Any]:
            return lambda seconds: (
                cax.solve(
                    problem,
                    method=method,
                    starts=starts,
                    seed=0,
                    budget=cax.Budget(seconds=seconds),
                ).x
            )

        entrants = {
            "auto": library("auto", STARTS),
            "lp-walk": library(cax.LPWalk(regions=MANY), WALKS),
            "region-sampling": library(cax.RegionSampling(regions=MANY), 1),
            "perturbed-gradient": library(cax.PerturbedGradient(), 1),
            "perturbed-gradient with valve": library(cax.PerturbedGradient(valve=True), 1),
        }
        if layers * units <= MOST_UNITS and n * layers * units <= MOST_PRODUCTS:
            entrants["HiGHS"] = lambda seconds, weights=weights: largest_mip(weights, seconds)
        draws = np.random.default_rng(0).uniform(-1, 1, (DRAWS, n))
        span = float(np.ptp(forward(weights, draws)))

        def score(x: np.ndarray, weights: Weights = weights) -> float:
            return float(-forward(weights, np.clip(x, -1, 1)[np.newaxis])[0, 0])

        yield f"{n} inputs, {layers} x {units}", entrants, score, span


def digit_tasks() -> Any:
    """Yield the same of least changes; the size is 0, for the change itself is the measure."""
    from sklearn.datasets import load_digits

    images = load_digits().data / 16.0
    for hidden in DIGITS:
        model = kinks.digits(hidden)
        weights = weights_of(model)
        oracle = cax.Oracle(model)
        for place in IMAGES:
            image = images[place]
            target = int(np.argsort(forward(weights, image[np.newaxis])[0])[-2])
            problem = cax.Problem(
                oracle,
                cax.Norm(1, center=image),
                [cax.Box(0, 1), cax.Margin(target, link="softmax") >= LEAD],
                sense="minimize",
                x0=image,
            )

            def library(method: str, problem: cax.Problem = problem) -> Callable[[float], Any]:
                return lambda seconds: (
                    cax.solve(problem, method=method, seed=0, budget=cax.Budget(seconds=seconds)).x
                )

            entrants = {
                "auto": library("auto"),
                "augmented-lagrangian": library("augmented-lagrangian"),
                "HiGHS": lambda seconds, w=weights, image=image, target=target: nearest_mip(
                    w, image, target, seconds
                ),
            }

            def score(
                x: np.ndarray,
                weights: Weights = weights,
                image: np.ndarray = image,
                target: int = target,
            ) -> float:
                logits = forward(weights, x[np.newaxis])[0]
                lead = logits[target] - np.delete(logits, target).max()
                return float(np.abs(x - image).sum()) if lead >= LEAD - TOLERANCE else np.inf

            yield f"digits, {len(hidden)} x {hidden[0]}", entrants, score, 0.0


def weights_of(model: Any) -> Weights:
    return [tuple(np.asarray(w, float) for w in one.get_weights()) for one in model.layers]


def records(path: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Run what is missing, the entrants of one instance in turn, and return all runs."""
    done = []
    if path.is_file():
        done = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    known = {(one["cell"], one["instance"], one["method"], one["limit"]) for one in done}
    parts = [(f"seed {seed}", random_tasks(seed)) for seed in arguments.seeds]
    for word, tasks in [*parts, ("image", digit_tasks())]:
        count: dict[str, int] = {}
        for cell, entrants, score, span in tasks:
            count[cell] = count.get(cell, -1) + 1
            instance = word if word != "image" else f"image {count[cell]}"
            limits = [arguments.seconds, *([arguments.long] if cell in LARGEST else [])]
            for seconds, method in itertools.product(limits, arguments.entrants):
                if method not in entrants or (cell, instance, method, seconds) in known:
                    continue
                began = time.process_time()
                x = entrants[method](seconds)
                one = {
                    "cell": cell,
                    "instance": instance,
                    "method": method,
                    "score": np.inf if x is None else score(np.asarray(x).ravel()),
                    "seconds": time.process_time() - began,
                    "limit": seconds,
                    "range": span,
                }
                done.append(one)
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(one) + "\n")
    return done


@dataclass
class Cell:
    """The runs of one kind of network: on each instance, those with its longest limit.

    Parameters
    ----------
    name : str
    instances : dict of str to dict
        By the name of the instance, its runs by the name of the entrant.
    """

    name: str
    instances: dict[str, dict[str, dict[str, Any]]]

    def gaps(self, method: str) -> dict[str, float]:
        """Return an entrant's distance to the best on each instance, over the size."""
        return {
            instance: (runs[method]["score"] - runs[best]["score"])
            / max(abs(runs[best]["score"]), runs[method]["range"])
            for instance, runs in self.instances.items()
            if method in runs
            for best in [min(runs, key=lambda name: runs[name]["score"])]
        }

    def good(self, method: str) -> tuple[int, int]:
        """Return on how many instances an entrant is as good as the best, and has run."""
        gaps = self.gaps(method)
        return sum(gap <= SAME for gap in gaps.values()), len(gaps)

    def row(self) -> str:
        limits = [runs["auto"]["limit"] for runs in self.instances.values()]
        of = ", ".join(
            f"{limits.count(limit)} of {limit:g} s" for limit in sorted(set(limits), reverse=True)
        )
        entries = []
        for method in ENTRANTS:
            gaps = [gap for gap in self.gaps(method).values() if np.isfinite(gap)]
            mean = f"{100 * np.mean(gaps):.2f} %" if gaps else "none found"
            good, count = self.good(method)
            of_n = str(good) if count == len(self.instances) else f"{good} of {count}"
            entries.append(f"{of_n}, {mean}" if count else "-")
        return f"| {self.name} | {of} | " + " | ".join(entries) + " |"

    def losses(self) -> list[str]:
        rows = []
        for instance, gap in self.gaps("auto").items():
            runs = self.instances[instance]
            if gap > SAME:
                winner = min(runs, key=lambda name: runs[name]["score"])
                seconds = runs["auto"]["seconds"]
                rows.append(
                    f"| {self.name}, {instance} | {winner} | {100 * gap:.2f} | {seconds:.1f} |"
                )
        return rows


def cells(done: list[dict[str, Any]]) -> list[Cell]:
    """Return the runs by cells; an instance counts with the longest limit that `auto` has."""
    runs: dict[str, dict[str, dict[float, dict[str, Any]]]] = {}
    for one in done:
        of_cell = runs.setdefault(one["cell"], {}).setdefault(one["instance"], {})
        of_cell.setdefault(one["limit"], {})[one["method"]] = one
    found = []
    for name, instances in runs.items():
        last = {
            instance: by_limit[max(whole)]
            for instance, by_limit in instances.items()
            if (whole := [limit for limit, of in by_limit.items() if "auto" in of and len(of) > 1])
        }
        found.append(Cell(name, last))
    return [one for one in found if one.instances]


def page(done: list[dict[str, Any]]) -> str:
    """Return the page."""
    whole = cells(done)
    instances = sum(len(cell.instances) for cell in whole)
    totals = {
        method: np.sum([cell.good(method) for cell in whole], axis=0).tolist()
        for method in ENTRANTS
    }
    good, count = totals["auto"]
    least = min(cell.good("auto")[0] / cell.good("auto")[1] for cell in whole)
    met = good >= TARGET * count and least >= TARGET_A_CELL
    brief = [one for one in done if one["cell"] in LARGEST and one["limit"] == SECONDS]
    soon = [cell.good("auto") for cell in cells(brief)]
    entries = [f"{a} of {b}" if b else "-" for a, b in totals.values()]
    lines = [
        "# The literature's task at kinks",
        "",
        *str(__doc__).split("\n\n", 1)[1].rstrip().splitlines(),
        "",
        "Limits are seconds of the processor's time, one thread, so that the load of the machine "
        "spoils none; the second column says how many instances had which. HiGHS and linear "
        "programs hear a limit late in some phases. Points are evaluated in float64. *As good* "
        "counts instances in which an entrant is the best or within 0.1 % of max(|best|, range "
        "over 1,000 draws); behind it, the mean distance to the best in % of that.",
        "",
        f"Every run has {SECONDS:g} s; on the largest network of each number of inputs all were "
        f"run with {LONG:g} s too, and the table shows those. With {SECONDS:g} s `auto` is as good "
        f"there on {sum(good for good, _ in soon)} of {sum(count for _, count in soon)}.",
        "",
        f"`auto` is as good on {good} of {count} instances, {100 * good / count:.0f} %, and in "
        f"every row on at least {100 * least:.0f} %; the target is {100 * TARGET:.0f} % and "
        f"{100 * TARGET_A_CELL:.0f} %, and it is {'met' if met else 'missed'}.",
        "",
        "| networks | instances | " + " | ".join(ENTRANTS) + " |",
        "|---|---|" + "---|" * len(ENTRANTS),
        *(cell.row() for cell in whole),
        f"| all | {instances} | " + " | ".join(entries) + " |",
    ]
    losses = [row for cell in whole for row in cell.losses()]
    if losses:
        lines += [
            "",
            "| where `auto` is behind | best | by, % | its seconds |",
            "|---|---|---|---|",
            *losses,
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the page")
    parser.add_argument("--records", type=Path, default=Path("literature.jsonl"))
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="of each run, of the processor"
    )
    parser.add_argument(
        "--long", type=float, default=LONG, help="the same on the largest networks, as well"
    )
    parser.add_argument("--entrants", nargs="*", default=ENTRANTS, help="those that run now")
    parser.add_argument("--seeds", nargs="*", type=int, default=SEEDS, help="of random networks")
    arguments = parser.parse_args()
    text = page(records(arguments.records, arguments))
    if arguments.write:
        (HERE / "literature.md").write_text(text, encoding="utf-8")
    print(text)

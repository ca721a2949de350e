"""The arena: every method on many instances, tuned on half of them and reported on the other.

Networks with kinks and smooth ones; bounds alone, and bounds with an L1, an L2 or a total-variation
budget; logits, log-probabilities, margins, channels and a surrogate's outputs. All methods of an
instance start at the same point and have the same budget of rows. Rivals get one setting for each
family, the best of their small sweep on the tuning half.

Everything is kept in a folder and nothing is computed twice, so the work can be cut into pieces:

    python docs/benchmarks/solver_lab.py --seconds 240      # again and again, until it says "done"
    python docs/benchmarks/solver_lab.py --write            # writes solver_lab.md and its pictures
    python docs/benchmarks/solver_lab.py --clock --seconds 240   # measures, writes "By the clock"
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import networks
import numpy as np
from platformdirs import user_cache_path

import constrained_actmax as cax
from constrained_actmax import baselines
from constrained_actmax.measuring import versions
from constrained_actmax.oracles.base import BaseOracle
from constrained_actmax.tasks import recording

HERE = Path(__file__).parent
BEST_KNOWN = HERE / "solver_lab_best_known.json"
BUDGETS = (100, 300, 1000)
#: Total variation is projected on iteratively, some milliseconds each: one budget there.
TV_BUDGETS = (300,)
#: Rows that set the equal time, the first number that is tried, runs of which the fastest counts,
#: numbers that are tried, and the share of the time that counts as equal.
TIMED_ROWS, FIRST_TIMED, TIMED_RUNS, TIMED_SIZES, TIMED_SLACK = 300, 1200, 3, 6, 0.03
#: Headings of what a run writes or reads by itself.
CLOCK_TITLE, SETTINGS_TITLE = "### By the clock", "## Settings of the rivals"
#: Budgets of the study that decided "auto".
STUDIED = (100, 300)
SIZES = {"embedded": 28, "cnn": 28, "gelu": 28, "residual-relu": 14, "residual-swish": 14}
SIZES["embedded-14"] = 14
KINKED = ("embedded", "cnn", "residual-relu")
SMOOTH = ("gelu", "residual-swish", "surrogate")
SURROGATE_INPUTS, SURROGATE_OUTPUTS = 24, 4
CHANNELS = {
    "embedded": ("hidden", 128),
    "embedded-14": ("hidden", 128),
    "cnn": ("conv", 32),
    "gelu": ("second", 32),
    "residual-relu": ("body", 16),
    "residual-swish": ("body", 16),
}


# -- models --------------------------------------------------------------------------------------


@cache
def samples() -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, 28, 28) in [0, 1] and their classes: real ones, else noisy class means."""
    shared = os.environ.get("CONSTRAINED_ACTMAX_SHARED")
    folder = None if shared is None else Path(shared) / "data" / "fashion-mnist"
    if folder is not None and folder.is_dir():
        from constrained_actmax.examples.train import read_samples

        train, _ = read_samples(folder)
        return train.images[:15000] / 255.0, train.labels[:15000].astype(int)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 15000)
    means = np.stack([cax.examples.reference(k) for k in range(10)])
    noisy = means[labels] + 0.25 * rng.standard_normal((15000, 28, 28))
    return np.clip(noisy, 0.0, 1.0), labels


def images(size: int) -> np.ndarray:
    """Return the images at 28 or 14 pixels a side."""
    full = samples()[0]
    return full if size == 28 else full.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))


def surrogate_data() -> tuple[np.ndarray, np.ndarray]:
    """Return designs in [0, 1] and four smooth responses with interactions."""
    rng = np.random.default_rng(7)
    x = rng.random((8000, SURROGATE_INPUTS))
    centres = rng.random((SURROGATE_OUTPUTS, 6, SURROGATE_INPUTS))
    heights = rng.uniform(0.5, 2.0, (SURROGATE_OUTPUTS, 6))
    slopes = rng.standard_normal((SURROGATE_OUTPUTS, SURROGATE_INPUTS))
    away = ((x[:, None, None] - centres) ** 2).sum(axis=3)
    bumps = (heights * np.exp(-away / 1.5)).sum(axis=2)
    waves = np.sin(3.0 * x @ slopes.T)
    return x, 4.0 * bumps + waves + 0.5 * x @ slopes.T


def built(name: str) -> Any:
    """Return a network before its training."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(2024)
    if name == "cnn":
        return networks.answer_5()
    if name == "gelu":
        return keras.Sequential(
            [
                keras.Input((28, 28)),
                layers.Flatten(),
                layers.Dense(64, activation="gelu", name="first"),
                layers.Dense(32, activation="tanh", name="second"),
                layers.Dense(10, activation="softmax"),
            ],
            name="gelu",
        )
    if name == "surrogate":
        return keras.Sequential(
            [
                keras.Input((SURROGATE_INPUTS,)),
                layers.Dense(64, activation="tanh"),
                layers.Dense(64, activation="softplus"),
                layers.Dense(SURROGATE_OUTPUTS),
            ],
            name="surrogate",
        )
    activation = name.removeprefix("residual-")
    image = keras.Input((14, 14, 1))
    x = layers.Conv2D(16, 3, strides=2, padding="same")(image)
    for block in range(2):
        y = layers.BatchNormalization()(x)
        y = layers.Activation(activation)(y)
        y = layers.Conv2D(16, 3, padding="same", name=("body", "tail")[block])(y)
        x = layers.Add()([x, y])
    x = layers.Activation(activation)(layers.BatchNormalization()(x))
    x = layers.Flatten()(x)
    x = layers.Dense(10, activation="softmax")(x)
    return keras.Model(image, x, name=name.replace("-", "_"))


def trained(name: str, folder: Path) -> Any:
    """Return a trained network, from the folder if it is there."""
    import keras

    path = folder / f"{name}.keras"
    if path.is_file():
        return keras.models.load_model(path, compile=False)
    model = built(name)
    if name == "surrogate":
        x, y = surrogate_data()
        model.compile(keras.optimizers.Adam(2e-3), "mse")
        model.fit(x, y, epochs=30, batch_size=64, verbose=0)
    else:
        x = images(SIZES[name]).reshape(-1, *model.input_shape[1:])
        model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
        model.fit(x, samples()[1], epochs=4, batch_size=64, verbose=0)
    folder.mkdir(parents=True, exist_ok=True)
    model.save(path)
    return keras.models.load_model(path, compile=False)


_oracles: dict[tuple[str, str], Any] = {}


def oracle(name: str, folder: Path, precision: str = "model") -> Any:
    """Return the oracle of a model; "embedded-14" is the embedded one behind doubled pixels."""
    key = name, precision
    if key not in _oracles:
        # A measured choice of XLA would cost minutes of compiling, and its last bits decide kinks.
        options: dict[str, Any] = {"xla": False}
        if precision != "model":
            options["precision"] = precision
        if name.startswith("embedded"):
            model = cax.examples.load_model()
            if name == "embedded-14":
                options |= {"preprocess": doubled, "input_shape": (14, 14)}
        else:
            model = trained(name, folder)
        _oracles[key] = cax.Oracle(model, **options)
    return _oracles[key]


def doubled(x: Any) -> Any:
    """Return images (B, 14, 14) with every pixel twice along both sides."""
    import tensorflow as tf

    return tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)


# -- instances -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Instance:
    """One question: a model, what should be large, a set and a start."""

    name: str
    model: str
    set: str
    kind: str
    reported: bool
    objective: cax.Objective = field(repr=False)
    constraints: tuple[cax.ConvexSet, ...] = field(repr=False)
    x0: np.ndarray = field(repr=False)

    @property
    def family(self) -> str:
        """Set and kind of network: what is tuned and judged together."""
        return f"{self.set}, {self.kind}"

    @property
    def budgets(self) -> tuple[int, ...]:
        """Rows of its runs."""
        return TV_BUDGETS if self.set == "Box ∩ TV" else BUDGETS

    def problem(self, folder: Path, precision: str = "model") -> cax.Problem:
        """Return the problem."""
        return cax.Problem(
            oracle(self.model, folder, precision), self.objective, self.constraints, x0=self.x0
        )


def instances() -> list[Instance]:
    """Return all instances; blocks of four, one of each objective, go to the halves in turn."""
    found = []
    for name in ("Box", "Box ∩ L1", "Box ∩ L2"):
        for kind, models in (("ReLU", KINKED), ("smooth", SMOOTH)):
            for model in models:
                found += [instance(model, name, kind, i, i // 4 % 2 == 1) for i in range(8)]
    for kind, models in (
        ("ReLU", ("embedded-14", "residual-relu")),
        ("smooth", ("residual-swish",)),
    ):
        each = 24 // len(models)
        for model in models:
            found += [
                instance(model, "Box ∩ TV", kind, i, (i // 4 + (model == models[0])) % 2 == 1)
                for i in range(each)
            ]
    return found


def instance(model: str, set_: str, kind: str, i: int, reported: bool) -> Instance:
    """Return the i-th instance of a model and a set."""
    # A seed that is the same in every process: hash() of text is not.
    rng = np.random.default_rng(list(f"{model}/{set_}/{i}".encode()))
    objective: cax.Objective
    if model == "surrogate":
        x = surrogate_data()[0][int(rng.integers(8000))]
        k = i % SURROGATE_OUTPUTS
        objective = cax.Output(k)
        if i >= SURROGATE_OUTPUTS:
            objective = objective - 0.5 * cax.Output((k + 1) % SURROGATE_OUTPUTS)
        start = rng.random(x.shape)
        radius = rng.choice([0.5, 1.0, 2.0])
        sets = {
            "Box": (),
            "Box ∩ L1": (cax.L1Ball(2.0 * radius, center=x),),
            "Box ∩ L2": (cax.L2Ball(0.6 * radius, center=x),),
        }
    else:
        size = SIZES[model]
        number = int(rng.integers(10000, 15000))
        channel = (1,) if model not in ("embedded", "embedded-14", "gelu") else ()
        x = images(size)[number].reshape(size, size, *channel)
        own = int(samples()[1][number])
        k, other = (int(one) for one in rng.permutation([c for c in range(10) if c != own])[:2])
        layer, channels = CHANNELS[model]
        objective = [
            cax.Logit(k),
            cax.LogProbability(k),
            cax.Margin(k, over=other),
            cax.Channel(layer, int(rng.integers(channels))),
        ][i % 4]
        start = rng.random(x.shape)
        scale = size / 28
        sets = {
            "Box": (),
            "Box ∩ L1": (cax.L1Ball(float(rng.choice([30, 60, 100])) * scale**2),),
            "Box ∩ L2": (cax.L2Ball(float(rng.choice([1.5, 3.0, 5.0])) * scale, center=x),),
            "Box ∩ TV": (cax.TotalVariationBall(float(rng.choice([10.0, 15.0, 25.0]))),),
        }
    if set_ == "Box ∩ L2":
        start = x
    constraints = (cax.Box(0, 1), *sets[set_])
    return Instance(
        f"{model} {set_} {i}", model, set_, kind, reported, objective, constraints, start
    )


# -- entrants ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entrant:
    """A method in the arena.

    Parameters
    ----------
    label, method : str, str or Solver
        Its name here, and what `solve` takes.
    rival : str
        For one setting of a rival, whose sweep it belongs to; else empty.
    planned : bool
        Whether its path depends on the budget, so that each budget is a run of its own.
    returns : bool
        Whether only what it returns counts, because its iterates leave the set.
    """

    label: str
    method: Any
    rival: str = ""
    planned: bool = False
    returns: bool = False
    suits: Callable[[Instance], bool] = lambda one: True


def rivals() -> list[Entrant]:
    """Return every setting of every rival."""
    found = []
    for rate in (0.01, 0.03, 0.1, 0.3):
        found += [
            Entrant(
                f"projected Adam {rate:g}{' cosine' * (decay == 'cosine')}",
                baselines.ProjectedAdam(rate=rate, decay=decay),
                "projected Adam",
                decay == "cosine",
            )
            for decay in ("constant", "cosine")
        ]
    found += [
        Entrant(
            f"projected gradient {length:g}",
            baselines.ProjectedGradient(step_size=length),
            "projected gradient",
        )
        for length in (0.1, 0.3, 1.0)
    ]
    found.append(Entrant("Auto-PGD", baselines.AutoPGD(), "Auto-PGD", True))
    for rate in (0.01, 0.03):
        method = baselines.ClippedAscent(steps=None, rate=rate)
        found.append(Entrant(f"clipped ascent {rate:g}", method, "clipped ascent", True, True))
    for rate in (0.3, 1.0):
        ascent = baselines.GradientAscent(steps=None, rate=rate)
        found.append(
            Entrant(f"normalised ascent {rate:g}", ascent, "normalised ascent", True, True)
        )
    return found


def solvers() -> list[Entrant]:
    """Return the library's own methods."""
    return [
        Entrant("auto", "auto", planned=True),
        Entrant("spg", cax.SPG()),
        # Their many projections on total variation take minutes.
        Entrant("pgd", cax.PGD(), planned=True, suits=lambda one: one.set != "Box ∩ TV"),
        Entrant("fista", cax.FISTA(), suits=lambda one: one.set != "Box ∩ TV"),
        Entrant("pqn", cax.PQN(), suits=lambda one: one.set != "Box ∩ TV"),
        Entrant("frank-wolfe", cax.FrankWolfe(), suits=lambda one: one.set != "Box ∩ TV"),
        Entrant("L-BFGS-B", cax.LBFGSB(), suits=lambda one: one.set == "Box"),
        Entrant("TNC", cax.TNC(), suits=lambda one: one.set == "Box"),
        # Its dense steps take seconds each for images.
        Entrant("SLSQP", cax.SLSQP(), suits=lambda one: one.model == "surrogate"),
        Entrant("trust-constr", cax.TrustConstr(), suits=lambda one: one.model == "surrogate"),
    ]


def candidates() -> list[Entrant]:
    """Return what "auto" was chosen from, on the tuning half."""
    return [
        Entrant("auto, as chosen", "auto", planned=True),
        Entrant("length halved by checkpoints (pgd)", cax.PGD(), planned=True),
        Entrant("length falls geometrically", cax.PGD(schedule="geometric"), planned=True),
        Entrant(
            "falls as a cosine, one candidate", cax.SuccessiveHalving(most_draws=1), planned=True
        ),
        Entrant(
            "rungs from one candidate per 40 evaluations",
            cax.SuccessiveHalving(evaluations_per_draw=40),
            planned=True,
        ),
        Entrant("rungs, one per 16 evaluations", cax.SuccessiveHalving(), planned=True),
        Entrant(
            "rungs, one per 8 evaluations",
            cax.SuccessiveHalving(evaluations_per_draw=8),
            planned=True,
        ),
        Entrant("rungs, a third goes on", cax.SuccessiveHalving(narrowing=3), planned=True),
        Entrant("spg alone", cax.SPG()),
    ]


# -- running -------------------------------------------------------------------------------------


class OutOfTime(Exception):  # noqa: N818 - a signal
    """The seconds given on the command line are over; the next call goes on from here."""


@dataclass
class Lab:
    """The folder of models and results, how long this call may work, and whether gaps may stay."""

    folder: Path
    until: float = np.inf
    partial: bool = False

    @property
    def models(self) -> Path:
        """Where trained models are kept."""
        return self.folder / "models"

    def kept(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return what is stored under a name, computing it at most once."""
        path = self.folder / "results" / f"{name}.json"
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
        if self.partial or time.monotonic() > self.until:
            raise OutOfTime
        found = compute()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".part").write_text(json.dumps(found), encoding="utf-8")
        path.with_suffix(".part").replace(path)
        return found

    def there(self, compute: Callable[[], Any]) -> bool:
        """Return whether something is computed; computes it, unless gaps may stay."""
        try:
            compute()
        except OutOfTime:
            if not self.partial:
                raise
            return False
        return True

    def runs(self, entrant: Entrant, rows: int, chosen: list[Instance]) -> dict[str, Any]:
        """Return the runs of one entrant with one budget, by the names of the instances."""
        found: dict[str, Any] = {}
        for key, group in grouped(chosen):
            name = f"{slug(entrant.label)}/{rows}/{slug(key)}"
            found |= self.kept(name, lambda group=group: self.together(entrant, rows, group))
        return found

    def together(self, entrant: Entrant, rows: int, group: list[Instance]) -> dict[str, Any]:
        """Run one entrant on instances of one model, sharing its calls."""
        problems = [one.problem(self.models) for one in group]
        budget = cax.Budget(evaluations=rows)
        results = cax.solve_many(problems, method=entrant.method, budget=budget, seed=0)
        for one in results:
            if isinstance(one, cax.Failure) and one.error != "RefusedError":
                raise RuntimeError(f"{entrant.label}: {one}")
        return {
            one.name: record(problem, result)
            for one, problem, result in zip(group, problems, results, strict=True)
        }


def record(problem: cax.Problem, result: Any) -> dict[str, Any]:
    """Return what is kept of a run: the value, and the best feasible value after so many rows."""
    if isinstance(result, cax.Failure):
        return {"failed": str(result)}
    history, best, rows, values = result.history, -np.inf, [], []
    for at, value, violation in zip(
        history.evaluations, history.value, history.violation, strict=True
    ):
        if violation <= problem.set.tolerance and value > best:
            best = value
            rows.append(int(at))
            values.append(float(value))
    return {
        "value": float(result.value) if result.feasible else None,
        "rows": result.nfev,
        "status": result.status.name,
        "residual": float(result.optimality.stationarity),
        "curve": [rows, values],
    }


def grouped(chosen: list[Instance]) -> Iterator[tuple[str, list[Instance]]]:
    """Yield the instances that one compiled function serves, the halves apart."""
    groups: dict[str, list[Instance]] = {}
    for one in chosen:
        tv = " tv" * (one.set == "Box ∩ TV")
        half = "reported" if one.reported else "tuning"
        key = f"{one.model} {type(one.objective).__name__}{tv} {half}"
        groups.setdefault(key, []).append(one)
    yield from groups.items()


def slug(text: str) -> str:
    """Return text as a name of a file."""
    return "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in text)


def value_at(run: dict[str, Any], rows: int, returns: bool) -> float:
    """Return the best feasible value of a run after so many rows; -inf without one."""
    if "failed" in run:
        return -np.inf
    ended = run["value"]
    found = -np.inf if ended is None or (rows < run["rows"] and not returns) else ended
    if not returns:
        at, values = run["curve"]
        place = int(np.searchsorted(at, rows, side="right")) - 1
        if place >= 0:
            found = max(found, values[place])
    return float(found)


def values(
    lab: Lab, entrant: Entrant, rows: int, chosen: list[Instance]
) -> dict[str, tuple[float, dict[str, Any]]]:
    """Return value and run of an entrant with so many rows, by instance."""
    found = {}
    alone = entrant.planned or entrant.returns
    for tv in (False, True):
        mine = [
            one
            for one in chosen
            if (one.set == "Box ∩ TV") == tv and entrant.suits(one) and rows in one.budgets
        ]
        most = max(TV_BUDGETS if tv else BUDGETS)
        for name, run in lab.runs(entrant, rows if alone else most, mine).items():
            found[name] = value_at(run, rows, entrant.returns), run
    return {one.name: found[one.name] for one in chosen if one.name in found}


def starting_values(lab: Lab, chosen: list[Instance]) -> dict[str, float]:
    """Return the value at each start."""

    def compute() -> dict[str, float]:
        found = {}
        for one in chosen:
            problem = one.problem(lab.models)
            assert problem.x0 is not None
            x = problem.set.project(problem.x0)
            found[one.name] = problem.sign * float(problem.evaluate(x[np.newaxis]).f[0])
        return found

    half = "reported" if chosen[0].reported else "tuning"
    kept: dict[str, float] = lab.kept(f"starts-{half}-{len(chosen)}", compute)
    return kept


def long_runs(lab: Lab, chosen: list[Instance]) -> dict[str, dict[str, Any]]:
    """Return the best value of long runs of several methods from several starts."""
    found: dict[str, dict[str, Any]] = {}
    for one in chosen:
        tv = one.set == "Box ∩ TV"
        plans: list[tuple[Any, int, int]] = [
            (cax.SuccessiveHalving(most_draws=8, narrowing=3), 4, 800 if tv else 8000),
            *([] if tv else [(cax.SPG(), 4, 2000)]),
        ]

        def compute(one: Instance = one, plans: list[Any] = plans) -> dict[str, Any]:
            best: dict[str, Any] = {"value": -np.inf}
            for method, starts, rows in plans:
                budget = cax.Budget(evaluations=rows)
                problem = one.problem(lab.models)
                run = cax.solve(problem, method=method, starts=starts, seed=1, budget=budget)
                if run.feasible and run.value > best["value"]:
                    how = f"{run.method}, {starts} starts, {run.nfev} evaluations"
                    best = {"value": float(run.value), "how": how}
            return best

        found[one.name] = lab.kept(f"long/{slug(one.name)}", compute)
    return found


def tuned(lab: Lab, every: list[Instance]) -> dict[tuple[str, str], Entrant]:
    """Return each rival's setting for each family: the best mean score at 300 evaluations on "
    "the half."""
    chosen = [one for one in every if not one.reported]
    begin = starting_values(lab, chosen)
    found = {entrant.label: values(lab, entrant, 300, chosen) for entrant in rivals()}
    best = {one.name: max(each[one.name][0] for each in found.values()) for one in chosen}
    settings: dict[tuple[str, str], Entrant] = {}
    for family in dict.fromkeys(one.family for one in chosen):
        mine = [one.name for one in chosen if one.family == family]
        for rival in dict.fromkeys(entrant.rival for entrant in rivals()):
            sweep = [entrant for entrant in rivals() if entrant.rival == rival]
            settings[rival, family] = max(
                sweep,
                key=lambda entrant: float(
                    np.mean([score(found[entrant.label][n][0], begin[n], best[n]) for n in mine])
                ),
            )
    return settings


def score(value: float, start: float, best: float) -> float:
    """Return the share of the way from the start to the best known value; 1 where there is none."""
    if best - start <= 1e-9 * max(1.0, abs(start)):
        return 1.0
    return max(0.0, (value - start) / (best - start))


# -- the reported half ---------------------------------------------------------------------------


@dataclass
class Reported:
    """Values of every entrant on the reported half, and what they are measured against."""

    chosen: list[Instance]
    begin: dict[str, float]
    best: dict[str, dict[str, Any]]
    #: By budget and entrant: values by instance.
    at: dict[int, dict[str, dict[str, float]]]
    #: By entrant: the curves of its longest runs.
    runs: dict[str, dict[str, dict[str, Any]]]
    settings: dict[tuple[str, str], Entrant]

    def scores(self, found: dict[str, float], names: list[str]) -> np.ndarray:
        """Return scores in the order of the names."""
        return np.array([score(found[n], self.begin[n], self.best[n]["value"]) for n in names])


def reported(lab: Lab, every: list[Instance]) -> Reported:
    """Run everything on the reported half."""
    settings = tuned(lab, every)
    chosen = [one for one in every if one.reported]
    begin = starting_values(lab, chosen)
    at: dict[int, dict[str, dict[str, float]]] = {rows: {} for rows in BUDGETS}
    runs: dict[str, dict[str, dict[str, Any]]] = {}

    def add(label: str, parts: list[tuple[Entrant, list[Instance]]], rows: int) -> None:
        found: dict[str, tuple[float, dict[str, Any]]] = {}
        for entrant, mine in parts:
            found |= values(lab, entrant, rows, mine)
        at[rows][label] = {name: value for name, (value, _) in found.items()}
        if rows == 300:
            runs[label] = {name: run for name, (_, run) in found.items()}

    for rival in RIVALS:
        parts = [
            (entrant, [one for one in chosen if settings[rival, one.family] == entrant])
            for entrant in rivals()
            if entrant.rival == rival
        ]
        for rows in BUDGETS:
            lab.there(partial(add, rival, [part for part in parts if part[1]], rows))
    for entrant in solvers():
        for rows in BUDGETS:
            lab.there(partial(add, entrant.label, [(entrant, chosen)], rows))
    best = long_runs(lab, chosen)
    for rows in BUDGETS:
        for label, found_values in at[rows].items():
            for name, value in found_values.items():
                if value > best[name]["value"]:
                    best[name] = {"value": value, "how": f"{label}, one start, {rows} evaluations"}
    return Reported(chosen, begin, best, at, runs, settings)


# -- equal time and residuals --------------------------------------------------------------------


def affordable_rows(lab: Lab, one: Instance, base: Entrant, entrant: Entrant) -> int:
    """Return the rows that an entrant makes in the time of 300 evaluations of another, each alone.

    The two take turns, so that a machine whose speed drifts is the same for both; the fastest of
    some runs counts. Where candidates share model calls the price of a row depends on how many
    there are, so it is measured again with the rows that it said, from more than the time can pay
    downwards, until these cost what they should. The answer is the most rows that were seen to cost
    no more.
    """
    problem = one.problem(lab.models)

    def seconds(method: Any, rows: int) -> float:
        began = time.process_time()
        run = cax.solve(problem, method=method, budget=cax.Budget(evaluations=rows), seed=0)
        return (time.process_time() - began) * rows / run.nfev

    def compute() -> int:
        rows, most = FIRST_TIMED, 0
        seconds(base.method, TIMED_ROWS)
        for size in range(TIMED_SIZES):
            seconds(entrant.method, rows)
            pairs = [
                (seconds(base.method, TIMED_ROWS), seconds(entrant.method, rows))
                for _ in range(TIMED_RUNS if size else 1)
            ]
            allowed, taken = (min(times) for times in zip(*pairs, strict=True))
            if size and taken <= allowed * (1.0 + TIMED_SLACK):
                most = max(most, rows)
            following = int(np.clip(rows * allowed / taken, 20, 5000))
            if size and abs(following - rows) <= TIMED_SLACK * rows:
                break
            rows = following
        return most or rows

    if entrant.label == base.label:
        return TIMED_ROWS
    name = f"time/rows/{slug(entrant.label)}/{slug(one.model + one.set)}"
    found: int = lab.kept(name, compute)
    return found


def by_the_clock(lab: Lab, one: Instance, base: Entrant) -> dict[str, Any]:
    """Return a run of `auto` limited to the seconds of 300 evaluations of another alone, warm.

    The other and "auto" take turns; the fastest of some runs of the other says the seconds, and the
    last of "auto" counts. The clock is that of the processor, on one thread: what else the machine
    does is not in it.
    """

    def compute() -> dict[str, Any]:
        problem = one.problem(lab.models)
        rows = cax.Budget(evaluations=TIMED_ROWS)
        cax.solve(problem, method=base.method, budget=rows, seed=0)
        times: list[float] = []
        with mock.patch.object(recording, "time", SimpleNamespace(perf_counter=time.process_time)):
            for _ in range(TIMED_RUNS):
                run = cax.solve(problem, method=base.method, budget=rows, seed=0)
                times.append(run.seconds * TIMED_ROWS / run.nfev)
                limit = cax.Budget(seconds=min(times))
                result = cax.solve(problem, method="auto", budget=limit, seed=0)
        return record(problem, result) | {"seconds": result.seconds, "limit": limit.seconds}

    found: dict[str, Any] = lab.kept(f"time/clock/{slug(base.label)}/{slug(one.name)}", compute)
    return found


def clocked(lab: Lab, half: Reported) -> dict[str, dict[str, Any]]:
    """Return the runs of "auto" by the clock, by instance."""
    found: dict[str, dict[str, Any]] = {}

    def add(one: Instance) -> None:
        found[one.name] = by_the_clock(lab, one, half.settings["projected gradient", one.family])

    for one in half.chosen:
        if one.set != "Box ∩ TV":
            lab.there(partial(add, one))
    return found


def equal_time(lab: Lab, half: Reported) -> dict[str, dict[str, float]]:
    """Return values with the time of 300 evaluations of projected gradient, by entrant and "
    "instance."""
    found: dict[str, dict[str, float]] = {}
    pairs: dict[tuple[str, str], list[Instance]] = {}
    for one in half.chosen:
        if one.set != "Box ∩ TV":
            pairs.setdefault((one.model, one.set), []).append(one)
    for group in pairs.values():
        part: dict[str, dict[str, float]] = {}
        if lab.there(partial(time_of_group, lab, half, group, part)):
            for label, at in part.items():
                found.setdefault(label, {}).update(at)
    return found


def time_of_group(
    lab: Lab, half: Reported, group: list[Instance], found: dict[str, dict[str, float]]
) -> None:
    """Fill in the values of instances of one model and set."""
    first, family = group[0], group[0].family
    base = half.settings["projected gradient", family]
    for label in ("auto", *RIVALS):
        entrant = solvers()[0] if label == "auto" else half.settings[label, family]
        rows = affordable_rows(lab, first, base, entrant)
        alone = Entrant(f"time {entrant.label}", entrant.method, planned=True)
        for key, part in grouped(group):
            name = f"{slug(alone.label)}/{slug(first.set)}/{slug(key)}"
            runs = lab.kept(name, partial(lab.together, alone, rows, part))
            for one in part:
                found.setdefault(label, {})[one.name] = value_at(
                    runs[one.name], 10**9, entrant.returns
                )


class Recorder(BaseOracle):
    """An oracle that keeps every point it is asked for, with its gradient."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self.layout, self.functions = inner.layout, inner.functions
        self.epsilon, self.smooth, self.batches = inner.epsilon, inner.smooth, False
        self.points: list[tuple[np.ndarray, np.ndarray]] = []

    def describe(self) -> dict[str, Any]:
        """Describe the inner one."""
        described: dict[str, Any] = self.inner.describe()
        return described

    def batch(self, x: np.ndarray) -> Any:
        """Return the inner one's batch."""
        return self.inner.batch(x)

    def _evaluate(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = self.inner.evaluate(x)
        self.points += [(row.copy(), g.copy()) for row, g in zip(x, found[1][:, 0], strict=True)]
        return found  # type: ignore[no-any-return]


#: Rows within which a residual is looked for.
RESIDUAL_ROWS = 300


def rows_to_residual(lab: Lab, one: Instance, entrant: Entrant) -> int | None:
    """Return the rows after which max |P(x + g) - x| at a point of C is below 1e-5, or None."""

    def compute() -> int | None:
        problem = one.problem(lab.models, "float64")
        recorder = Recorder(problem.user_oracle)
        budget = cax.Budget(evaluations=RESIDUAL_ROWS)
        watched = problem.asking(recorder)
        cax.solve(watched, method=entrant.method, budget=budget, tol=1e-6, seed=0)
        for place, (x, g) in enumerate(recorder.points[:RESIDUAL_ROWS]):
            inside = problem.set.relative_violation(x) <= problem.set.tolerance
            if inside and np.max(np.abs(problem.set.project(x + g) - x)) < 1e-5:
                return place + 1
        return None

    return lab.kept(f"residual/{slug(entrant.label)}/{slug(one.name)}", compute)  # type: ignore[no-any-return]


# -- the page ------------------------------------------------------------------------------------

TIE = 1e-3
FAMILIES = [
    f"{name}, {kind}"
    for name in ("Box", "Box ∩ L1", "Box ∩ L2", "Box ∩ TV")
    for kind in ("ReLU", "smooth")
]
RIVALS = tuple(dict.fromkeys(one.rival for one in rivals()))


def holm(p: dict[Any, float]) -> dict[Any, float]:
    """Return p-values adjusted for many tests: Holm (1979)."""
    adjusted, largest = {}, 0.0
    for rank, key in enumerate(sorted(p, key=lambda one: p[one])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[key]))
        adjusted[key] = largest
    return adjusted


def compared(half: Reported, at: dict[str, dict[str, float]], title: str) -> list[str]:
    """Return the table of wins, ties and losses of "auto" against each rival in each family."""
    import scipy.stats

    present = [rival for rival in RIVALS if rival in at]
    if not present:
        return [f"### {title}", "", "Not measured yet.", ""]
    cells: dict[tuple[str, str], str] = {}
    p: dict[tuple[str, str], float] = {}
    totals: dict[str, list[int]] = {rival: [0, 0, 0] for rival in present}
    for family in FAMILIES:
        names = [one.name for one in half.chosen if one.family == family and one.name in at["auto"]]
        if not names:
            continue
        ours = half.scores(at["auto"], names)
        for rival in present:
            d = ours - half.scores(at[rival], names)
            won, lost = int((d > TIE).sum()), int((d < -TIE).sum())
            for place, number in enumerate((won, len(d) - won - lost, lost)):
                totals[rival][place] += number
            cells[family, rival] = f"{won}–{len(d) - won - lost}–{lost}"
            p[family, rival] = (
                float(scipy.stats.wilcoxon(d, alternative="less").pvalue) if (d != 0).any() else 1.0
            )
    adjusted = holm(p)
    lines = [
        f"### {title}",
        "",
        "| family | " + " | ".join(present) + " |",
        "|---" * (len(present) + 1) + "|",
    ]
    for family in FAMILIES:
        if (family, present[0]) in cells:
            row = [
                cells[family, rival]
                + (f" **p = {adjusted[family, rival]:.3f}**" * (adjusted[family, rival] < 0.05))
                for rival in present
            ]
            lines.append(f"| {family} | " + " | ".join(row) + " |")
    lines.append(
        "| all | " + " | ".join("–".join(map(str, totals[rival])) for rival in present) + " |"
    )
    worst = min(adjusted.items(), key=lambda one: one[1])
    beaten = sum(value < 0.05 for value in adjusted.values())
    lines += [
        "",
        f"Rivals significantly better than `auto` (paired Wilcoxon, one-sided, p < 0.05 after Holm "
        f"over {len(adjusted)} tests): {beaten}. Smallest adjusted p: {worst[1]:.2f} "
        f"({worst[0][1]} on {worst[0][0]}).",
        "",
    ]
    return lines


def spread(half: Reported, rows: int) -> list[str]:
    """Return the table of scores over all instances."""
    lines = [
        f"### Scores after {rows} evaluations",
        "",
        "| method | instances | median | 1 - median | 10th percentile | mean "
        "| mean of `auto` on the same |",
        "|---|---|---|---|---|---|---|",
    ]
    found = half.at[rows]
    everywhere = len(found["auto"])
    table = []
    for label, at in found.items():
        names = [name for name in at if np.isfinite(at[name])]
        s, ours = half.scores(at, names), half.scores(found["auto"], names)
        table.append((len(names) < everywhere, -np.mean(s - ours), label, s, ours))
    for _, _, label, s, ours in sorted(table, key=lambda one: one[:2]):
        lines.append(
            f"| {label} | {len(s)} | {np.median(s):.4f} | {1 - np.median(s):.1e} "
            f"| {np.percentile(s, 10):.4f} "
            f"| {s.mean():.4f} | {ours.mean():.4f} |"
        )
    return [*lines, ""]


def pictures(half: Reported) -> None:
    """Draw performance and data profiles: rows until a score of 0.9 and of 0.99."""
    import matplotlib.pyplot as plt

    from constrained_actmax.comparison.profiles import data_profile, performance_profile

    names = [one.name for one in half.chosen if one.set != "Box ∩ TV"]
    wanted = ["auto", *RIVALS, "pgd", "spg", "fista", "pqn", "frank-wolfe"]
    labels = [label for label in wanted if label in half.runs]
    figure, axes = plt.subplots(2, 2, figsize=(10, 7.5), layout="constrained")
    for column, level in enumerate((0.9, 0.99)):
        costs = np.array(
            [[rows_to_score(half, name, label, level) for label in labels] for name in names]
        )
        for ax, (at, shares), what in (
            (axes[0, column], data_profile(costs, [0] * len(names)), "evaluations"),
            (
                axes[1, column],
                performance_profile(costs),
                "evaluations over the fewest of any method",
            ),
        ):
            for k, label in enumerate(labels):
                style = {"color": "black", "linewidth": 2.4} if label == "auto" else {}
                ax.step(at, shares[:, k], where="post", label=label, **style)
            ax.set(xscale="log", xlabel=what, ylim=(0, 1.02), title=f"score {level:g}")
            ax.set_ylabel("share of instances")
    axes[0, 0].legend(fontsize=8, ncols=2)
    figure.savefig(HERE.parent / "images" / "solver_lab.png", dpi=110)


def rows_to_score(half: Reported, name: str, label: str, level: float) -> float:
    """Return the rows that a run needed for a score; infinite if it did not get there."""
    run = half.runs[label].get(name)
    if run is None or "failed" in run:
        return np.inf
    entrant = half.settings.get((label, family_of(half, name)))
    if entrant is not None and entrant.returns:
        at, seen = [run["rows"]], [run["value"] if run["value"] is not None else -np.inf]
    else:
        at, seen = run["curve"]
    for rows, value in zip(at, seen, strict=True):
        if score(value, half.begin[name], half.best[name]["value"]) >= level:
            return float(max(1, rows))
    return np.inf


def family_of(half: Reported, name: str) -> str:
    """Return the family of an instance."""
    return next(one.family for one in half.chosen if one.name == name)


def residual_table(lab: Lab, half: Reported) -> list[str]:
    """Return the table of rows to a small residual on smooth networks."""
    chosen = [one for one in half.chosen if one.kind == "smooth" and one.set != "Box ∩ TV"]
    lines = [
        f"### Smooth networks: evaluations until the residual is below 1e-5, of {RESIDUAL_ROWS}",
        "",
        "| method | reached | median evaluations, infinite where not | fewer than `auto` | more |",
        "|---|---|---|---|---|",
    ]
    labels = ("auto", *RIVALS, "spg", "pqn")

    def entrant(label: str, one: Instance) -> Entrant:
        own = {each.label: each for each in solvers()}
        return half.settings.get((label, one.family)) or own[label]

    def all_of(one: Instance) -> list[int | None]:
        return [rows_to_residual(lab, one, entrant(label, one)) for label in labels]

    chosen = [one for one in chosen if lab.there(partial(all_of, one))]
    ours = {one.name: rows_to_residual(lab, one, entrant("auto", one)) for one in chosen}
    for label in labels:
        theirs = {one.name: rows_to_residual(lab, one, entrant(label, one)) for one in chosen}
        reached = [n for n in theirs if theirs[n] is not None]
        rank = {n: np.inf if theirs[n] is None else theirs[n] for n in theirs}
        mine = {n: np.inf if ours[n] is None else ours[n] for n in theirs}
        fewer = sum(rank[n] < mine[n] for n in theirs)
        more = sum(rank[n] > mine[n] for n in theirs)
        median = f"{np.median(list(rank.values())):g}"
        lines.append(f"| {label} | {len(reached)} of {len(theirs)} | {median} | {fewer} | {more} |")
    return [*lines, ""]


def time_lines(half: Reported, at: dict[str, dict[str, float]]) -> list[str]:
    """Return what equal time gives, in the words of the claim."""
    if not at:
        return ["Not measured yet.", ""]
    lines = compared(
        half, at, "Equal time: that of 300 evaluations of the tuned projected gradient"
    )
    return lines + time_shares(half, at, at["auto"], "`auto`")


def clock_lines(
    half: Reported, at: dict[str, dict[str, float]], clock: dict[str, dict[str, Any]]
) -> list[str]:
    """Return the section of `auto` with seconds as its only limit."""
    values_by_clock = {name: value_at(run, 10**9, False) for name, run in clock.items()}
    measured = {n: value for n, value in values_by_clock.items() if n in at.get("auto", {})}
    if not measured:
        return [CLOCK_TITLE, "", "Not measured yet.", ""]
    shares = [clock[name]["seconds"] / clock[name]["limit"] for name in measured]
    same = half.scores(measured, list(measured)) - half.scores(at["auto"], list(measured))
    won, lost = int((same > TIE).sum()), int((same < -TIE).sum())
    return [
        CLOCK_TITLE,
        "",
        f"`auto` with seconds as its only limit on {len(measured)} of "
        f"{sum(one.set != 'Box ∩ TV' for one in half.chosen)} instances, warm, each alone: those "
        f"of {TIMED_ROWS} evaluations of the tuned projected gradient, in turns with it, by the "
        "processor's clock on one thread. The rivals have the evaluations that cost as much.",
        "",
        *compared(half, at | {"auto": measured}, "Wins, ties and losses by the clock")[2:],
        *time_shares(half, at, measured, "`auto`"),
        f"It takes {np.median(shares):.2f} of its seconds (10th percentile "
        f"{np.percentile(shares, 10):.2f}, largest {max(shares):.2f}). Against `auto` with "
        "evaluations "
        f"that cost as much: {won}–{len(same) - won - lost}–{lost}.",
        "",
    ]


def settings_of_page() -> dict[tuple[str, str], Entrant]:
    """Return the settings of the rivals that the page has, so that no half is tuned again."""
    known = {entrant.label: entrant for entrant in rivals()}
    section = (HERE / "solver_lab.md").read_text(encoding="utf-8").split(SETTINGS_TITLE)[1]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if "|" in line]
    return {
        (rival, row[0]): known[rival if cell == "as published" else f"{rival} {cell}"]
        for row in rows[2:]
        for rival, cell in zip(rows[0][1:], row[1:], strict=True)
    }


def write_clock(lab: Lab) -> list[str]:
    """Measure `auto` by the clock for as long as there is time; write its section of the page."""
    chosen = [one for one in instances() if one.reported and one.set != "Box ∩ TV"]
    best = json.loads(BEST_KNOWN.read_text(encoding="utf-8"))
    begin = starting_values(lab, chosen)
    half = Reported(chosen, begin, best, {}, {}, settings_of_page())
    for model in dict.fromkeys(one.model for one in chosen):
        part = replace(half, chosen=[one for one in chosen if one.model == model])
        try:
            equal_time(lab, part)
            clocked(lab, part)
        except OutOfTime:
            break
    lab = replace(lab, partial=True)
    timed, clock = equal_time(lab, half), clocked(lab, half)
    by_clock = {name: value_at(run, 10**9, False) for name, run in clock.items()}
    for found in (*timed.values(), by_clock):
        for name, value in found.items():
            half.best[name] = max(half.best[name], {"value": value}, key=lambda run: run["value"])
    page = (HERE / "solver_lab.md").read_text(encoding="utf-8")
    before, after = page.split("## Stationarity")
    lines = clock_lines(half, timed, clock)
    text = before.split(CLOCK_TITLE)[0] + "\n".join([*lines, "## Stationarity"]) + after
    (HERE / "solver_lab.md").write_text(text, encoding="utf-8")
    return lines


def time_shares(
    half: Reported, at: dict[str, dict[str, float]], ours_at: dict[str, float], title: str
) -> list[str]:
    """Return the table of how often values are better than each rival's, and the best rival's."""
    names = list(ours_at)
    ours = half.scores(ours_at, names)
    lines = [
        f"| rival | {title}: better or equal | better by more than 0.5 %, of those not ties |",
        "|---|---|---|",
    ]
    every = np.stack([half.scores(at[rival], names) for rival in RIVALS])
    for label, theirs in [*zip(RIVALS, every, strict=True), ("the best of them", every.max(0))]:
        d = ours - theirs
        apart = np.abs(d) > TIE
        share = (d[apart] > 5e-3).mean() if apart.any() else np.nan
        lines.append(
            f"| {label} | {100 * (d >= -TIE).mean():.0f} % of {len(d)} "
            f"| {100 * share:.0f} % of {apart.sum()} |"
        )
    return [*lines, ""]


def decisions(lab: Lab, every: list[Instance]) -> list[str]:
    """Return the table of what "auto" was chosen from: mean scores on the tuning half."""
    chosen = [one for one in every if not one.reported and one.set != "Box ∩ TV"]
    begin = starting_values(lab, [one for one in every if not one.reported])

    def all_of(mine: list[Instance]) -> dict[tuple[str, int], Any]:
        return {
            (entrant.label, rows): values(lab, entrant, rows, mine)
            for entrant in candidates()
            for rows in STUDIED
        }

    models = {one.model: [each for each in chosen if each.model == one.model] for one in chosen}
    chosen = [one for mine in models.values() if lab.there(partial(all_of, mine)) for one in mine]
    if not chosen:
        return ["Not measured yet.", ""]
    found = all_of(chosen)
    best = {one.name: max(each[one.name][0] for each in found.values()) for one in chosen}
    families = list(dict.fromkeys(one.family for one in chosen))
    lines = ["Networks: " + ", ".join(dict.fromkeys(one.model for one in chosen)) + ".", ""]
    for rows in STUDIED:
        lines += [
            f"### {rows} evaluations",
            "",
            "| schedule | " + " | ".join(families) + " | all | 10th percentile |",
            "|---" * (len(families) + 3) + "|",
        ]
        for entrant in candidates():
            s = {
                one.name: score(
                    found[entrant.label, rows][one.name][0], begin[one.name], best[one.name]
                )
                for one in chosen
            }
            cells = [
                float(np.mean([s[one.name] for one in chosen if one.family == family]))
                for family in families
            ]
            cells += [float(np.mean(list(s.values()))), float(np.percentile(list(s.values()), 10))]
            lines.append(f"| {entrant.label} | " + " | ".join(f"{c:.3f}" for c in cells) + " |")
        lines.append("")
    return lines


def page(lab: Lab, every: list[Instance]) -> str:
    """Run what is missing and return the page."""
    half = reported(lab, every)
    timed, clock = equal_time(lab, half), clocked(lab, half)
    values_by_clock = {name: value_at(run, 10**9, False) for name, run in clock.items()}
    for found in (*timed.values(), values_by_clock):
        for name, value in found.items():
            if value > half.best[name]["value"]:
                half.best[name] = {"value": value, "how": "equal time in the arena"}
    residuals = residual_table(lab, half)
    real = bool(os.environ.get("CONSTRAINED_ACTMAX_SHARED"))
    lines = [
        f"# The arena: every method on {len(every)} instances",
        "",
        "Printed by `python docs/benchmarks/solver_lab.py --write` "
        f"({os.cpu_count()} cores, {platform.machine()}, TensorFlow "
        f"{versions()['tensorflow']}, SciPy "
        f"{versions()['scipy']}; images: "
        f"{'Fashion-MNIST' if real else 'noisy class means'}).",
        "",
        f"{len(every)} instances with fixed seeds on {len({one.model for one in every})} "
        "networks: the embedded one, the convolutional one of the question's fifth answer, a GELU "
        "and tanh net, residual nets with BatchNorm (ReLU and swish), a regression surrogate. Half "
        "of them were used for tuning: each rival's setting for each family is the best of its "
        "sweep there. **Everything below is the other half**, except where it says so. Score = "
        "(value - value at the start) / (best known - value at the start); a tie is a difference "
        "below 0.001. Best known values are the best of long runs from several starts and of all "
        "runs here, with how each was got in `solver_lab_best_known.json`. One start each, the "
        "same for all.",
        *(
            [
                "",
                "Written with `--partial`, before all runs were made: what says *not measured "
                "yet*, and instances and methods that a table leaves out, come with a full run.",
            ]
            if lab.partial
            else []
        ),
        "",
        "With `--tv` there are 48 more, on Box ∩ TV with 300 evaluations: an hour of projections."
        if len(every) < 150
        else "Box ∩ TV has a budget of 300 evaluations only.",
        "",
        "![Profiles: the share of instances solved against evaluations](../images/solver_lab.png)",
        "",
        "Profiles without the total-variation families. Methods that plan for a budget (`auto`, "
        "`pgd`, Auto-PGD, cosine decay) had 300 evaluations, the others 1000.",
        "",
        "## Equal evaluations",
        "",
        "Cells: `auto` wins–ties–losses.",
        "",
    ]
    for rows in BUDGETS:
        lines += compared(half, half.at[rows], f"After {rows} evaluations") + spread(half, rows)
    lines += ["## Equal time", ""]
    lines += [
        "Without total variation, on one thread. For each network and set the processor time of "
        f"runs alone was measured, in turns with {TIMED_ROWS} evaluations of the tuned projected "
        f"gradient, the fastest of {TIMED_RUNS}; each method then got the evaluations that it "
        "makes in "
        "that time. `auto` pays less for a row because it evaluates its candidates in batches.",
        "",
        *time_lines(half, timed),
        *clock_lines(half, timed, clock),
    ]
    lines += ["## Stationarity", "", *residuals]
    lines += [
        "## What decided `auto`: mean scores on the tuning half",
        "",
        "Best known here: the best of these runs.",
        "",
        *decisions(lab, every),
    ]
    lines += [
        SETTINGS_TITLE,
        "",
        "| family | " + " | ".join(RIVALS) + " |",
        "|---" * (len(RIVALS) + 1) + "|",
    ]
    for family in dict.fromkeys(one.family for one in half.chosen):
        row = [half.settings[rival, family].label.removeprefix(rival).strip() for rival in RIVALS]
        lines.append(f"| {family} | " + " | ".join(one or "as published" for one in row) + " |")
    BEST_KNOWN.write_text(json.dumps(half.best, indent=1, ensure_ascii=False) + "\n", "utf-8")
    pictures(half)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Do what is missing, for as long as asked; write the page where asked."""
    import tensorflow as tf

    # Processor time is the time that a run takes.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--cache", type=Path, default=user_cache_path("constrained-actmax") / "solver_lab"
    )
    parser.add_argument("--seconds", type=float, default=np.inf)
    parser.add_argument(
        "--tv", action="store_true", help="with total variation, whose projections take an hour"
    )
    parser.add_argument(
        "--partial", action="store_true", help="compute nothing; leave out what is not there"
    )
    parser.add_argument("--write", action="store_true", help="write solver_lab.md and its picture")
    parser.add_argument(
        "--clock", action="store_true", help="write By the clock alone, with the page's settings"
    )
    options = parser.parse_args()
    lab = Lab(options.cache, time.monotonic() + options.seconds, options.partial)
    if options.clock:
        print("\n".join(write_clock(lab)))
        return
    try:
        every = [one for one in instances() if options.tv or one.set != "Box ∩ TV"]
        text = page(lab, every)
    except OutOfTime:
        print("more is left: call it again")
        return
    if options.write:
        (HERE / "solver_lab.md").write_text(text, encoding="utf-8")
    print(text + "\ndone")


if __name__ == "__main__":
    main()

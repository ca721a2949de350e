"""Bounds proven for surrogates and networks: `python docs/benchmarks/certificates.py --write`.

Surrogates of smooth formulas, trained here, 2 to 8 inputs in [-1, 1]: the gap after so many
seconds, relative to the range over 1,000 draws. Networks of 5 inputs and 6 x 50 ReLU units, trained
and of random weights, with properties "no input exceeds v": v is the best known value and a share
of the range above or below it. Each is proven, refuted or open. Beside them HiGHS on the
mixed-integer program of the whole network, with bounds from intervals.

Each model is one line of the file that `--cache` names; those that are there are not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import scipy.optimize
import scipy.sparse as sp

import constrained_actmax as cax

HERE = Path(__file__).resolve().parent
DRAWS = 1000
#: Inputs, layers, units, activation, seconds, the gap asked for.
SURROGATES = [
    *((2, 2, 32, one, 3.0, 1e-4) for one in ("relu", "tanh", "softplus")),
    *((n, 2, 32, "relu", 20.0, 1e-3) for n in (3, 4, 5)),
    (3, 3, 64, "relu", 20.0, 1e-3),
    *((3, 2, 32, one, 20.0, 1e-3) for one in ("tanh", "softplus")),
    (8, 2, 32, "relu", 20.0, 1e-3),
]
SHARES = (-0.05, -0.02, -0.005, 0.005, 0.02, 0.05)
NETWORKS, PROPERTY_SECONDS = 10, 60.0


def formula(x: np.ndarray, seed: int) -> np.ndarray:
    """Return a sum of waves and a bowl."""
    rng = np.random.default_rng(seed)
    n = x.shape[1]
    ways, shifts = rng.standard_normal((4, n)) * 2.0 / np.sqrt(n), rng.uniform(0, 6, 4)
    return np.sin(x @ ways.T + shifts).sum(axis=1) - 0.5 * (x**2).mean(axis=1)


def surrogate(n: int, layers: int, units: int, activation: str, seed: int) -> Any:
    """Return a network trained on a formula."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((n,)),
            *(keras.layers.Dense(units, activation) for _ in range(layers)),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    x = np.random.default_rng(seed).uniform(-1, 1, (4000, n))
    model.fit(x, formula(x, seed), epochs=25, batch_size=128, verbose=0)
    return model


def spread(problem: cax.Problem) -> float:
    """Return the range of the objective over draws."""
    x = np.random.default_rng(0).uniform(-1, 1, (DRAWS, problem.size))
    return float(np.ptp(problem.user_oracle.values(x)[:, 0]))


def random_network(seed: int) -> Any:
    """Return 5 inputs and 6 x 50 ReLU units with He's weights."""
    keras.utils.set_random_seed(seed)
    he = keras.initializers.HeNormal()
    bias = keras.initializers.RandomNormal(stddev=0.3)
    layers = [
        keras.layers.Dense(50, "relu", kernel_initializer=he, bias_initializer=bias)
        for _ in range(6)
    ]
    return keras.Sequential([keras.Input((5,)), *layers, keras.layers.Dense(1)])


def highs(model: Any, seconds: float) -> tuple[float, float]:
    """Return bound and value of the mixed-integer program with big-M from intervals."""
    weights = [np.asarray(one, dtype=np.float64) for one in model.get_weights()]
    pairs = list(zip(weights[::2], weights[1::2], strict=True))
    n = pairs[0][0].shape[0]
    sizes = [W.shape[1] for W, _ in pairs[:-1]]
    total = n + 2 * sum(sizes)
    lower, upper = np.full(total, 0.0), np.full(total, 1.0)
    lower[:n], upper[:n] = -1.0, 1.0
    integrality = np.zeros(total)
    rows, least, most = [], [], []
    low, high, start, before = lower[:n], upper[:n], n, np.arange(n)
    for W, b in pairs[:-1]:
        k = W.shape[1]
        p, m = np.maximum(W, 0), np.minimum(W, 0)
        zl, zu = low @ p + high @ m + b, high @ p + low @ m + b
        h, d = np.arange(start, start + k), np.arange(start + k, start + 2 * k)
        upper[h], integrality[d] = np.maximum(zu, 0.0), 1
        for j in range(k):
            row = sp.lil_array((3, total))
            for line in range(2):
                row[line, h[j]] = 1.0
                row[line, before] = -W[:, j]
            row[1, d[j]] = -min(zl[j], 0.0)  # h <= z - l (1 - d)
            row[2, h[j]], row[2, d[j]] = 1.0, -max(zu[j], 0.0)
            rows.append(row)
            least += [b[j], -np.inf, -np.inf]
            most += [np.inf, b[j] - min(zl[j], 0.0), 0.0]
        low, high, before, start = np.maximum(zl, 0), np.maximum(zu, 0), h, start + 2 * k
    cost = np.zeros(total)
    cost[before] = -pairs[-1][0][:, 0]
    found = scipy.optimize.milp(
        cost,
        integrality=integrality,
        bounds=scipy.optimize.Bounds(lower, upper),
        constraints=scipy.optimize.LinearConstraint(sp.vstack(rows).tocsr(), least, most),
        options={"time_limit": seconds},
    )
    offset = float(pairs[-1][1][0])
    bound = np.inf if found.mip_dual_bound is None else offset - float(found.mip_dual_bound)
    value = -np.inf if found.x is None else offset - float(found.fun)
    return bound, value


class Cache:
    """What was measured, one JSON line for each model."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path is not None and path.exists() else []
        self._known = dict(json.loads(line) for line in lines)
        self.loads: list[float] = []

    def __call__(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what is known under a name, measured where it is new."""
        if name not in self._known:
            found = {**measure(), "load": os.getloadavg()[0]}
            self._known[name] = found
            print(name, found, flush=True)
            if self._path is not None:
                with self._path.open("a") as file:
                    file.write(json.dumps([name, found]) + "\n")
        found = self._known[name]
        self.loads.append(found["load"])
        return found


def one_surrogate(
    n: int, layers: int, units: int, activation: str, seconds: float, asked: float, seed: int
) -> dict[str, Any]:
    """Return what certify and HiGHS reach on one surrogate."""
    model = surrogate(n, layers, units, activation, seed)
    problem = cax.Problem(model, cax.Output(0), [cax.Box(-1, 1)])
    width = spread(problem)
    problem.user_oracle.structure()
    began = time.process_time()
    found = cax.certify(problem, rtol=0.0, atol=asked * width, budget=cax.Budget(seconds=seconds))
    spent = time.process_time() - began
    plain = None
    if activation == "relu":
        bound, value = highs(model, seconds)
        plain = bool((bound - value) / width <= asked)
    return {"gap": found.gap / width, "seconds": spent, "nodes": found.nodes, "highs": plain}


def surrogates(seeds: range, cache: Cache) -> list[str]:
    """Return the rows of a table of surrogates."""
    lines = []
    for given in SURROGATES:
        n, layers, units, activation, seconds, asked = given
        found = [
            cache(f"surrogate {given} {seed}", partial(one_surrogate, *given, seed))
            for seed in seeds
        ]
        within = sum(one["gap"] <= asked for one in found)
        plain = [one["highs"] for one in found]
        beside = "-" if plain[0] is None else f"{sum(plain)} of {len(plain)}"
        lines.append(
            f"| {n} | {layers} x {units} {activation} | {asked:g} in {seconds:g} s | "
            f"{within} of {len(found)} | {max(one['gap'] for one in found):.1e} | "
            f"{np.median([one['seconds'] for one in found]):.1f} s | "
            f"{int(np.median([one['nodes'] for one in found]))} | {beside} |"
        )
    return lines


def one_network(kind: str, seed: int, limit: float) -> dict[str, Any]:
    """Return what certify and HiGHS decide of the properties of one network."""
    model = random_network(seed) if kind == "random" else surrogate(5, 6, 50, "relu", seed)
    problem = cax.Problem(model, cax.Output(0), [cax.Box(-1, 1)])
    budget = cax.Budget(evaluations=5000)
    best = cax.solve(problem, starts=16, seed=seed, budget=budget, progress=False)
    width = spread(problem)
    bound, value = highs(model, limit)
    verdicts, nodes, spent, plain = [], [], [], []
    for share in SHARES:
        level, began = best.value + share * width, time.process_time()

        def settled(
            certificate: cax.Certificate, level: float = level, began: float = began
        ) -> bool:
            decided = certificate.best_value > level or certificate.dual_bound <= level
            return decided or time.process_time() - began >= limit

        endless = cax.Budget(seconds=1e6)
        found = cax.certify(problem, budget=endless, callback=settled)
        spent.append(time.process_time() - began)
        nodes.append(found.nodes)
        proven = found.dual_bound <= level
        verdicts.append("proven" if proven else "refuted" if found.best_value > level else "open")
        plain.append(bool(bound <= level or value > level))
    return {"verdicts": verdicts, "nodes": nodes, "seconds": spent, "highs": plain}


def properties(kind: str, seeds: range, limit: float, cache: Cache) -> list[str]:
    """Return the rows of a table of properties."""
    found = [
        cache(f"{kind} {seed} {limit:g}", partial(one_network, kind, seed, limit)) for seed in seeds
    ]
    lines = []
    for place, share in enumerate(SHARES):
        verdicts = [one["verdicts"][place] for one in found]
        counts = [verdicts.count(verdict) for verdict in ("proven", "refuted", "open")]
        lines.append(
            f"| {100 * share:+g} % | {counts[0]} | {counts[1]} | {counts[2]} | "
            f"{np.median([one['seconds'][place] for one in found]):.1f} s | "
            f"{int(np.median([one['nodes'][place] for one in found]))} | "
            f"{sum(one['highs'][place] for one in found)} |"
        )
    return lines


def main() -> None:
    """Measure, and write the page where asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", type=int, default=NETWORKS)
    parser.add_argument("--random", type=int, default=NETWORKS)
    parser.add_argument("--seconds", type=float, default=PROPERTY_SECONDS)
    given = parser.parse_args()
    cache = Cache(given.cache)
    tables = []
    for name, first in (("The seeds it was written with", 0), ("Untouched seeds", 100)):
        tables += ["", f"## {name}", ""]
        tables += ["| inputs | network | asked | reached | largest gap | seconds | boxes | HiGHS |"]
        tables += ["|---|---|---|---|---|---|---|---|"]
        tables += surrogates(range(first, first + given.seeds), cache)
    tables += [
        "",
        "## Properties of networks of 5 inputs and 6 x 50 units",
        "",
        "No input exceeds the best known value and a share of the range,",
        f"{given.seconds:g} s of the process for each property. HiGHS: how many of them it decides "
        "in as long by the clock.",
    ]
    for kind, name, count in (
        ("trained", "trained on the formulas above", given.networks),
        ("random", "of random weights, which no formula smooths", given.random),
    ):
        tables += ["", f"### Networks {name}: {count}", ""]
        tables += ["| level | proven | refuted | open | seconds | boxes | HiGHS |"]
        tables += ["|---|---|---|---|---|---|---|"]
        tables += properties(kind, range(count), given.seconds, cache)
    loads = f"between {min(cache.loads):.0f} and {max(cache.loads):.0f}"
    text = [
        "# Bounds that are proven",
        "",
        "Written by `docs/benchmarks/certificates.py`, on a machine of two cores with a load",
        f"{loads}. Limits of surrogates and of HiGHS are by the clock, times are the process's.",
        "Surrogates of smooth formulas over [-1, 1]: how many reach the gap (relative to the range",
        "over 1,000 draws) in the time, the largest gap, medians, and HiGHS's plain mixed-integer",
        "program with bounds from intervals in the same time. By the clock both had a part of a",
        "core.",
        *tables,
        "",
    ]
    if given.write:
        (HERE / "certificates.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()

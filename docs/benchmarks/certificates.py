"""Bounds proven for surrogates and networks: `python docs/benchmarks/certificates.py --write`.

Surrogates of smooth formulas, trained here, 2 to 8 inputs in [-1, 1]: the gap after so many
seconds, relative to the range over 1,000 draws. Networks of 5 inputs and 6 x 50 ReLU units, trained
and of random weights, with properties "no input exceeds v": v is the best known value and a share
of the range above or below it. Each is proven, refuted or open. Beside them HiGHS on the
mixed-integer program of the whole network, with bounds from intervals. All limits are of the
process's own CPU seconds, so that other work on the machine changes little: a property has 120 of
them, as much as 60 s on two cores.

Each run is one line of the file that `--cache` names; those that are there are not run again, and
`--finished` writes the page of them alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import highspy
import keras
import numpy as np
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
NETWORKS, PROPERTY_SECONDS = 10, 120.0
UNTOUCHED = 100  # the first of the seeds that nothing was chosen by
KINDS = {
    "trained": "trained on the formulas above",
    "random": "of random weights, which no formula smooths",
}
#: Tables of seeds: their name, and the first of them.
SEEDS = {"the seeds it was written with": 0, "untouched seeds": UNTOUCHED}
FEASIBLE = 2  # HiGHS's status of a point


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


def highs(model: Any, seconds: float) -> dict[str, Any]:
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
    matrix = sp.vstack(rows).tocsr()
    program = highspy.HighsLp()
    program.num_row_, program.num_col_ = matrix.shape
    program.col_cost_ = np.zeros(total)
    program.col_cost_[before] = -pairs[-1][0][:, 0]
    program.col_lower_, program.col_upper_ = lower, upper
    program.row_lower_, program.row_upper_ = np.array(least), np.array(most)
    program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    program.a_matrix_.start_ = matrix.indptr
    program.a_matrix_.index_ = matrix.indices
    program.a_matrix_.value_ = matrix.data
    kinds = highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger
    program.integrality_ = [kinds[int(one)] for one in integrality]
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.passModel(program)
    began = time.process_time()

    def stop(event: Any) -> None:
        event.data_in.user_interrupt = time.process_time() - began >= seconds

    solver.cbMipInterrupt += stop
    solver.run()
    found, offset = solver.getInfo(), float(pairs[-1][1][0])
    known = found.primal_solution_status == FEASIBLE
    return {
        "bound": offset - float(found.mip_dual_bound),
        "value": offset - float(found.objective_function_value) if known else -np.inf,
        "seconds": time.process_time() - began,
    }


class Cache:
    """What was measured, one JSON line for each model."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path is not None and path.exists() else []
        self._known = dict(json.loads(line) for line in lines)
        self.loads: list[float] = []

    def __getitem__(self, name: str) -> dict[str, Any] | None:
        found = self._known.get(name)
        if found is not None:
            self.loads.append(found["load"])
        return found

    def has(self, name: str) -> bool:
        """Whether a run is finished."""
        return name in self._known

    def __call__(self, name: str, measure: Callable[[], dict[str, Any]]) -> None:
        """Measure what is not known yet."""
        if self.has(name):
            return
        found = {**measure(), "load": os.getloadavg()[0]}
        self._known[name] = found
        print(name, found, flush=True)
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps([name, found]) + "\n")


def certified(
    problem: cax.Problem, seconds: float, settled: Callable[[cax.Certificate], bool], **options: Any
) -> tuple[cax.Certificate, float]:
    """Return what certify knows after so many seconds of the process, and the seconds it took."""
    began = time.process_time()
    found = cax.certify(
        problem,
        budget=cax.Budget(seconds=1e6),
        callback=lambda one: settled(one) or time.process_time() - began >= seconds,
        **options,
    )
    return found, time.process_time() - began


def one_surrogate(
    n: int, layers: int, units: int, activation: str, seconds: float, asked: float, seed: int
) -> dict[str, Any]:
    """Return what certify reaches on one surrogate."""
    model = surrogate(n, layers, units, activation, seed)
    problem = cax.Problem(model, cax.Output(0), [cax.Box(-1, 1)])
    width = spread(problem)
    problem.user_oracle.structure()
    found, spent = certified(problem, seconds, lambda one: one.proven, rtol=0.0, atol=asked * width)
    return {"gap": found.gap / width, "seconds": spent, "nodes": found.nodes, "range": width}


def network(kind: str, seed: int) -> Any:
    """Return 5 inputs and 6 x 50 units."""
    return random_network(seed) if kind == "random" else surrogate(5, 6, 50, "relu", seed)


def network_name(kind: str, seed: int, limit: float) -> str:
    """Return what the cache calls the properties of one network."""
    return f"{kind} {seed} {limit:g}"


def program(make: Callable[..., Any], arguments: tuple[Any, ...], seconds: float) -> dict[str, Any]:
    """Return what HiGHS reaches on one network."""
    return highs(make(*arguments), seconds)


def one_network(kind: str, seed: int, limit: float) -> dict[str, Any]:
    """Return what certify decides of the properties of one network."""
    problem = cax.Problem(network(kind, seed), cax.Output(0), [cax.Box(-1, 1)])
    best = cax.solve(
        problem, starts=16, seed=seed, budget=cax.Budget(evaluations=5000), progress=False
    )
    width = spread(problem)
    verdicts, nodes, spent = [], [], []
    for share in SHARES:
        level = best.value + share * width

        def settled(found: cax.Certificate, level: float = level) -> bool:
            return found.best_value > level or found.dual_bound <= level

        found, seconds = certified(problem, limit, settled)
        spent.append(seconds)
        nodes.append(found.nodes)
        proven = found.dual_bound <= level
        verdicts.append("proven" if proven else "refuted" if found.best_value > level else "open")
    return {
        "verdicts": verdicts,
        "nodes": nodes,
        "seconds": spent,
        "levels": [best.value + share * width for share in SHARES],
    }


def jobs(given: argparse.Namespace) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield the runs: one seed of every surrogate after the other, then the networks."""
    programs = given.run != "certify"
    for seed in (first + k for k in range(given.seeds) for first in SEEDS.values()):
        for one in SURROGATES:
            if given.run != "programs":
                yield f"surrogate {one} {seed}", partial(one_surrogate, *one, seed)
            if programs and one[3] == "relu":
                yield f"program {one} {seed}", partial(program, surrogate, (*one[:4], seed), one[4])
    for kind in KINDS:
        asked = [(kind, first + k) for first in SEEDS.values() for k in range(given.networks)]
        for one in asked if given.run != "programs" else ():
            yield network_name(*one, given.seconds), partial(one_network, *one, given.seconds)
        for one in asked if programs else ():
            name = f"program {network_name(*one, given.seconds)}"
            yield name, partial(program, network, one, given.seconds)


def surrogates(seeds: range, cache: Cache) -> Iterator[str]:
    """Yield the rows of a table of surrogates."""
    for given in SURROGATES:
        n, layers, units, activation, seconds, asked = given
        runs = [(cache[f"surrogate {given} {k}"], cache[f"program {given} {k}"]) for k in seeds]
        found = [one for one, _ in runs if one is not None]
        if not found:
            continue
        plain = [
            (other["bound"] - other["value"]) / one["range"] <= asked
            for one, other in runs
            if one is not None and other is not None
        ]
        within = sum(one["gap"] <= asked for one in found)
        yield (
            f"| {n} | {layers} x {units} {activation} | {asked:g} in {seconds:g} s | "
            f"{within} of {len(found)} | {max(one['gap'] for one in found):.1e} | "
            f"{np.median([one['seconds'] for one in found]):.1f} s | "
            f"{int(np.median([one['nodes'] for one in found]))} | "
            f"{f'{sum(plain)} of {len(plain)}' if plain else '-'} |"
        )


def properties(names: list[str], cache: Cache) -> Iterator[str]:
    """Yield the rows of a table of properties."""
    runs = [(cache[name], cache[f"program {name}"]) for name in names]
    found = [one for one, _ in runs if one is not None]
    for place, share in enumerate(SHARES):
        verdicts = [one["verdicts"][place] for one in found]
        counts = [verdicts.count(verdict) for verdict in ("proven", "refuted", "open")]
        plain = [
            not other["value"] <= one["levels"][place] < other["bound"]
            for one, other in runs
            if one is not None and other is not None
        ]
        yield (
            f"| {100 * share:+g} % | {len(found)} | {counts[0]} | {counts[1]} | {counts[2]} | "
            f"{np.median([one['seconds'][place] for one in found]):.1f} s | "
            f"{int(np.median([one['nodes'][place] for one in found]))} | "
            f"{f'{sum(plain)} of {len(plain)}' if plain else '-'} |"
        )


def page(given: argparse.Namespace, cache: Cache) -> str:
    """Return the page of what is known."""
    tables = []
    for name, first in SEEDS.items():
        tables += ["", f"## {name.capitalize()}", ""]
        tables += ["| inputs | network | asked | reached | largest gap | seconds | boxes | HiGHS |"]
        tables += ["|---|---|---|---|---|---|---|---|"]
        tables += surrogates(range(first, first + given.seeds), cache)
    tables += [
        "",
        "## Properties of networks of 5 inputs and 6 x 50 units",
        "",
        "No input exceeds the best known value and a share of the range. A property is open where",
        f"{given.seconds:g} s of the processor, as many as {given.seconds / 2:g} s on two cores, "
        "are over first.",
        "HiGHS: how many it decides in as long.",
    ]
    for (kind, words), (seeds, first) in itertools.product(KINDS.items(), SEEDS.items()):
        for limit in (
            given.seconds,
            given.seconds / 2,
        ):  # of an earlier run, where there is no other
            names = [network_name(kind, first + k, limit) for k in range(given.networks)]
            if any(map(cache.has, names)):
                break
        done, plain = (
            sum(cache.has(f"{prefix}{name}") for name in names) for prefix in ("", "program ")
        )
        if not done:
            continue
        tables += ["", f"### Networks {words}: {seeds}", ""]
        if done < given.networks or plain < given.networks:
            finished = f"Finished: {done} of {given.networks} networks, HiGHS on {plain}"
            earlier = "" if limit == given.seconds else ", measured with an earlier version"
            tables += [f"{finished}, {limit:g} s for each property{earlier}.", ""]
        tables += ["| level | networks | proven | refuted | open | seconds | boxes | HiGHS |"]
        tables += ["|---|---|---|---|---|---|---|---|"]
        tables += properties(names, cache)
    loads = f"between {min(cache.loads):.0f} and {max(cache.loads):.0f}"
    return "\n".join(
        [
            "# Bounds that are proven",
            "",
            "Written by `docs/benchmarks/certificates.py`, on a machine of two cores with a load",
            f"{loads}. Seconds are the process's own CPU seconds, and so are all limits; the",
            "counts of boxes do not depend on the machine. HiGHS is its plain mixed-integer",
            "program of the whole network, with bounds from intervals, for as long.",
            "",
            "Surrogates of smooth formulas over [-1, 1]: how many reach the gap (relative to the",
            "range over 1,000 draws) in the time, the largest gap, and medians.",
            *tables,
            "",
        ]
    )


def main() -> None:
    """Measure, and write the page where asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--finished", action="store_true", help="of finished runs alone")
    parser.add_argument("--run", choices=["all", "certify", "programs"], default="all")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", type=int, default=NETWORKS)
    parser.add_argument("--seconds", type=float, default=PROPERTY_SECONDS)
    given = parser.parse_args()
    cache = Cache(given.cache)
    for name, measure in () if given.finished else jobs(given):
        cache(name, measure)
    if given.write:
        (HERE / "certificates.md").write_text(page(given, cache), encoding="utf-8")


if __name__ == "__main__":
    main()

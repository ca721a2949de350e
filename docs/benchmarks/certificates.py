"""Bounds proven for surrogates and networks: `python docs/benchmarks/certificates.py --write`.

Surrogates of smooth formulas, trained here, 2 to 8 inputs in [-1, 1]: the gap after so many
seconds, relative to the range over 1,000 draws. Networks of 5 inputs and 6 x 50 ReLU units with
properties "no input exceeds v": v is the best known value and a share of the range above or below
it. Each is proven, refuted or open. Beside them HiGHS on the mixed-integer program of the whole
network, with bounds from intervals.
"""

from __future__ import annotations

import argparse
import time
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


def surrogates(seeds: range) -> list[str]:
    """Return the rows of the first table."""
    lines = []
    for n, layers, units, activation, seconds, asked in SURROGATES:
        gaps, times, boxes, plain = [], [], [], []
        for seed in seeds:
            model = surrogate(n, layers, units, activation, seed)
            problem = cax.Problem(model, cax.Output(0), [cax.Box(-1, 1)])
            width = spread(problem)
            problem.user_oracle.structure()
            found = cax.certify(
                problem, rtol=0.0, atol=asked * width, budget=cax.Budget(seconds=seconds)
            )
            gaps.append(found.gap / width)
            times.append(found.seconds)
            boxes.append(found.nodes)
            if activation == "relu":
                bound, value = highs(model, seconds)
                plain.append((bound - value) / width <= asked)
        within = sum(gap <= asked for gap in gaps)
        beside = f"{sum(plain)} of {len(plain)}" if plain else "-"
        lines.append(
            f"| {n} | {layers} x {units} {activation} | {asked:g} in {seconds:g} s | "
            f"{within} of {len(gaps)} | {max(gaps):.1e} | {np.median(times):.1f} s | "
            f"{int(np.median(boxes))} | {beside} |"
        )
        print(lines[-1], flush=True)
    return lines


def properties(seeds: range, limit: float) -> list[str]:
    """Return the rows of the second table."""
    decided = {share: [0, 0, 0] for share in SHARES}
    by_highs = dict.fromkeys(SHARES, 0)
    for seed in seeds:
        model = random_network(seed)
        problem = cax.Problem(model, cax.Output(0), [cax.Box(-1, 1)])
        best = max(
            cax.solve(problem, starts=16, seed=seed, budget=cax.Budget(evaluations=5000)).value,
            -1e9,
        )
        width = spread(problem)
        asked = {share: best + share * width for share in SHARES}
        bound, value = highs(model, limit)
        for share, level in asked.items():

            def settled(certificate: cax.Certificate, level: float = level) -> bool:
                return certificate.best_value > level or certificate.dual_bound <= level

            began = time.perf_counter()
            found = cax.certify(problem, budget=cax.Budget(seconds=limit), callback=settled)
            verdict = 0 if found.dual_bound <= level else 1 if found.best_value > level else 2
            decided[share][verdict] += 1
            by_highs[share] += bound <= level or value > level
            seconds = time.perf_counter() - began
            print(
                seed, share, ("proven", "refuted", "open")[verdict], found.nodes, f"{seconds:.1f}"
            )
    return [
        f"| {100 * share:+g} % | {counts[0]} | {counts[1]} | {counts[2]} | {by_highs[share]} |"
        for share, counts in decided.items()
    ]


def main() -> None:
    """Measure, and write the page where asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", type=int, default=NETWORKS)
    parser.add_argument("--seconds", type=float, default=PROPERTY_SECONDS)
    given = parser.parse_args()
    text = [
        "# Bounds that are proven",
        "",
        "Written by `docs/benchmarks/certificates.py`, on a machine of two cores that had other",
        "work to do. Surrogates of smooth formulas over [-1, 1]: how many reach the gap (relative",
        "to the range over 1,000 draws) in the time, the largest gap, medians, and HiGHS's plain",
        "mixed-integer program with bounds from intervals in the same time.",
    ]
    for name, first in (("The seeds it was written with", 0), ("Untouched seeds", 100)):
        text += ["", f"## {name}", ""]
        text += ["| inputs | network | asked | reached | largest gap | time | boxes | HiGHS |"]
        text += ["|---|---|---|---|---|---|---|---|"]
        text += surrogates(range(first, first + given.seeds))
    text += [
        "",
        "## Properties of networks of 5 inputs and 6 x 50 units",
        "",
        "No input exceeds the best known value and a share of the range; "
        f"{given.networks} networks of random weights,",
        f"{given.seconds:g} s each. HiGHS: how many of them it decides.",
        "",
        "| level | proven | refuted | open | HiGHS |",
        "|---|---|---|---|---|",
        *properties(range(given.networks), given.seconds),
        "",
    ]
    if given.write:
        (HERE / "certificates.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()

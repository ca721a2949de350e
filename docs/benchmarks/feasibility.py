"""Find an input that keeps all limits: `python docs/benchmarks/feasibility.py --write`.

Four networks trained here, or drawn where they have to be flat, with two to five limits on their
outputs: scores of manoeuvres (5 inputs, 6 x 50 ReLU units), a controller with the state that it
leads to (4 inputs, 2 x 64), log densities of narrow mixtures (6 inputs, 3 x 64), and one of 8 units
(5 inputs) that is constant over 95 % of the box. Limits are common quantiles of the outputs,
so that the feasible share of the box is 1e-2 to 1e-5: bounds are set by 1,000,000 uniform draws and
the shares measured by 10,000,000 others. A quarter of the questions are infeasible as far as is
known, each bound beyond the largest slack known by a twentieth of what its function changes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import constrained_actmax as cax

HERE = Path(__file__).resolve().parent
DRAWS, MEASURED, BUDGET = 1_000_000, 10_000_000, 2000
SEEDS = {"tuned on": (0, 1), "untouched": (100, 101)}
#: By family of questions: those of each volume, of four that are made.
VOLUMES = {1e-2: 4, 1e-3: 3, 1e-4: 3, 1e-5: 2}
MARGIN = 5e-3  # share of the box beyond which a question is feasible by a margin
INFEASIBLE, TIGHTER = 4, 0.05  # questions of a family; by so much beyond the best slack known
STARTS, START_SEEDS = (1, 4, 16, 64), range(200, 220)
FAMILIES = ("manoeuvres", "controller", "density", "flat")
SIZES = {"manoeuvres": (5, [50] * 6, 12), "controller": (4, [64] * 2, 8)}
SIZES |= {"density": (6, [64] * 3, 10)}
RIVALS = ("uniform draws", "projected Adam", "Auto-PGD", "SLSQP multistart")
OURS = ("find_feasible", "auto")


def manoeuvres(x: np.ndarray) -> np.ndarray:
    """Return how near two vehicles come after each of five turns."""
    r, angle, course = 0.2 + x[:, 0], 2 * np.pi * (x[:, 1] - 0.5), 2 * np.pi * (x[:, 2] - 0.5)
    own, other = 0.5 + x[:, 3], 0.5 + x[:, 4]
    rx, ry = r * np.cos(angle), r * np.sin(angle)
    vx, vy = other * np.cos(course) - own, other * np.sin(course)
    scores = []
    for turn in (0, 0.25, -0.25, 0.6, -0.6):
        wx, wy = (
            vx * np.cos(turn) + vy * np.sin(turn),
            -vx * np.sin(turn) + vy * np.cos(turn),
        )
        when = np.clip(-(rx * wx + ry * wy) / (wx**2 + wy**2 + 0.05), 0, 3)
        apart = np.hypot(rx + when * wx, ry + when * wy)
        scores.append(np.exp(-4 * apart) + 0.15 * abs(turn))
    return np.stack(scores, 1)


def controller(x: np.ndarray) -> np.ndarray:
    """Return the saturated force on a cart with a pole, and the state after it."""
    s = 4 * x - 2
    force = np.clip(s @ np.array([0.8, 1.2, -3.0, -1.1]), -1, 1)
    rates = [s[:, 1], force - 0.4 * np.sin(2 * s[:, 2]), s[:, 3]]
    rates.append(1.5 * np.sin(s[:, 2]) - force * np.cos(s[:, 2]))
    return np.concatenate([force[:, None], s + 0.3 * np.stack(rates, 1)], 1)


def density(x: np.ndarray) -> np.ndarray:
    """Return the logarithms of four mixtures of three narrow bells."""
    rng, found = np.random.default_rng(5), []
    for _ in range(4):
        middles, widths = rng.uniform(0.1, 0.9, (3, 6)), rng.uniform(0.12, 0.25, 3)
        far = ((x[:, None] - middles) ** 2).sum(2) / widths**2 / 2
        found.append(np.log(np.exp(-far).sum(1) + 1e-3))
    return np.stack(found, 1)


def weights_of(family: str) -> list[np.ndarray]:
    """Return the weights of a family's network: trained, or drawn for the flat one."""
    if family == "flat":
        rng = np.random.default_rng(11)
        w = rng.choice([-1, 1], (5, 8)) * rng.uniform(0.6, 1.4, (5, 8))
        draws = rng.uniform(size=(20000, 5))
        b = -np.quantile(draws @ w, 0.993, axis=0)
        return [w, b, rng.standard_normal((8, 5)), rng.standard_normal(5) * 0.1]
    import keras

    n, units, epochs = SIZES[family]
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).uniform(size=(20000, n))
    y = {"manoeuvres": manoeuvres, "controller": controller, "density": density}[family](x)
    y = (y - y.mean(0)) / y.std(0)
    model = network(n, units, y.shape[1])
    model.compile("adam", "mse")
    model.fit(x, y, epochs=epochs, batch_size=128, verbose=0)
    return [np.asarray(one, dtype=np.float64) for one in model.get_weights()]


def network(n: int, units: list[int], outputs: int, dtype: str | None = None) -> Any:
    """Return a ReLU network of this size."""
    import keras

    layers = [keras.layers.Dense(one, "relu", dtype=dtype) for one in units]
    last = keras.layers.Dense(outputs, dtype=dtype)
    return keras.Sequential([keras.Input((n,), dtype=dtype), *layers, last])


def values(weights: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """Return the outputs (B, m) in NumPy."""
    for w, b in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        x = np.maximum(x @ w + b, 0)
    return x @ weights[-2] + weights[-1]


def slopes(weights: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """Return their Jacobians (B, m, n)."""
    active = []
    for w, b in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        x = x @ w + b
        active.append(x > 0)
        x = np.maximum(x, 0)
    found = np.repeat(weights[-2].T[np.newaxis], len(x), 0)
    for w, on in zip(weights[-4::-2], active[::-1], strict=True):
        found = (found * on[:, np.newaxis]) @ w.T
    return found


class Question:
    """Limits A y <= t on the outputs y of a network over the unit box.

    Parameters
    ----------
    weights : list of numpy.ndarray
        Of the network.
    a, t : numpy.ndarray, shapes (m, outputs) and (m,)
        The limits.
    volume : float
        Feasible share of the box among the draws; 0 for infeasible ones.
    """

    def __init__(
        self, weights: list[np.ndarray], a: np.ndarray, t: np.ndarray, volume: float
    ) -> None:
        self.weights, self.a, self.t, self.volume = weights, a, t, volume
        self.n = weights[0].shape[0]

    def constraints(self) -> list[Any]:
        """Return the limits as a user writes them."""
        limits = []
        for row, bound in zip(self.a, self.t, strict=True):
            terms = [float(v) * cax.Output(k) for k, v in enumerate(row) if v]
            total = terms[0] if len(terms) == 1 else terms[0] + terms[1]
            limits.append(total <= float(bound))
        return [cax.Box(0, 1), *limits]


class Spent(Exception):  # noqa: N818 - a signal
    """The budget is used up, or a feasible point found."""


class Counted:
    """The excess of a question's limits, counted; the sizes are those of the library.

    Parameters
    ----------
    question : Question
        What is asked.
    sizes : numpy.ndarray, shape (m,)
        What each excess is divided by.
    """

    def __init__(self, question: Question, sizes: np.ndarray) -> None:
        self.question, self.sizes, self.used = question, sizes, 0
        self.first: int | None = None

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return excess (B, m) and slopes (B, m, n) at rows x."""
        x, q = x[: BUDGET - self.used], self.question
        h = (values(q.weights, x) @ q.a.T - q.t) / self.sizes
        feasible = np.flatnonzero(h.max(1) <= 0)
        if feasible.size:
            self.first = self.used + int(feasible[0]) + 1
        self.used += len(x)
        if self.first is not None or self.used >= BUDGET:
            raise Spent
        return h, np.einsum("mo,bon->bmn", q.a, slopes(q.weights, x)) / self.sizes[:, np.newaxis]


Rival = Callable[[Counted, np.random.Generator], None]


def largest(h: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest excess of each row, and its slope."""
    rows, worst = np.arange(len(h)), h.argmax(1)
    return h[rows, worst], g[rows, worst]


def uniform_draws(ask: Counted, rng: np.random.Generator) -> None:
    """Evaluate uniform draws."""
    while True:
        ask(rng.uniform(size=(64, ask.question.n)))


def projected_adam(ask: Counted, rng: np.random.Generator) -> None:
    """Minimise the largest excess by Adam and clipping, 20 draws side by side, 100 steps."""
    while True:
        x = rng.uniform(size=(20, ask.question.n))
        mean, square = np.zeros_like(x), np.zeros_like(x)
        for step in range(1, 101):
            _, g = largest(*ask(x))
            mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g
            size = np.sqrt(square / (1 - 0.999**step)) + 1e-8
            x = np.clip(x - 0.05 * mean / (1 - 0.9**step) / size, 0, 1)


def auto_pgd(ask: Counted, rng: np.random.Generator) -> None:
    """The same by Auto-PGD (Croce and Hein 2020), Euclidean steps from the box's width."""
    marks = [0.0, 0.22]
    while marks[-1] < 1:
        marks.append(marks[-1] + max(marks[-1] - marks[-2] - 0.03, 0.06))
    checks = [int(np.ceil(100 * one)) for one in marks]
    while True:
        x = rng.uniform(size=(20, ask.question.n))
        v, g = largest(*ask(x))
        length, before = np.ones(20), x
        best_x, best_v, best_g = x, v, g
        gains, at_check, length_then, checked = np.zeros(20), v, length, 1
        for step in range(1, 100):
            unit = g / np.maximum(np.linalg.norm(g, axis=1, keepdims=True), 1e-12)
            z = np.clip(x - length[:, np.newaxis] * unit, 0, 1)
            share = 0.75 if step > 1 else 1.0
            x, before = np.clip(x + share * (z - x) + (1 - share) * (x - before), 0, 1), x
            last, (v, g) = v, largest(*ask(x))
            gains += v < last
            better = v < best_v
            best_v = np.where(better, v, best_v)
            best_x = np.where(better[:, np.newaxis], x, best_x)
            best_g = np.where(better[:, np.newaxis], g, best_g)
            if checked < len(checks) and step == checks[checked]:
                few = gains < 0.75 * (checks[checked] - checks[checked - 1])
                halved = few | ((length_then == length) & (at_check == best_v))
                at_check, length_then = best_v, length
                length = np.where(halved, length / 2, length)
                x = np.where(halved[:, np.newaxis], best_x, x)
                v, g = np.where(halved, best_v, v), np.where(halved[:, np.newaxis], best_g, g)
                gains, checked = np.zeros(20), checked + 1


def slsqp(ask: Counted, rng: np.random.Generator) -> None:
    """Minimise z subject to excess <= z by SciPy's SLSQP, from one draw after the other."""
    from scipy.optimize import minimize

    n, m = ask.question.n, len(ask.sizes)
    while True:
        seen: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

        def at(
            y: np.ndarray, seen: dict[bytes, tuple[np.ndarray, np.ndarray]] = seen
        ) -> tuple[np.ndarray, np.ndarray]:
            key = y[:n].tobytes()
            if key not in seen:
                seen.clear()
                h, g = ask(np.clip(y[np.newaxis, :n], 0, 1))
                seen[key] = h[0], g[0]
            return seen[key]

        start = np.append(rng.uniform(size=n), 0.0)
        start[n] = at(start)[0].max()
        minimize(
            lambda y: y[n],
            start,
            jac=lambda y: np.append(np.zeros(n), 1.0),
            method="SLSQP",
            bounds=[(0, 1)] * n + [(None, None)],
            constraints={
                "type": "ineq",
                "fun": lambda y: y[n] - at(y)[0],
                "jac": lambda y: np.hstack([-at(y)[1], np.ones((m, 1))]),
            },
        )


RUNNERS: dict[str, Rival] = dict(
    zip(RIVALS, (uniform_draws, projected_adam, auto_pgd, slsqp), strict=True)
)


def quantiles(
    c: np.ndarray, volume: float, share: float, below: float | None
) -> tuple[np.ndarray, float]:
    """Return the common quantile of all columns that leaves this feasible volume, and the volume.

    `share` is that of the box that the rows stand for; `below` is what the first bound is at most.
    """
    ordered = np.sort(c[:200_000], 0)
    low, high = 0.0, 1.0

    def bounds(q: float) -> np.ndarray:
        t = np.array([np.quantile(one, q) for one in ordered.T])
        if below is not None:
            t[0] = min(t[0], below)
        return t

    for _ in range(40):
        middle = (low + high) / 2
        if (c <= bounds(middle)).all(1).mean() * share > volume:
            high = middle
        else:
            low = middle
    t = bounds(low if below is not None else high)
    return t, float((c <= t).all(1).mean() * share)


def made(family: str, weights: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Return four questions of each volume: limits A, t, and the volume measured."""
    n, outputs = weights[0].shape[0], weights[-1].size
    x = np.random.default_rng(99).uniform(size=(DRAWS, n))
    y = np.concatenate([values(weights, part) for part in np.array_split(x, 20)])
    flat = family == "flat"
    rng = np.random.default_rng(3 if flat else 1000)
    alive = (np.abs(y - weights[-1]) > 1e-12).any(1) if flat else np.ones(len(y), dtype=bool)
    found = []
    for number in range(16):
        volume, m = list(VOLUMES)[number // 4], 2 + number % 4
        for _ in range(50):
            a = np.zeros((m, outputs))
            if flat:  # the first limit breaks where the network is constant
                for row, place in enumerate(rng.choice(outputs, m, replace=False)):
                    a[row, place] = rng.choice([-1, 1])
            else:
                for row in range(m):
                    if rng.random() < 0.5:
                        a[row, rng.choice(outputs, 2, replace=False)] = 1, -1
                    else:
                        a[row, rng.integers(outputs)] = rng.choice([-1, 1])
            constant = weights[-1] if flat else np.zeros(outputs)
            c = (y[alive] - constant) @ a.T
            spread = c.std(0)
            a, c = a / spread[:, np.newaxis], c / spread
            share = float(alive.mean())
            t, measured = quantiles(c, volume, share, -0.02 if flat else None)
            if not flat or 0.2 * volume <= measured <= 2 * volume:
                break
        found.append((a, t + a @ constant, measured))
    return found


def questions(family: str, cache: Path) -> tuple[list[Question], cax.Oracle]:
    """Return the questions of a family and its oracle; made once for a cache."""
    stored = cache / f"questions-{family}.pkl"
    if stored.exists():
        weights, rows = pickle.loads(stored.read_bytes())
    else:
        weights = weights_of(family)
        rows = made(family, weights)
        stored.write_bytes(pickle.dumps((weights, rows)))
    n, units = weights[0].shape[0], [one.size for one in weights[1:-2:2]]
    model = network(n, units, weights[-1].size, "float64")
    model.set_weights(weights)
    oracle = cax.Oracle(model, xla=False)  # compiling costs more than these runs
    rare = [Question(weights, *row) for row in rows]
    chosen = [
        rare[4 * place + k] for place, count in enumerate(VOLUMES.values()) for k in range(count)
    ]
    stored = cache / f"infeasible-{family}.json"
    if not stored.exists():
        bounds = []
        for one in rare[-INFEASIBLE:]:
            most = cax.find_feasible(
                oracle, one.constraints(), seed=7, budget=cax.Budget(evaluations=BUDGET)
            )
            tighter = (most.value + TIGHTER) * sizes_of(most)
            bounds.append((one.t - tighter).tolist())
        stored.write_text(json.dumps(bounds))
    for one, t in zip(rare[-INFEASIBLE:], json.loads(stored.read_text()), strict=True):
        chosen.append(Question(weights, one.a, np.array(t), 0.0))
    return chosen, oracle


def shares(family: str, asked: list[Question], cache: Path) -> list[float]:
    """Return the feasible share of the box for each question, by draws of their own; kept."""
    stored = cache / f"shares-{family}.json"
    if not stored.exists():
        rng, inside = np.random.default_rng(2026), np.zeros(len(asked))
        for _ in range(MEASURED // 100_000):
            y = values(asked[0].weights, rng.uniform(size=(100_000, asked[0].n)))
            inside += [(y @ one.a.T <= one.t).all(1).sum() for one in asked]
        stored.write_text(json.dumps((inside / MEASURED).tolist()))
    found: list[float] = json.loads(stored.read_text())
    return found


def sizes_of(result: cax.Result) -> np.ndarray:
    """Return the sizes of the limits, as the library measures them."""
    return np.array([one[0] for one in result.settings["scales"]["constraints"]])


def run(
    method: str, question: Question, oracle: cax.Oracle, seed: int, sizes: np.ndarray, starts: int
) -> tuple[int | None, str]:
    """Return the evaluations until the first feasible point, None without one, and the message."""
    if method in RUNNERS:
        ask = Counted(question, sizes)
        with contextlib.suppress(Spent):
            RUNNERS[method](ask, np.random.default_rng([seed, 17]))
        return ask.first, ""
    budget = cax.Budget(evaluations=BUDGET)
    # What is paired shares its first start.
    paired = seed in START_SEEDS
    x0 = np.random.default_rng([seed, 19]).uniform(size=question.n) if paired else None
    if method == "find_feasible":
        result = cax.find_feasible(
            oracle, question.constraints(), seed=seed, starts=starts, budget=budget, target=0
        )
    else:  # any feasible point is as good as this
        result = cax.maximize(
            oracle,
            cax.Output(0),
            question.constraints(),
            x0=x0,
            seed=seed,
            starts=starts,
            budget=budget,
            target=-1e9,
        )
    if not result.feasible:
        return None, f"{result.status.name}: {result.message}"
    h = values(question.weights, result.flat[np.newaxis]) @ question.a.T - question.t
    allowed = result.settings["feasibility_tolerance"] * sizes
    assert (h[0] <= 2 * allowed + 1e-9).all(), "a false feasible point"
    return result.nfev, result.status.name


def measured(cache: Path) -> list[dict[str, Any]]:
    """Run what is not in the cache yet; return all."""
    kept = cache / "runs.jsonl"
    lines = kept.read_text().splitlines() if kept.exists() else []
    found = [json.loads(line) for line in lines]
    done = {
        (one["family"], one["question"], one["method"], one["seed"], one["starts"]) for one in found
    }
    with kept.open("a") as file:
        plan: list[tuple[str, int, str, int, int]] = []
        asked = {family: questions(family, cache) for family in FAMILIES}
        rows = [
            (family, number, one)
            for family, (listed, _) in asked.items()
            for number, one in enumerate(listed)
        ]
        for seed in [seed for pair in zip(*SEEDS.values(), strict=True) for seed in pair]:
            plan += [
                (family, number, name, seed, 1)
                for family, number, one in rows
                for name in (*OURS, *RIVALS)
                if one.volume
            ]
        for seed in START_SEEDS:
            for family, (listed, _) in asked.items():
                rarest = max(k for k, one in enumerate(listed) if one.volume)
                plan += [(family, rarest, "auto", seed, count) for count in STARTS]
        # Only the library can call a point feasible that is not.
        plan += [
            (family, number, name, seeds[0], 1)
            for seeds in SEEDS.values()
            for family, number, one in rows
            for name in OURS
            if not one.volume
        ]
        sizes: dict[tuple[str, int], np.ndarray] = {}
        for family, number, method, seed, starts in plan:
            if (family, number, method, seed, starts) in done:
                continue
            listed, oracle = asked[family]
            one, key = listed[number], (family, number)
            if key not in sizes:
                scaled = cax.Problem(oracle, cax.Output(0), one.constraints()).scales
                sizes[key] = np.concatenate(scaled.written)
            first, said = run(method, one, oracle, seed, sizes[key], starts)
            row = {"family": family, "question": number, "method": method, "seed": seed}
            row |= {"starts": starts, "volume": one.volume, "limits": len(one.t), "first": first}
            row["said"] = said
            found.append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()
    return found


def tables(found: list[dict[str, Any]]) -> str:
    """Return the page's tables."""
    lines = []
    for name, seeds in SEEDS.items():
        lines += [f"## Seeds {name}", ""]
        lines += [
            "| family | method | found | median evaluations | by volume |",
            "|---|---|---|---|---|",
        ]
        for family in FAMILIES:
            for method in (*OURS, *RIVALS):
                rows = [
                    one
                    for one in found
                    if one["family"] == family
                    and one["method"] == method
                    and one["seed"] in seeds
                    and one["volume"]
                ]
                if not rows:
                    continue
                firsts = [np.inf if one["first"] is None else one["first"] for one in rows]
                middle = float(np.median(firsts))
                parts = []
                for volume in VOLUMES:
                    some = [
                        one["first"] is not None
                        for one in rows
                        if 0.2 * volume <= one["volume"] <= 2 * volume
                    ]
                    parts.append(f"{volume:.0e}: {sum(some)} of {len(some)}")
                shown = f"{middle:.0f}" if np.isfinite(middle) else "–"
                lines.append(
                    f"| {family} | {method} | {int(np.isfinite(firsts).sum())} of {len(firsts)} "
                    f"| {shown} | {', '.join(parts)} |"
                )
        lines += ["", *infeasible([one for one in found if one["seed"] in seeds])]
    by: dict[int, dict[tuple[str, int, int], bool]] = {}
    for one in found:
        if one["seed"] in START_SEEDS:
            key = one["family"], one["question"], one["seed"]
            by.setdefault(one["starts"], {})[key] = one["first"] is not None
    if by:
        lines += [
            "## Starts",
            "",
            "| starts | found | against one start, paired | against the row above, paired |",
            "|---|---|---|---|",
        ]
    above = 1
    for count, rows_ in sorted(by.items()):
        parts = []
        for other in (1, above):
            gains = np.array([rows_[key] - float(by[other][key]) for key in rows_])
            error = gains.std() / np.sqrt(len(gains))
            parts.append(f"{100 * gains.mean():+.1f} ± {100 * error:.1f} % of the runs")
        lines.append(f"| {count} | {sum(rows_.values())} of {len(rows_)} | {' | '.join(parts)} |")
        above = count
    return "\n".join([*lines, ""])


def infeasible(found: list[dict[str, Any]]) -> list[str]:
    """Return the lines on questions without a feasible point."""
    lines = ["| infeasible questions | runs | called feasible | INFEASIBLE: of what |"]
    lines.append("|---|---|---|---|")
    for method in OURS:
        rows = [one for one in found if one["method"] == method and not one["volume"]]
        if not rows:
            continue
        said = [one["said"] for one in rows if one["said"].startswith("INFEASIBLE")]
        reasons = {
            "the budget spent": sum("evaluations kept all constraints" in one for one in said),
            "a certificate": sum("certificate" in one for one in said),
            "a proof": sum("proven" in one for one in said),
        }
        shown = ", ".join(f"{reason} {count}" for reason, count in reasons.items() if count)
        called = sum(one["first"] is not None for one in rows)
        lines.append(f"| {method} | {len(rows)} | {called} | {len(said)}: {shown} |")
    return [*lines, ""]


def planned() -> int:
    """Return how many runs there are in all."""
    sets, seeds = len(SEEDS), sum(map(len, SEEDS.values()))
    feasible = sum(VOLUMES.values()) * (len(OURS) + len(RIVALS)) * seeds
    one = feasible + INFEASIBLE * len(OURS) * sets + len(START_SEEDS) * len(STARTS)
    return len(FAMILIES) * one


def volumes(cache: Path) -> str:
    """Return the table of what is asked."""
    lines = ["| family | limits and feasible share of the box, question by question |", "|---|---|"]
    known: list[float] = []
    for family in FAMILIES:
        listed, _ = questions(family, cache)
        known += [one.volume for one in listed]
        parts = [
            f"{len(one.t)}: {share:.1e}" if one.volume else f"{len(one.t)}: none ({share:.0e})"
            for one, share in zip(listed, shares(family, listed, cache), strict=True)
        ]
        lines.append(f"| {family} | {', '.join(parts)} |")
    none = known.count(0.0)
    wide = sum(one > MARGIN for one in known)
    count = (
        f"Of {len(known)} questions {none} are infeasible, {wide} feasible by a margin (a share of "
        f"about 1e-2, above {MARGIN:g}) and {len(known) - none - wide} thin."
    )
    return "\n".join([*lines, "", count, ""])


def main() -> None:
    """Measure, print, and write the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=HERE / ".feasibility")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--tables", action="store_true", help="of what the cache holds")
    chosen = parser.parse_args()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    if chosen.tables:
        lines = (chosen.cache / "runs.jsonl").read_text().splitlines()
        found = [json.loads(line) for line in lines]
    else:
        found = measured(chosen.cache)
    text = tables(found)
    print(text)
    if chosen.write:
        head = [
            "# Feasible points",
            "",
            *(__doc__ or "").split("\n")[2:-1],
            "Written by `docs/benchmarks/feasibility.py --write`. A run ends at its first feasible "
            f"point or after {BUDGET:,} evaluations of limits and gradients, 16 probes for the "
            "sizes of the limits not counted; all methods get those sizes. *Found* counts runs, "
            f"{len(SEEDS['untouched'])} seeds a question; the median counts runs without one as "
            "infinitely long. `auto` maximises the first output, and its first feasible point "
            "counts. Each feasible point was checked in NumPy, "
            f"{len(found):,} of {planned():,} runs are here.",
            "",
            volumes(chosen.cache),
        ]
        (HERE / "feasibility.md").write_text("\n".join([*head, text]), encoding="utf-8")


if __name__ == "__main__":
    main()

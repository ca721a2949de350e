"""Counterfactuals of two tables against what people use.

``python docs/benchmarks/counterfactuals.py --write``; ``--dice PYTHON`` names an interpreter with
dice-ml, which runs this file by itself and needs nothing of this library. Each run is kept in
``--cache`` as it ends.

Every entrant looks for the cheapest allowed row that the model calls the other class with a
probability of 60 %, and that differs from a person in at most three columns.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

WANTED, MOST_CHANGES, PEOPLE = 0.6, 3, 5
#: Evaluations that the searches may make; DiCE takes what it takes.
EVALUATIONS = 20_000


@dataclass
class Case:
    """A table, a network of one hidden layer on its encoded rows, and what each column may be.

    Parameters
    ----------
    name : str
        Of the table.
    rows : pandas.DataFrame
        The training rows.
    weights : list of numpy.ndarray
        Of the two layers.
    values : dict
        By column: all values that it may take, in order.
    ways : dict
        By column: "decreasing", "increasing" or "fixed", where it may not go both ways.
    costs : dict
        By column: of a unit, or of a change of category.
    people : list of int
        Rows to change.
    """

    name: str
    rows: pd.DataFrame
    weights: list[Any]
    values: dict[str, list[Any]]
    ways: dict[str, str]
    costs: dict[str, float]
    people: list[int]
    calls: int = 0

    @property
    def numbers(self) -> list[str]:
        """The numeric columns."""
        return [name for name in self.rows if self.rows[name].dtype.kind in "if"]

    def encoded(self, table: pd.DataFrame) -> np.ndarray:
        """Return standard scores, then one column for each category."""
        mean, spread = self.rows[self.numbers].mean(), self.rows[self.numbers].std(ddof=0)
        parts = [((table[self.numbers].astype(float) - mean) / spread).to_numpy()]
        for name in self.rows:
            if name not in self.numbers:
                known = sorted(self.rows[name].unique())
                parts.append((table[name].to_numpy()[:, np.newaxis] == np.array(known)) * 1.0)
        return np.concatenate(parts, axis=1)

    def probability(self, table: pd.DataFrame) -> np.ndarray:
        """Return the probability of class 1 of each row, counted."""
        return self.of_encoded(self.encoded(table))

    def of_encoded(self, x: np.ndarray) -> np.ndarray:
        """Return the probability of class 1 of encoded rows, counted."""
        self.calls += len(x)
        w, b, v, c = map(np.asarray, self.weights)
        return 1.0 / (1.0 + np.exp(-(np.tanh(x @ w + b) @ v + c)[:, 0]))

    def allowed(self, person: pd.Series) -> dict[str, list[Any]]:
        """Return what each column of a person may become; its own value is always there."""
        found = {}
        for name, values in self.values.items():
            own, way = person[name], self.ways.get(name)
            kept = list(values)
            if way == "fixed":
                kept = []
            elif way is not None and name in self.numbers:
                kept = [one for one in kept if (one < own) == (way == "decreasing")]
            elif way is not None:
                place = values.index(own)
                kept = values[: place + 1] if way == "decreasing" else values[place:]
            found[name] = [own, *(one for one in kept if one != own)]
        return found

    def cost(self, person: pd.Series, row: pd.Series) -> float:
        """Return what the change costs."""
        total = 0.0
        for name, cost in self.costs.items():
            if name in self.numbers:
                total += cost * abs(float(row[name]) - float(person[name]))
            else:
                total += cost * (row[name] != person[name])
        return total

    def judged(self, person: pd.Series, row: pd.Series | None) -> dict[str, Any]:
        """Return what an answer is worth, by the table and the network alone."""
        if row is None:
            return {"valid": False, "cost": None, "changes": None, "broken": "no answer"}
        changed = [name for name in self.values if row[name] != person[name]]
        allowed, broken = self.allowed(person), []
        for name in changed:
            close = (
                [abs(float(one) - float(row[name])) < 1e-9 for one in allowed[name]]
                if (name in self.numbers)
                else [one == row[name] for one in allowed[name]]
            )
            if not any(close):
                broken.append(name)
        before = self.calls
        if self.probability(row.to_frame().T)[0] < WANTED - 1e-6:
            broken.append("probability")
        self.calls = before
        if len(changed) > MOST_CHANGES:
            broken.append(f"{len(changed)} changes")
        return {
            "valid": not broken,
            "cost": self.cost(person, row),
            "changes": len(changed),
            "broken": ", ".join(broken),
        }


# -- entrants ------------------------------------------------------------------------------------


class Choices:
    """What the columns of a person may become, by place in a list of values for each column.

    Parameters
    ----------
    case : Case
        The table.
    person : pandas.Series
        Who is changed.
    """

    def __init__(self, case: Case, person: pd.Series) -> None:
        self.case, self.person = case, person
        allowed = case.allowed(person)
        self.columns = [name for name, values in allowed.items() if len(values) > 1]
        self.values = [
            sorted(allowed[name]) if name in case.numbers else allowed[name]
            for name in self.columns
        ]
        self.own = np.array(
            [
                values.index(person[name])
                for name, values in zip(self.columns, self.values, strict=True)
            ]
        )
        self.base = case.encoded(person.to_frame().T)
        self.entries, self.costs = [], []
        for name, values in zip(self.columns, self.values, strict=True):
            table = pd.DataFrame([{**person, name: value} for value in values])
            self.entries.append(case.encoded(table) - self.base)
            self.costs.append(np.array([case.cost(person, row) for _, row in table.iterrows()]))

    def judged(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return cost, probability and number of changes of rows of places (B, columns)."""
        x = self.base + sum(one[at] for one, at in zip(self.entries, places.T, strict=True))
        cost = sum(one[at] for one, at in zip(self.costs, places.T, strict=True))
        return cost, self.case.of_encoded(x), np.sum(places != self.own, axis=1)

    def row(self, places: np.ndarray) -> pd.Series:
        """Return the row that places stand for."""
        row = self.person.copy()
        for name, values, at in zip(self.columns, self.values, places, strict=True):
            row[name] = values[at]
        return row


def random_search(case: Case, person: pd.Series) -> pd.Series | None:
    """Draw rows that differ in one to three columns, and keep the cheapest that is called 1."""
    rng, choices = np.random.default_rng(0), Choices(case, person)
    counts = np.array([len(values) for values in choices.values])
    rank = rng.random((EVALUATIONS, len(counts))).argsort(axis=1)
    moved = rank < rng.integers(1, MOST_CHANGES + 1, (EVALUATIONS, 1))
    places = np.where(moved, rng.integers(0, counts, (EVALUATIONS, len(counts))), choices.own)
    cost, probability, _ = choices.judged(places)
    cost = np.where(probability >= WANTED, cost, np.inf)
    best = int(np.argmin(cost))
    return choices.row(places[best]) if np.isfinite(cost[best]) else None


def genetic_search(case: Case, person: pd.Series) -> pd.Series | None:
    """Search places in the lists of allowed values by SciPy's differential evolution."""
    import scipy.optimize

    choices = Choices(case, person)

    def loss(places: np.ndarray) -> np.ndarray:
        cost, probability, changes = choices.judged(np.round(np.atleast_2d(places.T)).astype(int))
        short = np.maximum(0.0, WANTED - probability)
        return np.asarray(cost + 1e3 * short + 100.0 * np.maximum(0, changes - MOST_CHANGES))

    size = 15 * len(choices.columns)
    found = scipy.optimize.differential_evolution(
        loss,
        [(0, len(values) - 1) for values in choices.values],
        integrality=[True] * len(choices.columns),
        x0=choices.own,
        popsize=15,
        maxiter=EVALUATIONS // size - 1,
        rng=0,
        polish=False,
        vectorized=True,
        updating="deferred",
    )
    return choices.row(np.round(found.x).astype(int))


def ours(case: Case, person: pd.Series) -> tuple[pd.Series | None, dict[str, Any]]:
    """Solve it as a problem with `Features`."""
    import keras

    import constrained_actmax as cax

    said = {}
    for name, values in case.values.items():
        way = case.ways.get(name)
        said[name] = cax.Feature(
            levels=values,
            monotonic=None if way in (None, "fixed") else way,
            immutable=way == "fixed",
            cost=case.costs[name],
        )
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    categories = [name for name in case.rows if name not in case.numbers]
    parts = [("numbers", StandardScaler(), case.numbers)]
    if categories:
        parts.append(("categories", OneHotEncoder(), categories))
    encoder = ColumnTransformer(parts).fit(case.rows)
    features = cax.Features.from_transformer(encoder, case.rows, said)
    model = keras.Sequential(
        [
            keras.Input((len(features.get_feature_names_out()),)),
            keras.layers.Dense(len(case.weights[1]), activation="tanh"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.set_weights([np.asarray(one) for one in case.weights])
    x0 = features.transform(person)
    result = cax.minimize(
        model,
        features.distance(person),
        [
            features,
            cax.Cardinality(MOST_CHANGES, center=x0[0], groups=features.groups),
            cax.Probability(1) >= WANTED,
        ],
        x0=x0,
        seed=0,
    )
    row = person.copy()
    if result.feasible:
        for name, change in result.to_frame()["after"].items():
            row[name] = change
    return (row if result.feasible else None), {
        "evaluations": result.nfev,
        "status": result.status.name.lower(),
    }


def dice(case: Case, person: pd.Series, method: str) -> pd.Series | None:
    """Ask DiCE through its interface for models of any kind, a class with `predict_proba`."""
    import dice_ml

    class Model:
        def predict_proba(self, table: pd.DataFrame) -> np.ndarray:
            one = case.probability(table)
            return np.stack([1.0 - one, one], axis=1)

        def predict(self, table: pd.DataFrame) -> np.ndarray:
            return (self.predict_proba(table)[:, 1] >= 0.5).astype(int)

    known = case.rows.assign(outcome=Model().predict(case.rows))
    data = dice_ml.Data(dataframe=known, continuous_features=case.numbers, outcome_name="outcome")
    model = dice_ml.Model(model=Model(), backend="sklearn", model_type="classifier")
    allowed = case.allowed(person)
    case.calls = 0
    options: dict[str, Any] = {}
    if method == "random":
        options = {"random_seed": 0}
    answer = dice_ml.Dice(data, model, method=method).generate_counterfactuals(
        person.to_frame().T.astype(case.rows.dtypes),
        total_CFs=1,
        desired_class=1,
        stopping_threshold=WANTED,
        features_to_vary=[name for name, values in allowed.items() if len(values) > 1],
        permitted_range={
            name: [min(values), max(values)] if name in case.numbers else [str(v) for v in values]
            for name, values in allowed.items()
            if len(values) > 1
        },
        verbose=False,
        **options,
    )
    found = answer.cf_examples_list[0].final_cfs_df
    if found is None or not len(found):
        return None
    row = person.copy()
    for name in case.values:
        value = found.iloc[0][name]
        if name in case.numbers:  # it knows no steps: what it says is rounded to the nearest
            row[name] = min(allowed[name], key=partial(_apart, float(value)))
        else:
            row[name] = str(value)
    return row


def _apart(value: float, other: float) -> float:
    return abs(other - value)


# -- tables --------------------------------------------------------------------------------------


def trained(name: str, rows: pd.DataFrame, y: np.ndarray, **said: Any) -> Case:
    """Return a case with its network trained, and the people it most confidently calls 0."""
    import keras

    case = Case(name, rows, [], people=[], **said)
    x = case.encoded(rows)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((x.shape[1],)),
            keras.layers.Dense(
                16, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.003)
            ),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    model.fit(x, y, epochs=30, verbose=0)
    case.weights = [one.tolist() for one in model.get_weights()]
    called = np.flatnonzero(case.probability(rows) < 0.3)
    case.people = np.random.default_rng(0).choice(called, PEOPLE, replace=False).tolist()
    return case


def diabetes() -> Case:
    """Return the table of tutorial 4."""
    from sklearn.datasets import load_diabetes

    data = load_diabetes(scaled=False, as_frame=True)
    m = data.data
    rows = pd.DataFrame(
        {
            "age": m.age.astype(int),
            "sex": m.sex.map({1.0: "1", 2.0: "2"}),
            "bmi": (2 * m.bmi).round() / 2,
            "pressure": pd.cut(
                m.bp, [0, 85, 100, 200], right=False, labels=["low", "middle", "high"]
            ).astype(str),
            "ldl": m.s2.round().astype(int),
            "hdl": m.s3.round().astype(int),
            "triglycerides": np.exp(m.s5).round().astype(int),
            "glucose": m.s6.astype(int),
        }
    )
    ways = {
        "age": "fixed",
        "sex": "fixed",
        "bmi": "decreasing",
        "pressure": "decreasing",
        "ldl": "decreasing",
        "hdl": "increasing",
        "triglycerides": "decreasing",
        "glucose": "decreasing",
    }
    costs = {
        "age": 1.0,
        "sex": 1.0,
        "bmi": 1.0,
        "pressure": 2.0,
        "ldl": 0.1,
        "hdl": 0.25,
        "triglycerides": 0.05,
        "glucose": 0.25,
    }
    values = {
        name: list(np.arange(rows[name].min(), rows[name].max() + 0.1, 0.5 if name == "bmi" else 1))
        for name in rows
        if rows[name].dtype.kind in "if"
    }
    values |= {"sex": ["1", "2"], "pressure": ["low", "middle", "high"]}
    y = (data.target < 140).to_numpy(dtype=float)
    return trained(
        "diabetes", rows, y, values={name: values[name] for name in rows}, ways=ways, costs=costs
    )


def wine() -> Case:
    """Return the wines of scikit-learn: thirteen numbers, all in steps of 1/50 of their range."""
    from sklearn.datasets import load_wine

    data = load_wine(as_frame=True)
    rows = data.data.copy()
    values, costs = {}, {}
    for name in rows:
        low, high = rows[name].min(), rows[name].max()
        levels = np.round(np.linspace(low, high, 51), 4)
        rows[name] = levels[np.argmin(np.abs(rows[name].to_numpy()[:, None] - levels), axis=1)]
        values[name], costs[name] = levels.tolist(), float(10.0 / (high - low))
    y = (data.target == 0).to_numpy(dtype=float)
    return trained("wine", rows, y, values=values, ways={}, costs=costs)


# -- the runs ------------------------------------------------------------------------------------

SEARCHES = {"random search": random_search, "differential evolution": genetic_search}
DICE = {"DiCE, random": "random", "DiCE, genetic": "genetic"}


def timed(case: Case, person: pd.Series, name: str) -> dict[str, Any]:
    """Run one entrant on one person, and judge its answer."""
    case.calls, begun = 0, time.perf_counter()
    more: dict[str, Any] = {}
    if name in SEARCHES:
        row = SEARCHES[name](case, person)
    elif name in DICE:
        row = dice(case, person, DICE[name])
    else:
        row, more = ours(case, person)
    seconds = time.perf_counter() - begun
    record = {"evaluations": case.calls, "seconds": seconds, **more}
    return {**record, **case.judged(person, row)}


def saved(case: Case, path: Path) -> None:
    """Write a case for another interpreter."""
    data = {**vars(case), "rows": case.rows.to_dict("list")}
    path.write_text(json.dumps(data, default=lambda one: one.item()), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--dice", help="an interpreter that has dice-ml")
    parser.add_argument("--cache", type=Path, default=Path("counterfactuals_cache"))
    parser.add_argument("--only-dice", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cache = arguments.cache
    cache.mkdir(parents=True, exist_ok=True)
    if not arguments.only_dice:
        for make in (diabetes, wine):
            if not (cache / f"case {make.__name__}.json").exists():
                saved(make(), cache / f"case {make.__name__}.json")
    entrants = list(DICE) if arguments.only_dice else [*SEARCHES, "constrained_actmax"]
    for path in sorted(cache.glob("case *.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        case = Case(**{**data, "rows": pd.DataFrame(data["rows"])})
        for name in entrants:
            for person in case.people:
                place = cache / f"run {case.name} {name} {person}.json"
                if not place.exists():
                    record = timed(case, case.rows.iloc[person], name)
                    place.write_text(json.dumps(record), encoding="utf-8")
                    print(case.name, name, person, record, flush=True)
    if arguments.dice:
        command = [arguments.dice, __file__, "--only-dice", "--cache", str(cache)]
        subprocess.run(command, check=True)
    if arguments.write:
        write(cache)


def write(cache: Path) -> None:
    """Write the tables of the page from the cache, after its heading's text."""
    page = Path(__file__).with_suffix(".md")
    text = page.read_text(encoding="utf-8").split("<!-- numbers -->")[0] + "<!-- numbers -->\n"
    for path in sorted(cache.glob("case *.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        runs = {
            name: [
                json.loads(place.read_text(encoding="utf-8"))
                for person in data["people"]
                if (place := cache / f"run {data['name']} {name} {person}.json").exists()
            ]
            for name in ["constrained_actmax", *SEARCHES, *DICE]
        }
        text += f"\n## {data['name'].capitalize()}\n\n" + table_of(runs)
    page.write_text(text, encoding="utf-8")


def table_of(runs: dict[str, list[dict[str, Any]]]) -> str:
    """Return one table: each entrant's answers, and how much they cost more than the cheapest."""
    count = max(map(len, runs.values()))
    least = [
        min(
            (one[k]["cost"] for one in runs.values() if len(one) > k and one[k]["valid"]),
            default=np.nan,
        )
        for k in range(count)
    ]
    lines = [
        "| entrant | valid | cheapest of all | cost above the cheapest, median | changes, median "
        "| seconds, median | evaluations, median | what is broken |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in runs.items():
        if not found:
            continue
        valid = [(one, low) for one, low in zip(found, least, strict=False) if one["valid"]]
        best = sum(one["cost"] <= low * (1 + 1e-9) for one, low in valid)
        above = [one["cost"] / low - 1 for one, low in valid]
        broken = sorted(
            {word for one in found if one["broken"] for word in one["broken"].split(", ")}
        )
        middle = f"{np.median(above):.0%}" if above else ""
        proven = sum(one.get("status") == "proven" for one in found)
        shown = f"{name}, {proven} proven" if proven else name
        changes = [one["changes"] for one in found if one["changes"] is not None]
        lines.append(
            f"| {shown} | {len(valid)} of {len(found)} | {best} | {middle} "
            f"| {np.median(changes) if changes else '':g} "
            f"| {np.median([one['seconds'] for one in found]):.1f} "
            f"| {np.median([one['evaluations'] for one in found]):,.0f} | {', '.join(broken)} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

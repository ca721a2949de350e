"""Tables as constraints: what an encoder of the user's own says is the source of right values."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import constrained_actmax as cax
from constrained_actmax.layout import Input, Layout
from constrained_actmax.table import NumberColumn

N = 60
JOBS, PLANS = ["full", "none", "part"], ["a", "b"]


def people() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "age": rng.integers(20, 70, N),
            "job": rng.permutation(np.resize(JOBS, N)).astype(object),
            "income": rng.uniform(10.0, 90.0, N),
            "plan": rng.permutation(np.resize(PLANS, N)).astype(object),
            "visits": rng.integers(0, 9, N),
        }
    )


FRAME = people()


def transformer(drop: Any = None, scaler: str = "StandardScaler", **options: Any) -> Any:
    """Return a fitted ColumnTransformer whose entries stand in another order than the columns."""
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    from sklearn import compose, preprocessing

    parts = [
        ("numbers", getattr(preprocessing, scaler)(), ["visits", "age"]),
        ("groups", preprocessing.OneHotEncoder(drop=drop), ["plan", "job"]),
    ]
    return compose.ColumnTransformer(parts, remainder="passthrough", **options).fit(FRAME)


def dense(x: Any) -> np.ndarray:
    return np.asarray(x.todense() if hasattr(x, "todense") else x)


MADE: dict[str, Callable[[dict[str, cax.Feature]], cax.Features]] = {
    "frame": lambda what: cax.Features.from_frame(FRAME, what),
    "scaled": lambda what: cax.Features.from_transformer(transformer(), FRAME, what),
    "dropped": lambda what: cax.Features.from_transformer(
        transformer("first", "MinMaxScaler"), FRAME, what
    ),
}


@pytest.mark.parametrize("drop", [None, "first", "if_binary", ["b", "part"]])
@pytest.mark.parametrize("scaler", ["StandardScaler", "MinMaxScaler"])
def test_they_are_the_transformer_and_its_inverse(drop: Any, scaler: str) -> None:
    own = transformer(drop, scaler)
    features = cax.Features.from_transformer(own, FRAME)
    x = features.transform(FRAME)
    np.testing.assert_allclose(x, dense(own.transform(FRAME)), rtol=1e-12, atol=1e-12)
    assert features.get_feature_names_out().tolist() == own.get_feature_names_out().tolist()
    back = features.inverse_transform(dense(own.transform(FRAME)))
    assert list(back) == list(FRAME)
    pd.testing.assert_frame_equal(back, FRAME, check_dtype=False, rtol=1e-12)
    assert back["age"].dtype.kind == "i"
    np.testing.assert_array_equal(features.transform(FRAME.iloc[4]), x[4:5])
    np.testing.assert_array_equal(features.transform(FRAME.iloc[4].to_dict()), x[4:5])


def test_a_frame_is_encoded_as_pandas_does() -> None:
    features = cax.Features.from_frame(FRAME)
    expected = pd.get_dummies(FRAME, dtype=float)[features.get_feature_names_out().tolist()]
    np.testing.assert_array_equal(features.transform(FRAME), expected.to_numpy())
    ordered = FRAME.assign(job=pd.Categorical(FRAME["job"], ["none", "part", "full"]), vip=True)
    names = cax.Features.from_frame(ordered[["job", "vip"]]).get_feature_names_out().tolist()
    assert names == ["job_none", "job_part", "job_full", "vip"]


SAID = {
    "age": cax.Feature(20, 69, monotonic="increasing"),
    "job": cax.Feature(levels=["none", "part", "full"], monotonic="increasing"),
    "income": cax.Feature(5.0, 95.0),
    "plan": cax.Feature(immutable=True),
    "visits": cax.Feature(levels=[0, 2, 4, 8]),
}


def allowed(person: dict[str, Any], row: dict[str, Any]) -> bool:
    """Say in plain words what SAID lets a person become."""
    order = ["none", "part", "full"]
    return bool(
        person["age"] <= row["age"] <= 69
        and row["age"] % 1 == 0
        and order.index(row["job"]) >= order.index(person["job"])
        and 5.0 <= row["income"] <= 95.0
        and row["plan"] == person["plan"]
        and row["visits"] in (0, 2, 4, 8)
    )


@cache
def said(made: str) -> cax.Features:
    return MADE[made](SAID)


ROWS = st.fixed_dictionaries(
    {
        "age": st.sampled_from([20, 33, 34, 50.5, 69, 70]),
        "job": st.sampled_from(JOBS),
        "income": st.sampled_from([4.0, 5.0, 40.0, 96.0]),
        "plan": st.sampled_from(PLANS),
        "visits": st.sampled_from([0, 2, 3, 8]),
    }
)
PERSON = {"age": 34, "job": "part", "income": 41.5, "plan": "b", "visits": 4}


@pytest.mark.parametrize("made", MADE)
@given(row=ROWS)
@settings(max_examples=25, deadline=None)
def test_a_row_is_allowed_where_every_column_says_so(made: str, row: dict[str, Any]) -> None:
    features = said(made)
    sets = features.sets(features.transform(PERSON)[0])
    x = features.transform(row)[0]
    broken = {one.name for one in sets if one.violation(x) > 1e-9}
    assert bool(broken) != allowed(PERSON, row)
    assert all(one.violation(features.transform(PERSON)[0]) == 0.0 for one in sets)


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize(
    ("column", "value"),
    [("income", 96.0), ("income", 4.0), ("age", 33), ("plan", "a"), ("visits", 3), ("job", "none")],
)
def test_the_column_that_breaks_a_rule_is_named(made: str, column: str, value: Any) -> None:
    """Out of its range, an age that falls, an immutable that moves, a level that is none."""
    features = said(made)
    x0 = features.transform(PERSON)[0]
    x = features.transform({**PERSON, column: value})[0]
    broken = {one.name for one in features.sets(x0) if one.violation(x) > 1e-9}
    assert {str(name).split(" ")[0] for name in broken} == {column}
    inside = cax.Intersection(features.sets(x0)).project(x)
    back = features.inverse_transform(inside).iloc[0].to_dict()
    assert allowed(PERSON, {**back, "income": round(back["income"], 9)})


@pytest.mark.parametrize("made", MADE)
def test_two_categories_at_once_and_halves_of_one_are_none(made: str) -> None:
    features = MADE[made]({})
    x0 = features.transform(PERSON)[0]
    job = next(one for one in features.sets(x0) if one.name == "job")
    places = list(features.table["job"].places)
    both, half, none = x0.copy(), x0.copy(), x0.copy()
    both[places] = 1.0
    half[places] = 0.5
    none[places] = 0.0
    assert job.violation(both) > 0
    assert job.violation(half) > 0
    assert (job.violation(none) == 0) == (made == "dropped")
    if made == "dropped":
        assert features.inverse_transform(none)["job"].tolist() == ["full"]
        without = MADE[made]({"job": cax.Feature(levels=["none", "part"])})
        barred = cax.Intersection([one for one in without.sets(x0) if "job" in str(one.name)])
        assert barred.violation(none) > 0


def change_in_words(costs: dict[str, float], first: pd.Series, last: pd.Series) -> float:
    return sum(
        cost
        * (
            (first[name] != last[name])
            if isinstance(first[name], str)
            else abs(first[name] - last[name])
        )
        for name, cost in costs.items()
    )


def line(features: cax.Features, **weights: float) -> Any:
    """Return a model of one sigmoid of a weighted sum of entries, by name of the column."""
    import keras

    n = len(features.get_feature_names_out())
    model = keras.Sequential([keras.Input((n,)), keras.layers.Dense(1, activation="sigmoid")])
    w = np.zeros((n, 1))
    for name, value in weights.items():
        w[list(features.table[name].places), 0] = value * np.arange(
            1, 1 + len(features.table[name].places)
        )
    model.layers[0].set_weights([w, np.full(1, -1.0)])
    return model


COSTS = {"age": 0.5, "job": 3.0, "income": 0.1, "plan": 7.0, "visits": 1.0}


@pytest.mark.parametrize("made", ["frame", "dropped"])
def test_the_distance_counts_a_change_of_category_once(made: str) -> None:
    features = MADE[made]({name: cax.Feature(cost=cost) for name, cost in COSTS.items()})
    oracle = cax.Oracle(line(features), features.distance(FRAME.iloc[3]), precision="float64")
    values = oracle.evaluate(features.transform(FRAME))[0][:, 0]
    expected = [change_in_words(COSTS, FRAME.iloc[3], FRAME.iloc[k]) for k in range(N)]
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-9)
    near = cax.Oracle(line(features), features.near(1.0).objective, precision="float64")
    x = features.transform(FRAME.iloc[:5].assign(age=[25, 33, 41, 60, 66], visits=5))
    table = [
        [
            change_in_words(COSTS, features.inverse_transform(one).iloc[0], FRAME.iloc[k])
            for k in range(N)
        ]
        for one in x
    ]
    np.testing.assert_allclose(near.evaluate(x)[0][:, 0], np.min(table, axis=1), rtol=1e-9)
    assert not near.steps  # which row is the nearest is a choice, not a step of the value
    assert features.nearest(x[2]).row == int(np.argmin(table[2]))
    assert features.nearest(x[2]).distance == pytest.approx(np.min(table[2]))


def test_the_usual_cost_is_one_over_the_median_absolute_deviation() -> None:
    features = cax.Features.from_frame(FRAME).features
    income = FRAME["income"]
    deviation = (income - income.median()).abs().median()
    assert features["income"].cost == pytest.approx(1 / deviation)
    assert (features["age"].low, features["age"].high) == (FRAME.age.min(), FRAME.age.max())
    assert features["job"].cost == 1.0


COUNTED = ["age", "job", "plan", "visits"]
WEIGHTS = {"age": 0.02, "job": 0.4, "plan": 0.3, "visits": -0.2}


def counterfactual(features: cax.Features, person: Any, *more: Any) -> cax.Problem:
    x0 = features.transform(person)
    few = cax.Cardinality(2, center=x0[0], groups=features.groups)
    limits = [features, cax.Logit(1) >= 0.15, few, *more]
    model = line(features, **{name: WEIGHTS[name] for name in features.features})
    return cax.Problem(
        model, features.distance(person), limits, sense="minimize", x0=x0, precision="float64"
    )


@pytest.mark.parametrize("drop", [None, "first"])
def test_a_counterfactual_is_the_cheapest_of_all_rows(drop: Any) -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    from sklearn import compose, preprocessing

    own = compose.ColumnTransformer(
        [
            ("g", preprocessing.OneHotEncoder(drop=drop), ["job", "plan"]),
            ("n", preprocessing.StandardScaler(), ["visits"]),
        ]
    ).fit(FRAME)
    costs = {"plan": cax.Feature(cost=1.2), "visits": cax.Feature(-1, 12, cost=0.8)}
    features = cax.Features.from_transformer(own, FRAME, costs)
    person = {"job": "full", "plan": "a", "visits": 6}
    problem = counterfactual(features, person)
    result = cax.solve(problem, seed=0)
    best = np.inf
    rows = itertools.product(JOBS, PLANS, range(-1, 13))
    for row in (dict(zip(person, one, strict=True)) for one in rows):
        x = features.transform(row)
        changed = [name for name in person if row[name] != person[name]]
        c = problem.oracle.evaluate(x)[0][0, 1]
        if len(changed) <= 2 and c >= 0.15 - 1e-9:
            spent = sum(
                {"job": 1.0, "plan": 1.2}.get(name, 0.8 * abs(row["visits"] - 6))
                for name in changed
            )
            best = min(best, spent)
    assert result.status is cax.Status.PROVEN
    assert result.value == pytest.approx(best, rel=1e-9)
    frame = result.to_frame()
    assert list(frame.columns) == ["before", "after", "change"]
    assert 1 <= len(frame) <= 2
    assert set(frame.index) <= set(person)
    assert all(frame.loc[name, "before"] == person[name] for name in frame.index)


def test_answers_are_in_the_tables_words_and_stay_so_in_a_file(tmp_path: Path) -> None:
    ranges = {"visits": cax.Feature(0, 30, unit="a year"), "age": cax.Feature(immutable=True)}
    features = cax.Features.from_frame(FRAME[COUNTED], ranges)
    person = {"age": 30, "job": "full", "plan": "a", "visits": 3}
    wanted = {**person, "job": "part", "visits": 20}
    target = features.transform(wanted)
    result = cax.minimize(
        line(features), cax.SquaredDistance(target[0]), features, x0=features.transform(person)
    )
    frame = result.to_frame()
    assert frame.loc["job"].tolist() == ["full", "part", "full → part", ""]
    assert frame.loc["visits"].tolist() == [3, 20, 17, "a year"]
    assert frame.index.tolist() == ["job", "visits"]
    assert any("outside the table's range" in note and "visits 20" in note for note in result.notes)
    assert any(note.startswith("nearest row of the table") for note in result.notes)
    assert result.layout.inputs[0].feature_names == tuple(features.get_feature_names_out())
    again = cax.load_result(result.save(tmp_path))
    pd.testing.assert_frame_equal(again.to_frame(), frame)
    assert again.to_frame(before=wanted).empty


@pytest.mark.slow
def test_alternatives_differ_as_asked() -> None:
    features = cax.Features.from_frame(FRAME[["job", "visits"]], {"visits": cax.Feature(cost=0.7)})
    model = line(features, job=0.8, visits=-0.3)
    person = {"job": "full", "visits": 5}
    problem = cax.Problem(
        model,
        features.distance(person),
        [features, cax.Logit(1) >= -1.0],
        sense="minimize",
        x0=features.transform(person),
    )
    found = cax.alternatives(problem, 3, differ_in=1, min_distance=1.5, seed=0)
    assert len(found) == 3
    assert all(one.feasible for one in found)
    assert [one.value for one in found] == sorted(one.value for one in found)
    tables = [features.inverse_transform(one.x).iloc[0] for one in found]
    for first, last in itertools.combinations(tables, 2):
        apart = 0.7 * abs(first["visits"] - last["visits"]) + (first["job"] != last["job"])
        assert apart >= 1.5 - 1e-6
    few = cax.alternatives(problem, 3, differ_in=2, seed=0)
    rows = [features.inverse_transform(one.x).iloc[0] for one in few]
    assert len(few) >= 2
    assert (len(few) < 3) == any(f"{len(few)} of 3 answers." in note for note in few[0].notes)
    assert all((a != b).all() for a, b in itertools.combinations(rows, 2))
    spent = cax.alternatives(problem, 3, differ_in=1, budget=cax.Budget(evaluations=1), seed=0)
    (first,) = spent
    assert first.nfev == 1
    assert any("1 of 3 answers. " in note for note in first.notes)
    assert (
        cax.alternatives(
            cax.Problem(model, cax.Logit(1), [features, cax.Logit(1) >= 99.0]), 3, differ_in=1
        )[0].feasible
        is False
    )


def test_near_keeps_an_answer_by_the_rows() -> None:
    features = cax.Features.from_frame(FRAME[["income"]])
    rows = np.array([[1.0], [4.0]])
    model = line(features, income=1.0)
    asked = [cax.Box(-9, 9), cax.Near(rows, 0.5, weights=[0.5])]
    result = cax.maximize(model, cax.Logit(1), asked, x0=[3.5])
    assert result.feasible
    assert result.x == pytest.approx([5.0], abs=1e-4)


@given(
    step=st.sampled_from([1e-5, 0.1, 0.5, 3.0]),
    shift=st.floats(-50, 50),
    spread=st.floats(0.01, 100),
    own=st.integers(0, 9),
    way=st.sampled_from(["increasing", "decreasing"]),
)
@settings(max_examples=100, deadline=None)
def test_a_level_that_may_only_rise_or_fall_is_left_by_steps_that_way(
    step: float, shift: float, spread: float, own: int, way: Any
) -> None:
    levels = (step * np.arange(10)).tolist()
    table = cax.Table((NumberColumn("v", 0, shift, spread),), ("v",))
    features = cax.Features(table, {"v": cax.Feature(levels=levels, monotonic=way, kind="number")})
    x = features.transform(pd.DataFrame({"v": levels}))
    (kept,) = features.sets(x[own] * (1 + 1e-16))
    inside = [kept.violation(one) <= 1e-9 * step / spread for one in x]
    assert inside == [k >= own if way == "increasing" else k <= own for k in range(10)]
    between = features.transform({"v": (own + 0.4) * step})[0]
    if 0 < own < 9:
        assert features.sets(between)[0].violation(between) > 0


def test_they_are_of_the_input_that_is_named() -> None:
    layout = Layout((Input("image", (2,)), Input("person", (8,))), "dict")
    features = cax.Features.from_frame(FRAME, SAID, on="person")
    x0 = np.concatenate([[9.0, -9.0], features.transform(PERSON)[0]])
    kernel = cax.Intersection(features.bound(layout, x0)).bind(layout, x0)
    moved = x0.copy()
    moved[:2] = 5.0
    assert kernel.violation(np.stack([x0, moved])).tolist() == [0.0, 0.0]
    moved[2:] = features.transform({**PERSON, "plan": "a"})
    assert kernel.violation(moved[np.newaxis])[0] > 0
    with pytest.raises(cax.SpecificationError, match="the model has several inputs"):
        MADE["frame"]({}).bound(layout, None)


UNNAMED = Layout((Input("x", (3,)),))
WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: cax.Feature(3, 1), "low 3 is above high 1"),
    (lambda: cax.Feature(low=True), "low must be a finite number, got True"),
    (lambda: cax.Feature(cost=-1), "cost must be >= 0"),
    (lambda: cax.Feature(kind="text"), "kind must be one of 'number', 'integer', 'category'"),
    (lambda: cax.Feature(monotonic=True), "monotonic must be one of"),
    (lambda: cax.Feature(immutable=1), "immutable must be True or False, got 1"),
    (lambda: cax.Feature(levels=[]), "levels must list at least one value"),
    (lambda: cax.Feature(0, 1, kind="category"), "a category has levels, no low and high"),
    (lambda: cax.Features.from_frame([1]), "expected a DataFrame with rows"),
    (lambda: cax.Features.from_frame(FRAME, {"agee": cax.Feature()}), "no column 'agee'.*age"),
    (lambda: cax.Features.from_frame(FRAME, {"age": 3}), "expected Feature"),
    (lambda: cax.Features.from_frame(FRAME.assign(age=np.nan)), "'age' holds missing values"),
    (lambda: cax.Features.from_frame(FRAME, {"job": cax.Feature(levels=["x"])}), "no category 'x'"),
    (
        lambda: cax.Features.from_frame(FRAME, {"job": cax.Feature(monotonic="increasing")}),
        "list its levels= from lowest to highest",
    ),
    (lambda: MADE["frame"]({}).transform({"age": 3}), "column 'job' is missing"),
    (lambda: MADE["frame"]({}).transform({**PERSON, "job": "boss"}), "no category 'boss'"),
    (lambda: MADE["frame"]({}).transform({**PERSON, "age": np.nan}), "holds NaN"),
    (lambda: MADE["frame"]({}).transform([1, 2]), "expected a DataFrame"),
    (lambda: MADE["frame"]({}).inverse_transform([1, 2]), "expected 8 entries a row"),
    (lambda: MADE["frame"]({}).bound(UNNAMED, None), "have 8 entries, input 'x' has 3"),
    (lambda: MADE["frame"](SAID).sets(), "'age' is increasing, relative to a person"),
    (
        lambda: MADE["frame"](SAID).sets(MADE["frame"](SAID).transform({**PERSON, "age": 71})[0]),
        "'age' is 71, may only be increasing, and its range is 20 to 69",
    ),
    (lambda: MADE["scaled"]({"age": cax.Feature(0, 1e6)}).sets(), "take coarser levels="),
    (lambda: cax.Features.from_transformer(3), "expected a fitted ColumnTransformer, got int"),
    (lambda: cax.alternatives(3, 2), "expected Problem"),
    (lambda: cax.Near([[1.0, np.nan]], 1), "data must be rows of finite numbers"),
    (lambda: cax.Near([[1.0]], -1), "radius must be finite and >= 0, got -1"),
    (lambda: cax.Near([[1.0]], 1, weights=[1, 2]), "weights must be 1 finite numbers"),
]


@pytest.mark.parametrize(("call", "words"), WRONG, ids=[words for _, words in WRONG])
def test_what_makes_no_sense_is_refused(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(cax.SpecificationError, match=words):
        call()


def test_transformers_that_cannot_be_read_are_named() -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    from sklearn import compose, preprocessing

    def fitted(step: Any, column: str) -> Any:
        return compose.ColumnTransformer([("one", step, [column])]).fit(FRAME)

    read = cax.Features.from_transformer
    with pytest.raises(cax.SpecificationError, match="PowerTransformer.* of 'age' cannot be read"):
        read(fitted(preprocessing.PowerTransformer(), "age"))
    with pytest.raises(cax.SpecificationError, match="puts rare categories together"):
        read(fitted(preprocessing.OneHotEncoder(min_frequency=25), "job"))
    with pytest.raises(cax.SpecificationError, match="not fitted"):
        read(compose.ColumnTransformer([("one", "passthrough", ["age"])]))
    only = read(fitted("passthrough", "age"))
    assert only.get_feature_names_out().tolist() == ["one__age"]
    assert only.features["age"].low is None


def test_nearness_in_other_weights_is_another_constraint() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[1.0], [0.0]])])
    for weights in ([1.0, 1.0], [10.0, 1.0]):
        near = cax.Near([[0.0, 0.0]], 1.0, weights=weights)
        result = cax.maximize(model, cax.Output(0), [cax.Box(-5, 5), near], seed=0)
        assert result.feasible
        assert np.abs(result.x) @ np.array(weights) <= 1.0 + 1e-3


def test_alternatives_come_best_first() -> None:
    def hills(x: tf.Tensor) -> tf.Tensor:
        return tf.exp(-(x**2)) + 2.0 * tf.exp(-((x - 3.0) ** 2))

    oracle = cax.Oracle(hills, cax.Output(0), input_shape=(1,))
    problem = cax.Problem(oracle, constraints=[cax.Box(-2, 5)], x0=[0.0])
    values = [one.value for one in cax.alternatives(problem, 3, min_distance=1.0, seed=0)]
    assert values == sorted(values, reverse=True)
    # All depend on the first, which gets half of what there is.
    found = cax.alternatives(
        problem, 5, min_distance=1.0, seed=0, budget=cax.Budget(evaluations=40)
    )
    alone = cax.solve(problem, seed=0, budget=cax.Budget(evaluations=20))
    assert alone.x.tolist() in [one.x.tolist() for one in found]
    assert max(one.value for one in found) >= alone.value
    assert sum(one.nfev for one in found) <= 40


def test_the_person_asked_about_is_no_row_that_was_seen() -> None:
    frame = pd.DataFrame({"a": [0.0, 1.0, 5.0], "b": [0.0, 1.0, 5.0]})
    features = cax.Features.from_frame(
        frame, {"a": cax.Feature(cost=1.0), "b": cax.Feature(cost=1.0)}
    )
    x = np.array([0.4, 0.0])
    assert features.remarks(x)[0] == "nearest row of the table: number 0, 0.4 away in the costs"
    seen = features.remarks(x, np.zeros(2))[0]
    assert seen == "nearest row of the table: number 1, 1.6 away in the costs"


def test_columns_of_booleans_are_read_back_as_booleans() -> None:
    frame = pd.DataFrame({"owner": [True, False, True], "visits": [1, 2, 3]})
    features = cax.Features.from_frame(frame)
    x = features.transform(frame)
    pd.testing.assert_frame_equal(features.inverse_transform(x), frame)
    (change,) = features.table.changes(x[0], np.array([0.0, 1.0]))
    assert (change["before"], change["after"]) == (True, False)
    assert change["change"] == "True \N{RIGHTWARDS ARROW} False"
    assert type(features.table).from_dict(features.table.to_dict()) == features.table

"""Tables with labels: every place that takes numbers aligns them by name, or refuses them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_models import dense, points, two_inputs

import constrained_actmax as cax
from constrained_actmax import sets as every_set
from constrained_actmax.baselines import DatasetSearch
from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Input, Layout
from constrained_actmax.sets import ConvexSet, box_from_bounds

NAMES = ("age", "income", "red", "blue", "green", "height")
N = len(NAMES)
TABLE = Layout((Input("x", (N,), NAMES),))
RNG = np.random.default_rng(3)
LOW, WIDTH, MIDDLE = RNG.normal(size=N), RNG.uniform(0.5, 2, N), RNG.normal(size=N)
ROWS = RNG.normal(size=(3, N))
SQUARE = np.cov(RNG.normal(size=(4 * N, N)).T)
X = 3 * RNG.normal(size=(4, N))
GROUPS = np.array([0, 1, 0, 1, 2, 2])
PICKED = ["blue", "age"]  # entries 0 and 3 of the input

Table = Callable[[Any], Any]  # plain numbers -> the same numbers, plain or labelled
Place = Callable[[Table], Any]


def of_set(make: Callable[[Table], ConvexSet], layout: Layout = TABLE) -> Place:
    def place(table: Table) -> Any:
        return make(table).bind(layout).project(X[:, : layout.size])

    return place


#: By ``Set.parameter``: every parameter of a set that takes numbers for the columns.
SETS: dict[str, Place] = {
    "Box.lower": of_set(lambda t: cax.Box(t(LOW), None)),
    "Box.upper": of_set(lambda t: cax.Box(None, t(LOW))),
    "L1Ball.center": of_set(lambda t: cax.L1Ball(1, t(MIDDLE))),
    "L1Ball.weights": of_set(lambda t: cax.L1Ball(1, weights=t(WIDTH))),
    "L2Ball.center": of_set(lambda t: cax.L2Ball(1, t(MIDDLE))),
    "LinfBall.center": of_set(lambda t: cax.LinfBall(0.3, t(MIDDLE))),
    "Ellipsoid.center": of_set(lambda t: cax.Ellipsoid(1, 2.0, t(MIDDLE))),
    "Ellipsoid.covariance": of_set(lambda t: cax.Ellipsoid(1, t(SQUARE))),
    "GroupBall.center": of_set(lambda t: cax.GroupBall(1, GROUPS, t(MIDDLE))),
    "GroupBall.groups": of_set(lambda t: cax.GroupBall(1, t(GROUPS))),
    "Simplex.upper": of_set(lambda t: cax.Simplex(upper=t(WIDTH))),
    "Simplex.groups": of_set(lambda t: cax.Simplex(groups=t(GROUPS))),
    "Halfspace.normal": of_set(lambda t: cax.Halfspace(t(MIDDLE), -1)),
    "Linear.A": of_set(lambda t: cax.Linear(t(ROWS), upper=[-1, 0, 1])),
    "AffineSubspace.A": of_set(lambda t: cax.AffineSubspace(t(ROWS), [1, 2, 3])),
    "ConvexHull.points": of_set(lambda t: cax.ConvexHull(t(ROWS))),
    "Fixed.value": of_set(lambda t: cax.Fixed(["age", "red"], t(MIDDLE))),
    "Fixed.where": of_set(lambda t: cax.Fixed(t(MIDDLE > 0), 1.0)),
    "Cardinality.center": of_set(lambda t: cax.Cardinality(2, t(MIDDLE))),
    "Cardinality.groups": of_set(lambda t: cax.Cardinality(1, 0.5, t(GROUPS))),
    "OneHot.groups": of_set(lambda t: cax.OneHot(t(GROUPS))),
    "TotalVariationBall.center": of_set(lambda t: cax.TotalVariationBall(1, center=t(MIDDLE))),
    "NuclearNormBall.center": of_set(
        lambda t: cax.NuclearNormBall(1, t(MIDDLE[:4])), Layout((Input("x", (1, 4), NAMES[:4]),))
    ),
}
#: Those that take one number for each row of A.
ROW_BY_ROW = {"Linear.lower", "Linear.upper", "AffineSubspace.b"}


@functools.cache
def model() -> Any:
    return dense()


def oracle(objective: Any, **options: Any) -> cax.Oracle:
    return cax.Oracle(model(), objective, feature_names=NAMES, xla=False, **options)


def solved(**arguments: Any) -> Any:
    """Return where a solver that stops at once ends, which is where it begins."""
    found = cax.maximize(
        oracle(cax.Logit(1)),
        constraints=[cax.Box(-5, 5)],
        method="spg",
        options={"max_iterations": 1},
        seed=0,
        **arguments,
    )
    return np.stack([one.x0 for one in found.starts])


def searched(samples: Any) -> Any:
    search = DatasetSearch(samples=samples)
    return cax.maximize(oracle(cax.Logit(1)), constraints=cax.Box(-5, 5), method=search).x


def compared(starts: Any) -> Any:
    problem = cax.Problem(oracle(cax.Logit(1)), constraints=cax.Box(-5, 5))
    found = cax.compare(problem, ["spg"], starts=starts, budget=3)
    return np.stack([one.x for one in found.trials])


OTHERS: dict[str, Place] = {
    "x0": lambda t: solved(x0=t(MIDDLE)),
    "x0 as a batch of one": lambda t: solved(x0=t(MIDDLE[np.newaxis])),
    "x0 of Fixed": lambda t: (
        cax.Problem(oracle(cax.Logit(1)), constraints=cax.Fixed(PICKED), x0=t(MIDDLE))
        .set.project(X)
    ),
    "starts": lambda t: solved(starts=t(ROWS)),
    "starts one by one": lambda t: solved(starts=[t(row) for row in ROWS]),
    "starts of compare": lambda t: compared(t(ROWS)),
    "oracle.flatten": lambda t: oracle(cax.Logit(1)).flatten(t(MIDDLE)),
    "SquaredDistance": lambda t: oracle(cax.SquaredDistance(t(MIDDLE))).values(X),
    "Norm": lambda t: oracle(cax.Norm(1, center=t(MIDDLE))).values(X),
    "SquaredDistance.weights": lambda t: (
        oracle(cax.SquaredDistance(0.1, weights=t(WIDTH))).values(X)
    ),
    "Norm.weights": lambda t: oracle(cax.Norm(np.inf, weights=t(WIDTH))).values(X),
    "Scaling.mean": lambda t: oracle(cax.Logit(1), preprocess=cax.Scaling(t(LOW), 2.0)).values(X),
    "Scaling.std": lambda t: oracle(cax.Logit(1), preprocess=cax.Scaling(0, t(WIDTH))).values(X),
    "Scaling of a table": lambda t: np.asarray(
        cax.Scaling(t(LOW), t(WIDTH)).inverse(t(ROWS)) if t is plain else
        cax.Scaling(t(LOW), t(WIDTH)).inverse(t(ROWS))[list(NAMES)]
    ),
    "bounds": lambda t: box_from_bounds((t(LOW), t(LOW + WIDTH)), TABLE).bind(TABLE).project(X),
    "points one by one": of_set(lambda t: cax.ConvexHull([t(row) for row in ROWS])),
    "one row of Linear": of_set(lambda t: cax.Linear(t(MIDDLE), upper=-1)),
    "values of what is held": of_set(lambda t: cax.Fixed(PICKED, t(MIDDLE))),
    "dataset-search": lambda t: searched(t(ROWS)),
    "where of any set": of_set(lambda t: cax.L2Ball(1, where=t(MIDDLE > 0))),
}  # fmt: skip
PLACES = {**SETS, **OTHERS}


def plain(numbers: Any) -> Any:
    return numbers


def shuffled(order: list[int]) -> Table:
    """Return a table in another order of columns, of rows too where it is square."""

    def table(numbers: Any) -> Any:
        array = np.asarray(numbers)
        if array.shape[-1] == N:
            names, places = [NAMES[i] for i in order], order
        else:
            places = [i for i in order if i < array.shape[-1]]
            names = [NAMES[i] for i in places]
        if array.ndim == 1:
            return pd.Series(array[places], names)
        if array.shape == (N, N):
            return pd.DataFrame(array[np.ix_(places[::-1], places)], names[::-1], names)
        return pd.DataFrame(array[:, places], columns=names)

    return table


@pytest.mark.parametrize("place", PLACES)
def test_labels_decide_and_not_the_order(place: str) -> None:
    right = PLACES[place](plain)
    for order in ([5, 3, 1, 0, 2, 4], [1, 0, 2, 3, 4, 5]):
        np.testing.assert_array_equal(PLACES[place](shuffled(order)), right)


@given(order=st.permutations(range(N)))
def test_any_order_of_labels_gives_the_same_bounds(order: list[int]) -> None:
    table = shuffled(order)
    box = cax.Box(table(LOW), table(LOW + WIDTH)).bind(TABLE)
    np.testing.assert_array_equal(box.bounding_box(), [LOW, LOW + WIDTH])


@pytest.mark.parametrize("place", PLACES)
def test_a_default_index_is_no_labels(place: str) -> None:
    def unlabelled(numbers: Any) -> Any:
        return pd.Series(numbers) if np.ndim(numbers) == 1 else pd.DataFrame(numbers)

    if place != "Scaling of a table":
        np.testing.assert_array_equal(PLACES[place](unlabelled), PLACES[place](plain))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"blue": "bleu"}, r"nothing named 'bleu'.*'blue'"),
        ({"blue": "age"}, "'age' is given more than once"),
        ({"blue": None}, "lack 'blue'"),
    ],
    ids=["unknown", "twice", "missing"],
)
def test_a_label_that_does_not_fit_is_named(
    place: str, change: dict[str, str | None], words: str
) -> None:
    if "Scaling of" in place or ("NuclearNorm" in place and "missing" in words):
        return

    def table(numbers: Any) -> Any:
        right = shuffled(list(range(N)))(numbers)
        axis = right.ndim - 1
        if None in change.values():
            return right.drop(list(change), axis=axis)
        return right.rename(change) if axis == 0 else right.rename(columns=change)

    with pytest.raises(SpecificationError, match=words):
        PLACES[place](table)


@pytest.mark.parametrize("place", SETS)
def test_a_model_without_names_refuses_labels(place: str) -> None:
    bare = Layout.of_array((1, 4) if "Nuclear" in place else (N,))
    table = shuffled(list(range(N)))
    numbers = {"A": ROWS, "points": ROWS, "covariance": SQUARE}.get(place.split(".")[1], WIDTH)
    made = {
        "Fixed.value": lambda: cax.Fixed([0, 1], table(WIDTH)),
        "Fixed.where": lambda: cax.Fixed(table(MIDDLE > 0), 1.0),
    }.get(place)
    if made is None:
        kind, parameter = place.split(".")
        first = {"radius": 1, "count": 2, "total": 1, "covariance": 2.0, "normal": 1.0, "offset": 0}
        cls = getattr(cax, kind)
        needed = {one.name for one in dataclasses.fields(cls) if one.init}
        given = {name: value for name, value in first.items() if name in needed}
        given[parameter] = table(numbers)
        if kind == "Linear":
            given["upper"] = 1
        made = functools.partial(cls, **given)
    with pytest.raises(SpecificationError, match="pass feature_names="):
        made().bind(bare)


def test_no_parameter_of_a_set_is_forgotten() -> None:
    found = set()
    for name in every_set.__all__:
        cls = getattr(every_set, name)
        if isinstance(cls, type) and issubclass(cls, ConvexSet) and dataclasses.is_dataclass(cls):
            found |= {
                f"{name}.{one.name}"
                for one in dataclasses.fields(cls)
                if one.init and one.type == "Any" and not (one.name == "where" and name != "Fixed")
            }
    inner = {one for one in found if one.split(".")[0] in ("Intersection", "CvxpySet")}
    assert found - inner == set(SETS) | ROW_BY_ROW


def test_entries_that_where_picks_may_be_labelled_alone() -> None:
    picked = pd.Series({"blue": 5.0, "age": 1.0})
    for one in (cax.Fixed(PICKED, picked), cax.Box(picked, picked, where=PICKED)):
        held = one.bind(TABLE).project(np.zeros((1, N)))
        np.testing.assert_array_equal(held, [[1.0, 0, 0, 5.0, 0, 0]])
    with pytest.raises(SpecificationError, match="lack"):
        cax.Fixed([*PICKED, "red"], picked).bind(TABLE)


def test_rows_of_constraints_are_aligned_by_their_own_labels() -> None:
    table = pd.DataFrame(ROWS, ["cost", "weight", "area"], NAMES)
    bounds = pd.Series({"area": 3.0, "cost": 1.0, "weight": 2.0})
    one = cax.Linear(table, upper=bounds).bind(TABLE)
    np.testing.assert_array_equal(one.upper, [1.0, 2.0, 3.0])
    exact = cax.AffineSubspace(table, bounds).bind(TABLE)
    np.testing.assert_allclose(ROWS @ exact.project(X[:1])[0], [1.0, 2.0, 3.0], atol=1e-9)
    with pytest.raises(SpecificationError, match="A has nothing named 'price'"):
        cax.Linear(table, upper=bounds.rename({"cost": "price"})).bind(TABLE)
    with pytest.raises(SpecificationError, match="A has no names"):
        cax.Linear(ROWS, upper=bounds).bind(TABLE)


def test_a_covariance_with_labels_on_one_axis_has_them_on_both() -> None:
    right = cax.Ellipsoid(1, SQUARE).bind(TABLE).project(X)
    order = [5, 3, 1, 0, 2, 4]
    names, turned = [NAMES[i] for i in order], SQUARE[np.ix_(order, order)]
    for one in (pd.DataFrame(turned, columns=names), pd.DataFrame(turned, index=names)):
        np.testing.assert_array_equal(cax.Ellipsoid(1, one).bind(TABLE).project(X), right)


def test_columns_of_a_sequence_are_its_last_axis() -> None:
    layout = Layout((Input("x", (3, 2), ("left", "right")),))
    numbers = np.arange(6.0).reshape(3, 2)
    dates = pd.date_range("2024-01-01", periods=3)
    table = pd.DataFrame(numbers[:, ::-1], dates, ["right", "left"])
    np.testing.assert_array_equal(layout.flatten(table), numbers.ravel())
    row = pd.Series({"right": 1.0, "left": 0.0})
    np.testing.assert_array_equal(layout.flatten(row), [0, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(cax.L2Ball(1, row).bind(layout).center, [0, 1, 0, 1, 0, 1])


STATE, ACTION = ("p", "q", "r", "s"), ("left", "right")


@pytest.mark.parametrize("structure", ["list", "dict"])
def test_several_inputs_have_names_of_their_own(structure: str) -> None:
    net = two_inputs(structure)
    names = {"state": STATE, "action": ACTION}
    state, action = np.arange(4.0), np.array([-1.0, 1.0])
    flat = np.concatenate([state, action] if structure == "list" else [action, state])
    labelled = {
        "action": pd.Series(action[::-1], ACTION[::-1]),
        "state": pd.Series(state[::-1], STATE[::-1]),
    }
    frames = {name: pd.DataFrame([one, 2 * one]) for name, one in labelled.items()}
    scaling = {name: cax.Scaling(one, 1 + one.abs()) for name, one in labelled.items()}
    bare = cax.Oracle(net, cax.Output(0, head="power"), xla=False)
    own = cax.Oracle(
        net, cax.Output(0, head="power"), feature_names=names, preprocess=scaling, xla=False
    )
    np.testing.assert_array_equal(own.flatten(labelled), flat)
    np.testing.assert_array_equal(own.layout.rows(frames, "starts"), [flat, 2 * flat])
    np.testing.assert_array_equal(own.layout.rows([labelled, labelled], "starts"), [flat, flat])
    x = points("two inputs", 6)
    np.testing.assert_allclose(own.values(x), bare.values((x - flat) / (1 + np.abs(flat))))
    away = own.with_objectives(cax.SquaredDistance(labelled)).values(x)[:, 0]
    np.testing.assert_allclose(away, ((x - flat) ** 2).sum(axis=1))
    alone = own.with_objectives(cax.Norm(2, on="action", center=labelled["action"])).values(x)
    there = x[:, own.layout.slices["action"]]
    np.testing.assert_allclose(alone[:, 0], np.linalg.norm(there - action, axis=1))
    box = cax.Box(labelled["state"], labelled["state"], on="state").bind(own.layout)
    np.testing.assert_array_equal(box.project(x[:1])[0][own.layout.slices["state"]], state)
    with pytest.raises(SpecificationError, match=r"\['action'\].*nothing named 's'"):
        own.flatten({**labelled, "action": labelled["state"]})
    if structure == "list":
        np.testing.assert_array_equal(own.flatten([labelled[n] for n in names]), flat)
        both = pd.DataFrame([[*flat]], columns=[*STATE, *ACTION])
        with pytest.raises(SpecificationError, match="a vector of all inputs has no names"):
            own.layout.rows(both, "starts")


@pytest.mark.parametrize(
    "write",
    [
        lambda s: cax.Box(0, 1).project(s),
        lambda s: cax.Intersection([cax.Box(0, 1)]).bind(TABLE).violation(s),
        lambda s: cax.L2Ball(1).linear_maximizer(s),
        lambda s: oracle(cax.Logit(1)).value(s),
        lambda s: oracle(cax.Logit(1)).values(s.to_frame().T),
        lambda s: oracle(cax.Logit(1)).outputs(s),
        lambda s: oracle(cax.Logit(1)).batch(s),
        lambda s: oracle(cax.Logit(1)).unflatten(s),
        lambda s: cax.Direction("hidden", s),
        lambda s: cax.Output(0) <= s,
        lambda s: cax.Between(s, cax.Output(0), None),
        lambda s: cax.L2Ball(1, s).to_dict(),
        lambda s: cax.Scaling(s, 1)(np.ones(N)),
    ],
)
def test_where_nothing_has_names_labels_are_refused(write: Callable[[Any], Any]) -> None:
    with pytest.raises(SpecificationError, match="cannot be aligned"):
        write(pd.Series(MIDDLE, NAMES))


def test_a_set_is_printed_with_its_labels() -> None:
    layout = Layout((Input("x", (2,), ("a", "b")),))
    box = cax.Box(pd.Series({"b": 5.0, "a": 0.0}), pd.Series({"b": 6.0, "a": 1.0})).bind(layout)
    assert str(box) == "Box({b: 5, a: 0}, {b: 6, a: 1})"
    np.testing.assert_array_equal(box.bounding_box(), [[0, 5], [1, 6]])


def test_pandas_is_not_loaded_by_plain_numbers() -> None:
    import subprocess
    import sys

    code = (
        "import sys, constrained_actmax as cax;"
        "cax.Box([0, 0], [1, 1]).project([3, 3]); assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_model_that_the_labels_are_for() -> None:
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    lower, upper = pd.Series({"b": 5.0, "a": 0.0}), pd.Series({"b": 6.0, "a": 1.0})
    found = cax.maximize(
        net, cax.Output(0), cax.Box(lower, upper), feature_names=["a", "b"], x0=upper[::-1]
    )
    slope = np.asarray(net.layers[0].kernel)[:, 0]
    np.testing.assert_allclose(found.x, np.where(slope > 0, [1.0, 6.0], [0.0, 5.0]))

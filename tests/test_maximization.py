"""The main job, end to end, on real Keras models."""

from __future__ import annotations

import inspect
import typing
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import sample_models
import scipy.optimize

import constrained_actmax as cax
from constrained_actmax.errors import InfeasibleError, SpecificationError
from constrained_actmax.maximization import Options
from constrained_actmax.problem import MODEL_OPTIONS

BUDGETED = [cax.Box(0, 1), cax.L1Ball(60)]
FLAT = np.full((28, 28), 60 / 784)  # a start on the budget, the same for every pixel


@pytest.fixture(name="model", scope="module")
def _model() -> Any:
    return cax.examples.load_model()


def smooth_twin(model: Any) -> Any:
    """Return the embedded model's weights under tanh."""
    image = keras.Input((28, 28), name="image")
    hidden = keras.layers.Flatten()(image)
    hidden = keras.layers.Dense(128, activation="tanh")(hidden)
    twin = keras.Model(image, keras.layers.Dense(10, activation="softmax")(hidden))
    twin.set_weights(model.get_weights())
    return twin


def logit_by_hand(model: Any, x: np.ndarray, k: int) -> float:
    """Return a logit of the embedded model from its weights alone, in float64."""
    w1, b1, w2, b2 = (np.asarray(w, dtype=np.float64) for w in model.get_weights())
    return float((np.maximum(x.ravel() @ w1 + b1, 0) @ w2 + b2)[k])


def test_the_main_job(model: Any, tmp_path: Path) -> None:
    before = [w.copy() for w in model.get_weights()]
    result = cax.maximize(model, cax.Logit(7), BUDGETED, seed=0)
    assert result.feasible
    assert result.x.shape == (28, 28)
    assert result.x.dtype == np.float64
    assert result.x.min() >= 0
    assert result.x.max() <= 1
    assert np.abs(result.x).sum() <= 60 * (1 + 1e-12)
    assert result.value == pytest.approx(logit_by_hand(model, result.x, 7), rel=1e-5)
    assert result.value > 24
    assert result.method == "search-and-finish"
    assert "kinks" in result.reason
    assert model.predict(result.batch, verbose=0).argmax() == 7
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    loaded = cax.load_result(result.save(tmp_path))
    np.testing.assert_array_equal(loaded.x, result.x)


def test_the_printed_residual_equals_one_by_hand(model: Any) -> None:
    result = cax.maximize(model, cax.Logit(7), BUDGETED, method="pgd", seed=3)
    w1, b1, w2, _ = (np.asarray(w, dtype=np.float64) for w in model.get_weights())
    x = result.x.ravel()
    ascent = w1 @ ((x @ w1 + b1 > 0) * w2[:, 7])

    def projected(t: float) -> np.ndarray:
        return np.clip(x + ascent - t, 0, 1)

    t = 0.0
    if projected(0.0).sum() > 60:
        t = scipy.optimize.brentq(lambda t: projected(t).sum() - 60, 0, 10, xtol=1e-14)
    by_hand = np.abs(projected(t) - x).max()
    assert result.optimality.residual == pytest.approx(by_hand, rel=1e-4)
    assert f"{by_hand:.3g} in input units" in str(result)


def test_projected_methods_agree_on_the_embedded_model(model: Any) -> None:
    problem = cax.Problem(model, cax.Logit(7), BUDGETED)
    values = [cax.solve(problem, method=method, x0=FLAT).value for method in ("pgd", "spg")]
    assert max(values) - min(values) <= 0.005 * max(values)


@pytest.mark.slow
def test_slsqp_agrees_with_the_projected_methods(
    model: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = cax.Problem(model, cax.Logit(7), BUDGETED)
    results = {
        method: cax.solve(problem, method=method, x0=FLAT, options=options)
        for method, options in {
            "SLSQP": {"maxiter": 80},
            "spg": {},
            "pgd": {},
            "trust-constr": {"maxiter": 200},
        }.items()
    }
    for result in results.values():
        assert result.feasible
        assert result.maxcv <= 1e-12
    best = max(result.value for result in results.values())
    for method in ("SLSQP", "spg", "pgd"):
        assert results[method].value >= best * (1 - 0.01), method
    short = 1 - results["trust-constr"].value / best
    with capsys.disabled():
        print(f"\ntrust-constr ends {100 * short:.2f} % below the best of the others")  # noqa: T201
    assert short < 0.05


@pytest.mark.slow
def test_all_methods_agree_on_the_smooth_twin(model: Any) -> None:
    twin = smooth_twin(model)
    problem = cax.Problem(twin, cax.Logit(7), BUDGETED, precision="float64")
    x0 = problem.layout.unflatten(problem.set.sample(np.random.default_rng(0), 1)[0])
    values = {}
    for method, options in {
        "spg": {},
        "pgd": {"iterations": 3000},
        "fista": {},
        "pqn": {},
        "trust-constr": {},
        "SLSQP": {"ftol": 1e-10},
    }.items():
        result = cax.solve(problem, method=method, x0=x0, options=options)
        assert result.feasible
        assert result.maxcv <= 1e-12
        values[method] = result.value
    spread = max(values.values()) - min(values.values())
    assert spread <= 1e-5 * max(values.values()), values


def test_bounds_alone_take_l_bfgs_b_and_agree_with_scipy(model: Any) -> None:
    twin = smooth_twin(model)
    result = cax.maximize(
        twin, cax.LogProbability(4), bounds=[(0, 1)] * 784, x0=FLAT, precision="float64"
    )
    assert result.method == "L-BFGS-B"
    oracle = cax.Oracle(twin, -cax.LogProbability(4), precision="float64")
    theirs = scipy.optimize.minimize(
        oracle.to_scipy(),
        oracle.flatten(FLAT),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, 1)] * 784,
        options={"gtol": 1e-6, "ftol": 1e-15, "maxls": 40},
    )
    # The value is within 1e-5 of its largest, 0, at which it is flat.
    assert -theirs.fun - 1e-8 <= result.value <= 0
    assert oracle.unflatten(theirs.x).shape == (28, 28)


def test_minimize_is_the_same_with_the_other_sign(model: Any) -> None:
    down = cax.minimize(model, cax.Logit(7), BUDGETED, x0=FLAT)
    up = cax.maximize(model, -cax.Logit(7), BUDGETED, x0=FLAT)
    assert down.value == -up.value
    assert down.fun == down.value
    np.testing.assert_array_equal(down.x, up.x)


def test_the_nearest_coat_to_a_shirt(model: Any) -> None:
    shirt = cax.examples.reference("Shirt")
    result = cax.maximize(
        model, cax.Margin(4), [cax.Box(0, 1), cax.L2Ball(0.5, center=shirt)], x0=shirt
    )
    assert result.value > 0
    assert np.linalg.norm(result.x - shirt) <= 0.5 * (1 + 1e-12)
    assert model.predict(result.batch, verbose=0).argmax() == 4


def test_a_penalty_bounds_an_unbounded_problem(model: Any) -> None:
    with pytest.raises(SpecificationError, match="not bounded above on an unbounded set"):
        cax.maximize(model, cax.Logit(7))
    result = cax.maximize(model, cax.Logit(7) - 0.1 * cax.Norm(2), x0=FLAT, method="spg")
    assert result.feasible
    assert result.status is not cax.Status.SOLVER_ERROR


def _network(*layers: Any) -> Any:
    return keras.Sequential([keras.Input((3,)), *layers])


NEGATIVE = keras.initializers.Constant(-1.0)
#: Networks of piecewise linear operations, the objective's supremum over all inputs.
ENDING: dict[str, tuple[Any, float]] = {
    "-relu(x)": (lambda: _network(_negated(keras.ops.relu)), 0.0),
    "-|x|": (lambda: _network(_negated(keras.ops.abs)), 0.0),
    "negative output weights": (
        lambda: _network(
            keras.layers.Dense(8, "relu"), keras.layers.Dense(1, kernel_initializer=NEGATIVE)
        ),
        0.0,
    ),
    "1 - max-pooling of |x|": (
        lambda: _network(_negated(lambda x: keras.ops.max(keras.ops.abs(x), -1, True) - 1.0)),
        1.0,
    ),
}


def _negated(function: Any) -> Any:
    return keras.layers.Lambda(lambda x: -function(x))


@pytest.mark.parametrize("name", ENDING)
def test_a_bounded_network_needs_no_set(name: str) -> None:
    make, supremum = ENDING[name]
    model = make()
    start = np.array([0.6, -0.4, 0.2])
    result = cax.maximize(model, cax.Output(0), x0=start, starts=4, seed=0, method="pgd")
    assert result.status is not cax.Status.UNBOUNDED
    assert supremum - 0.05 <= result.value <= supremum
    with pytest.raises(SpecificationError, match="not bounded below on an unbounded set"):
        cax.minimize(model, cax.Output(0))


def test_growth_is_looked_for_inside_the_set() -> None:
    relu = _network(keras.layers.ReLU())
    with pytest.raises(SpecificationError, match="not bounded above"):
        cax.Problem(relu, cax.Output(0), cax.Box(-1, np.inf))
    result = cax.maximize(relu, cax.Output(0), cax.Box(-np.inf, 1), seed=0, starts=4)
    assert result.value == 1.0
    with pytest.raises(SpecificationError, match="not bounded above"):
        cax.Problem(relu, cax.SquaredDistance(np.ones(3)))


def test_fixed_pixels_stay_at_x0(model: Any) -> None:
    shirt = cax.examples.reference("Shirt")
    mask = np.zeros((28, 28), dtype=bool)
    mask[:14] = True
    result = cax.maximize(
        model,
        cax.Logit(7),
        [cax.Box(0, 1), cax.L1Ball(20, center=shirt), cax.Fixed(mask)],
        x0=shirt,
    )
    np.testing.assert_array_equal(result.x[mask], shirt[mask])
    assert np.abs(result.x - shirt).sum() <= 20 * (1 + 1e-12)
    assert result.value > logit_by_hand(model, shirt, 7) + 5
    with pytest.raises(SpecificationError, match="Fixed"):
        cax.maximize(model, cax.Logit(7), [cax.Box(0, 1), cax.Fixed(mask)])


def test_several_inputs_by_name() -> None:
    for structure in ("list", "dict"):
        model = sample_models.two_inputs(structure)
        state = np.linspace(-1, 1, 4)
        result = cax.maximize(
            model,
            cax.Output(0, head="power"),
            [cax.Fixed("state", value=state), cax.Box(-2, 2, on="action")],
            seed=0,
        )
        x = (
            dict(zip(("state", "action"), result.x, strict=True))
            if structure == "list"
            else (result.x)
        )
        np.testing.assert_array_equal(x["state"], state)
        assert np.abs(x["action"]).max() <= 2
        assert result.feasible
        again = cax.maximize(
            model,
            cax.Output(0, head="power"),
            [cax.Fixed("state", value=state), cax.Box(-2, 2, on="action")],
            x0=result.x,
        )
        assert again.value >= result.value - 1e-9


def test_output_limits_are_constraints(model: Any) -> None:
    pullover = cax.examples.reference("Pullover")
    near = [cax.Box(0, 1), cax.L2Ball(2, center=pullover)]
    names = {"labels": cax.examples.CLASS_NAMES, "x0": pullover}
    free = cax.maximize(model, cax.Logit("Coat"), near, **names)
    cap = 0.5 * (logit_by_hand(model, free.x, 6) + logit_by_hand(model, pullover, 6))
    cap = min(cap, logit_by_hand(model, free.x, 6) - 1.0)
    capped = cax.maximize(model, cax.Logit("Coat"), [*near, cax.Logit("Shirt") <= cap], **names)
    assert capped.feasible
    assert capped.method == "search-and-finish"
    allowed = max(one for one in capped.tolerances if one is not None)
    assert allowed <= 1e-4
    assert logit_by_hand(model, capped.x, 6) <= cap + allowed + 1e-6  # float32
    assert logit_by_hand(model, capped.x, 6) >= cap - 1e-3  # the cap is what stops it
    (price,) = [p for name, p in capped.optimality.multipliers.items() if "Shirt" in name]
    assert price > 0


def test_the_result_does_not_depend_on_history(model: Any) -> None:
    one = cax.maximize(model, cax.Logit(7), BUDGETED, starts=3, seed=5)
    cax.maximize(model, cax.Logit(2), [cax.Box(0, 1)], seed=1)
    two = cax.maximize(model, cax.Logit(7), BUDGETED, starts=3, seed=5)
    np.testing.assert_array_equal(one.x, two.x)
    assert one.value == two.value


def test_x0_is_taken_in_every_shape(model: Any) -> None:
    problem = cax.Problem(model, cax.Logit(7), BUDGETED)
    image = cax.examples.reference(7) * 0.1
    for x0 in (image, image[None], image.astype(np.float32), image.tolist()):
        result = cax.solve(problem, x0=x0, method="spg", budget=cax.Budget(evaluations=5))
        np.testing.assert_allclose(result.starts[0].x0, image.ravel(), rtol=1e-6)
    with pytest.raises(SpecificationError, match=r"use \.reshape\(28, 28\)"):
        cax.solve(problem, x0=image.ravel())
    with pytest.raises(SpecificationError, match=r"expected shape \(28, 28\), got \(28, 27\)"):
        cax.solve(problem, x0=image[:, 1:])


@pytest.mark.parametrize(
    ("objective", "constraints", "message"),
    [
        (lambda: cax.Logit(10), lambda: [cax.Box(0, 1)], "10"),
        (
            lambda: cax.Logit(
                "Trouser",
            ),
            lambda: [cax.Box(0, 1)],
            "labels",
        ),
        (lambda: cax.Neuron("dense_9", 0), lambda: [cax.Box(0, 1)], "dense"),
        (lambda: 7, lambda: [cax.Box(0, 1)], "expected an objective such as Logit"),
        (lambda: cax.Logit(7) <= 3, lambda: [cax.Box(0, 1)], "is a constraint"),
        (lambda: cax.Logit(7), lambda: [cax.Box], "is a class; write Box"),
        (lambda: cax.Logit(7), lambda: [3 <= 4], "one side must be an objective"),
        (lambda: cax.Logit(7), lambda: ["box"], "got str"),
        (lambda: cax.Logit(7), lambda: [cax.Box(1, 0)], "lower must be <= upper"),
        (lambda: cax.Logit(7), lambda: [cax.L1Ball(-1)], "radius must be .*>= 0, got -1"),
        (lambda: cax.Logit(7), lambda: [cax.L2Ball(np.nan)], "radius must be .*got nan"),
        (lambda: cax.Logit(7), lambda: [cax.Box(0, 1, on="picture")], "no input 'picture'"),
        (lambda: cax.Logit(7), lambda: [cax.L2Ball(1, center=np.zeros(3))], "center"),
    ],
)
def test_bad_input_is_told(model: Any, objective: Any, constraints: Any, message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        cax.maximize(model, objective(), constraints())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: cax.solve(m), "solve: expected Problem.*got Sequential"),
        (lambda m: cax.check(m), "check: expected Problem.*got Sequential"),
        (lambda m: cax.maximize(m, [], BUDGETED), "maximize: the list of objectives is empty"),
        (
            lambda m: cax.maximize(m, cax.Logit(7), BUDGETED, feasibility_tolerance="a"),
            "feasibility_tolerance must be a finite number >= 0, got 'a'",
        ),
        (
            lambda m: cax.maximize(
                m, cax.Logit(7), BUDGETED, preprocess=cax.Scaling(np.zeros(3), np.ones(3))
            ),
            r"Scaling: mean of shape \(3,\) does not broadcast to an input of shape \(28, 28\)",
        ),
    ],
)
def test_calls_that_cannot_be_meant_are_told(model: Any, call: Any, message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        call(model)


def test_constraints_that_clash_are_named_with_their_numbers(model: Any) -> None:
    bright = [cax.Box(0.5, 1), cax.L1Ball(60)]
    with pytest.raises(
        InfeasibleError, match=r"Box\(0\.5, 1\) and L1Ball\(60\).*by 0\.4235.*by 332"
    ):
        cax.maximize(model, cax.Logit(7), bright)


def test_unknown_options_of_the_model_are_suggested(model: Any) -> None:
    with pytest.raises(SpecificationError, match="no option 'label'.*'labels'"):
        cax.maximize(model, cax.Logit(7), BUDGETED, label=["a"])
    with pytest.raises(SpecificationError, match="minimize: no option 'metod'.*'method'"):
        cax.minimize(model, cax.Logit(7), BUDGETED, metod="spg")
    with pytest.raises(SpecificationError, match="belongs to the model"):
        cax.maximize(cax.Oracle(model), cax.Logit(7), BUDGETED, labels=["a"])


def test_several_objectives_take_no_progress(model: Any) -> None:
    wanted = [cax.Logit(7), cax.Logit(8)]
    with pytest.raises(SpecificationError, match="progress: several objectives run side by"):
        cax.maximize(model, wanted, BUDGETED, progress=lambda _: None)


def test_a_name_that_is_a_heads_is_told_apart_from_a_label() -> None:
    import keras

    x = keras.Input((2,))
    layers = keras.layers
    heads = {
        "fault": layers.Dense(1, activation="sigmoid", name="fault")(x),
        "gain": layers.Dense(1, name="gain")(x),
    }
    two = keras.Model(x, heads)
    with pytest.raises(SpecificationError, match="Probability: 'fault' is a head; write head="):
        cax.maximize(two, cax.Output("gain"), [cax.Box(0, 1), cax.Probability("fault") <= 0.1])
    with pytest.raises(SpecificationError, match="Logit: no head 'bag'"):
        cax.maximize(two, cax.Logit("bag"), cax.Box(0, 1))


def test_check_says_what_will_happen_before_it_happens(model: Any) -> None:
    problem = cax.Problem(model, cax.Logit(7), BUDGETED)
    found = cax.check(problem)
    assert found.variables == 784
    assert found.smooth is False
    assert found.gradient_error < 1e-2
    assert found.start_violation <= 1e-12
    assert found.method.startswith("search-and-finish")
    assert {"L-BFGS-B", "TNC", "COBYQA"} <= set(found.refused)
    assert "evaluation    " in str(found)
    assert cax.solve(problem, budget=cax.Budget(evaluations=3)).method == "search-and-finish"


def test_check_measures_the_gradient_in_columns_of_unlike_units() -> None:
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Normalization(mean=[50.0, 1000.0, 3.0], variance=[100.0, 2500.0, 1.0]),
            layers.Dense(16, activation="gelu"),
            layers.Dense(1),
        ]
    )
    problem = cax.Problem(model, cax.Output(0), cax.Box([30, 900, 1], [70, 1100, 5]))
    assert cax.check(problem).gradient_error < 1e-2  # 0.1 with one step length for all columns


REAL: dict[str, tuple[Any, Any]] = {
    "fashion_mnist_cnn.keras": (cax.Logit(7), lambda: [cax.Box(0, 1), cax.L1Ball(60)]),
    "fer2013_mini_xception.hdf5": (cax.Logit(3), lambda: [cax.Box(-1, 1), cax.L2Ball(10)]),
    "cifar10_resnet.h5": (cax.Logit(3), lambda: [cax.Box(0, 255)]),
    "visual_wake_words_mobilenet.keras": (
        cax.Logit(1),
        lambda: [cax.Box(0, 1), cax.L2Ball(10, center=0.5)],
    ),
    "crepe_tiny_pitch.keras": (cax.Logit(100), lambda: [cax.L2Ball(32)]),
    "dna_regulatory_cnn.keras": (cax.Output(0), lambda: [cax.Box(0, 1)]),
    "adult_income.h5": (cax.Logit(1), lambda: [cax.Box(0, 1), cax.L1Ball(3, center=0.5)]),
    "molecule_properties.h5": (cax.Output(0), lambda: [cax.L2Ball(10)]),
    "reformer_surrogate.keras": (cax.Output(10), lambda: [cax.Box(0, 1)]),
    "aircraft_sizing.keras": (cax.Output(0), lambda: [cax.Box(-1, 1)]),
    "racing_critic_two_inputs.keras": (cax.Output(0), lambda: [cax.Box(-1, 1)]),
    "half_plus_two_saved_model": (cax.Output(0), lambda: [cax.Box(0, 10)]),
}


@pytest.mark.parametrize("name", list(REAL))
def test_models_that_other_people_trained(name: str, shared: Path) -> None:
    objective, constraints = REAL[name]
    result = cax.maximize(
        shared / "models" / name,
        objective,
        constraints(),
        seed=0,
        budget=cax.Budget(evaluations=60),
    )
    assert result.feasible
    assert result.maxcv <= 1e-12
    assert result.value > result.history.value[0] or result.success
    assert result.nfev <= 60
    if name == "half_plus_two_saved_model":
        assert result.value == 7.0


@pytest.mark.parametrize("method", ["spg", "L-BFGS-B", "SLSQP"])
def test_a_saturated_softmax_is_named(model: Any, method: str) -> None:
    result = cax.maximize(model, cax.Probability(7), cax.Box(0, 1), seed=0, method=method)
    if result.value < 0.5:
        assert not result.success
        assert result.status is cax.Status.ZERO_GRADIENT
        assert "Logit or LogProbability" in result.message


def test_a_bounded_objective_needs_no_set(model: Any) -> None:
    result = cax.maximize(model, cax.Probability(7), seed=0, budget=cax.Budget(evaluations=50))
    assert 0.0 <= result.value <= 1.0
    assert result.maxcv == 0.0


def test_running_away_is_named_before_the_first_step() -> None:
    slope = cax.FunctionOracle(lambda x: (float(x.sum()), np.ones_like(x)), 3)
    result = cax.maximize(slope, seed=0, method="L-BFGS-B")
    assert result.status is cax.Status.UNBOUNDED
    assert result.nfev < 200


def test_seconds_hold_while_starts_work_between_their_requests(model: Any) -> None:
    result = cax.maximize(
        model,
        cax.Logit(7),
        BUDGETED,
        method="SLSQP",
        starts=8,
        seed=0,
        budget=cax.Budget(seconds=0.2),
    )
    assert result.seconds < 8  # one SLSQP step takes up to a second here, eight starts take eight
    assert result.feasible


def test_constraints_said_twice_cost_nothing(model: Any) -> None:
    problem = cax.Problem(model, cax.Logit(7), [*BUDGETED, cax.Box(0, 1), cax.L1Ball(60)])
    assert len(problem.set.members) == 2
    assert "dual" in problem.set.projection_method


def test_a_budget_below_the_starts_is_told(model: Any) -> None:
    with pytest.raises(SpecificationError, match="2 evaluations are fewer than the 3 starts"):
        cax.maximize(
            model, cax.Logit(7), BUDGETED, starts=3, seed=0, budget=cax.Budget(evaluations=2)
        )
    for method in ("frank-wolfe", "spg"):
        result = cax.maximize(
            model,
            cax.Logit(7),
            BUDGETED,
            x0=FLAT,
            method=method,
            budget=cax.Budget(evaluations=60),
        )
        assert result.nfev <= 60


def test_a_list_for_a_dict_of_inputs_is_told() -> None:
    model = sample_models.two_inputs("dict")
    with pytest.raises(SpecificationError, match="give a dict with the keys"):
        cax.maximize(
            model, cax.Output(0, head="power"), cax.Box(-1, 1), x0=[np.zeros(4), np.zeros((3, 2))]
        )


def test_a_function_that_gives_no_gradient_is_told() -> None:
    with pytest.raises(SpecificationError, match=r"must return \(value, gradient\), got float"):
        cax.maximize(cax.FunctionOracle(lambda x: 0.0, 3), constraints=cax.Box(0, 1))


@pytest.mark.parametrize("call", [cax.maximize, cax.minimize])
def test_types_of_the_calls_name_every_option(call: Any) -> None:
    one, several = typing.get_overloads(call)
    assert one.__annotations__["return"] == "Result"
    assert several.__annotations__["return"] == "list[Result | Failure]"
    taken = set(inspect.signature(call).parameters) - {"model", "objective", "constraints"}
    assert set(Options.__annotations__) == taken - {"model_options"} | set(MODEL_OPTIONS)

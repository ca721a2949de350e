"""Every entrant: the model untouched, the budget kept, the same twice, refusals that help."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from sample_models import convolutional, dense, subclassed
from sample_problems import quadratic

import constrained_actmax as cax
from constrained_actmax.baselines import BASELINES
from constrained_actmax.baselines.rival import RivalBaseline
from constrained_actmax.tasks.recording import Recording

RIVALS = [name for name, kind in BASELINES.items() if issubclass(kind, RivalBaseline)]
TRAINERS = ["identity-dense", "trainable-input", "input-mask"]
OWN = [name for name in BASELINES if name not in RIVALS]
BUDGET = 40


def entrant(name: str, samples: np.ndarray) -> Any:
    if name == "dataset-search":
        return cax.DatasetSearch(samples=samples)
    return BASELINES[name]()


def available(name: str) -> None:
    kind = BASELINES[name]
    if issubclass(kind, RivalBaseline):
        pytest.importorskip(kind.module, reason=f"needs {kind.distribution}")


@pytest.fixture(scope="module")
def network() -> Any:
    """Return a small compiled network in float32, with one layer frozen by its owner."""
    keras.utils.set_random_seed(0)  # of the dropout in its fit
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.dtype == "float32":
            weight.assign(np.abs(rng.standard_normal(weight.shape)) + 0.1)
    for layer in (model.layers[0], model.layers[-1]):
        kernel = layer.kernel
        kernel.assign(rng.standard_normal(kernel.shape))
    model.layers[0].trainable = False
    model.compile(keras.optimizers.SGD(0.25), "sparse_categorical_crossentropy")
    model.fit(rng.random((4, 6, 6, 1)), np.zeros(4), verbose=0)  # gives the optimizer a state
    return model


@pytest.fixture(scope="module")
def problem(network: Any) -> cax.Problem:
    center = np.full((6, 6, 1), 0.5)
    return cax.Problem(network, cax.Logit(1), [cax.Box(0, 1), cax.L2Ball(1.0, center=center)])


def state(model: Any) -> tuple[Any, ...]:
    return (
        [np.asarray(weight.value).tobytes() for weight in model.weights],
        [np.asarray(one.value).tobytes() for one in model.optimizer.variables],
        [layer.trainable for layer in model.layers],
        [layer.name for layer in model.layers],
        [len(layer._inbound_nodes) for layer in model.layers],
        [len(layer._losses) for layer in model.layers],
        [sorted(layer.__dict__) for layer in model.layers],
        model.loss,
        model.compiled,
        model.stop_training,
    )


@pytest.mark.parametrize("name", list(BASELINES))
def test_leaves_the_model_as_it_was_and_keeps_its_budget(
    name: str, network: Any, problem: cax.Problem
) -> None:
    available(name)
    before = state(network)
    rng = np.random.default_rng(1)
    method = entrant(name, rng.random((100, 6, 6, 1)))
    run = Recording(problem, 1, budget=cax.Budget(evaluations=BUDGET))
    start = problem.set.sample(rng, 1)
    kept = start.copy()
    (ended,) = method.solve(run, start)
    assert state(network) == before
    np.testing.assert_array_equal(start, kept)
    assert 0 < run.evaluations <= BUDGET
    assert ended.x.shape == (36,)
    assert np.isfinite(ended.x).all()
    assert method.limits


@pytest.mark.parametrize("name", OWN)
def test_the_same_twice(name: str, problem: cax.Problem) -> None:
    method = entrant(name, np.random.default_rng(1).random((20, 36)))
    runs = [
        cax.compare(problem, {"it": method}, starts=2, budget=15, seed=3).trials for _ in range(2)
    ]
    for one, two in zip(*runs, strict=True):
        np.testing.assert_array_equal(one.raw, two.raw)
        assert one.evaluations == two.evaluations


@pytest.mark.parametrize("name", [*TRAINERS, "gradient-ascent", "projected-adam"])
@pytest.mark.parametrize("make", [dense, convolutional], ids=["dense", "convolutional"])
def test_raises_the_probability_of_a_class(name: str, make: Any) -> None:
    problem = cax.Problem(make(), cax.Probability(2))
    rates = {"gradient-ascent": {"rate": 0.1}, "projected-adam": {"rate": 0.1}}
    method = BASELINES[name](**rates.get(name, {"rate": 0.05, "epochs": 60}))
    start = np.random.default_rng(3).standard_normal((1, problem.size))
    found = cax.compare(problem, {name: method}, starts=start)
    assert found.trials[0].raw_value > found.problems[0].start_values[0] + 0.2


def test_class_0_of_one_sigmoid_is_its_complement() -> None:
    problem = cax.Problem(subclassed(), cax.Probability(0))
    method = cax.InputMask(rate=0.05, epochs=60)
    found = cax.compare(problem, {"it": method}, starts=np.full((1, 3), 0.2))
    assert found.trials[0].raw_value > found.problems[0].start_values[0] + 0.02


def test_gradient_ascent_is_the_answer_s_own_loop(problem: cax.Problem) -> None:
    x = start = problem.set.sample(np.random.default_rng(2), 1)
    for _ in range(7):
        g = -problem.evaluate(x).gradient  # of the logit
        x = x + 1.0 * g / (np.linalg.norm(g) + 1e-5)
    trial = cax.compare(problem, cax.GradientAscent(steps=7), starts=start).trials[0]
    np.testing.assert_allclose(trial.raw, x[0], atol=1e-12)  # two sums of squares, last bits
    assert trial.evaluations == 7
    np.testing.assert_allclose(trial.x, problem.set.project(x[0]), atol=1e-12)


def test_one_row_of_ones_has_n_plus_1_times_the_rate() -> None:
    problem = cax.Problem(dense("tanh"), cax.Probability(1))
    start = np.zeros((1, 6))
    ones = cax.compare(problem, cax.IdentityDense(data="ones", epochs=1, rate=1e-4), starts=start)
    moved = np.abs(ones.trials[0].raw)
    np.testing.assert_allclose(moved, 7e-4, rtol=1e-2)  # Adam's first step is the rate itself


def test_identity_rows_count_n_rows_a_step() -> None:
    problem = cax.Problem(dense(), cax.Probability(1))
    found = cax.compare(problem, cax.IdentityDense(data="identity", epochs=4), starts=1)
    assert found.trials[0].evaluations == 4 * 6
    cut = cax.compare(problem, cax.IdentityDense(data="identity"), starts=1, budget=15)
    assert cut.trials[0].evaluations == 12
    assert cut.trials[0].status == "BUDGET"


def test_dataset_search_is_the_best_of_the_data(problem: cax.Problem) -> None:
    samples = np.random.default_rng(4).random((50, 6, 6, 1))
    flat = samples.reshape(50, 36)
    values = -problem.evaluate(problem.set.project(flat)).f
    projected = cax.compare(problem, cax.DatasetSearch(samples=samples)).trials[0]
    assert projected.value == pytest.approx(values.max(), rel=1e-6)
    assert projected.raw_violation == 0.0
    raw = cax.compare(problem, cax.DatasetSearch(samples=samples, choice="sample")).trials[0]
    assert raw.raw_value == pytest.approx(float((-problem.evaluate(flat).f).max()), rel=1e-6)
    assert raw.raw_violation > 0
    inside = problem.set.project(flat[:3] * 0.01 + 0.5)
    mixed = np.concatenate([flat, inside])
    feasible = cax.compare(problem, cax.DatasetSearch(samples=mixed, choice="feasible")).trials[0]
    assert (feasible.raw == inside).all(axis=1).any()


def test_settings_are_checked_and_printed_short() -> None:
    with pytest.raises(cax.SpecificationError, match="rate must be > 0, got 0"):
        cax.GradientAscent(rate=0)
    with pytest.raises(cax.SpecificationError, match="decay must be"):
        cax.ProjectedAdam(decay="linear")  # type: ignore[arg-type]
    with pytest.raises(cax.SpecificationError, match="one sample a row"):
        cax.DatasetSearch(samples=[1.0, 2.0])
    assert repr(cax.DatasetSearch(samples=np.zeros((9, 28, 28))).samples) == (
        "9 samples of shape (28, 28)"
    )


@pytest.mark.parametrize("name", TRAINERS)
def test_trainers_refuse_what_they_cannot_train(name: str) -> None:
    model = dense()
    for problem, words in (
        (quadratic(3, [cax.Box(0, 1)]), "no"),
        (cax.Problem(model, cax.Logit(1), [cax.Box(0, 1)], sense="minimize"), "minimises"),
        (cax.Problem(model, cax.Neuron("hidden", 1), [cax.Box(0, 1)]), "is not"),
    ):
        reason = BASELINES[name]().refusal(problem)
        assert reason is not None
        assert words in reason
        assert "use method=" in reason


@pytest.mark.parametrize("name", RIVALS)
def test_an_absent_package_is_named(
    name: str, problem: cax.Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    reason = BASELINES[name]().refusal(problem)
    assert reason is not None
    assert 'pip install "constrained-actmax[rivals]"' in reason


@pytest.mark.parametrize("name", ["foolbox", "adversarial-robustness-toolbox"])
def test_attacks_end_in_the_ball(name: str, network: Any) -> None:
    available(name)
    center = np.full((6, 6, 1), 0.5)
    for ball in (cax.L1Ball, cax.L2Ball, cax.LinfBall):
        problem = cax.Problem(network, cax.Logit(1), [cax.Box(0, 1), ball(0.3, center=center)])
        trial = cax.compare(problem, name, budget=30).trials[0]
        assert trial.outcome == "ran"
        assert trial.raw_violation <= 1e-5
        assert trial.value > problem.user_oracle.value(center.ravel())


@pytest.mark.parametrize("name", ["foolbox", "adversarial-robustness-toolbox"])
def test_attacks_refuse_what_is_no_ball(name: str, network: Any) -> None:
    available(name)
    problem = cax.Problem(network, cax.Logit(1), [cax.Box(0, 1)])
    trial = cax.compare(problem, name, budget=30).trials[0]
    assert trial.outcome == "refused"
    assert "use method='auto'" in trial.reason

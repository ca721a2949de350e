"""The oracle of in-memory models: frozen, compiled once, counted, addressed by name."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import keras
import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf
from sample_models import (
    MODELS,
    convolutional,
    dense,
    nested,
    points,
    preprocessing,
    shaken,
    subclassed,
    two_inputs,
)

from constrained_actmax import (
    Layer,
    Logit,
    Margin,
    Neuron,
    Norm,
    Oracle,
    Output,
    Probability,
    Scaling,
    SquaredDistance,
)
from constrained_actmax.conformance import check_oracle
from constrained_actmax.errors import ModelError, NonFiniteError, SpecificationError
from constrained_actmax.oracles import evaluate_together

L = keras.layers


@pytest.fixture(scope="module")
def small() -> Oracle:
    return Oracle(dense(), Logit(2), xla=False)


def fingerprint(model: Any) -> list[Any]:
    """Return all that an oracle must leave as it is."""
    layers = list(model._flatten_layers())
    optimizer = getattr(model, "optimizer", None)
    return [
        [np.asarray(weight.value).tobytes() for weight in model.weights],
        [layer.trainable for layer in layers],
        [sorted(layer.__dict__) for layer in layers],
        [len(layer._losses) for layer in layers],
        [np.asarray(v.value).tobytes() for v in optimizer.variables] if optimizer else None,
        [layer.get_config() for layer in layers if layer is not model],
    ]


@pytest.mark.parametrize("name", list(MODELS))
def test_laws(name: str) -> None:
    model = MODELS[name]()
    oracle = Oracle(model, Layer("hidden") if name == "two inputs" else Logit(1), xla=False)
    check_oracle(oracle, points(name, oracle.size, 3))


@pytest.mark.parametrize("name", list(MODELS))
def test_model_is_left_as_it_was(name: str) -> None:
    model = MODELS[name]()
    model.compile("adam", "mse")
    layer = next(one for one in model.layers if not isinstance(one, L.InputLayer))
    layer.trainable = False
    before = fingerprint(model)
    oracle = Oracle(model, Norm(2) + Layer(layer.name), xla=False)
    x = points(name, oracle.size)
    oracle.evaluate(x)
    oracle.hessian_product(x[0], x[1])
    assert fingerprint(model) == before


def test_losses_added_while_tracing_do_not_stay() -> None:
    model = keras.Sequential(
        [keras.Input((3,)), L.Dense(2, activity_regularizer="l2"), L.ActivityRegularization(0.1)]
    )
    Oracle(model, Output(0), xla=False).evaluate(np.ones((1, 3)))
    assert fingerprint(model)[3] == [0] * len(list(model._flatten_layers()))


def test_values_are_those_of_predict() -> None:
    for make in (convolutional, preprocessing, subclassed):
        model = make()
        oracle = Oracle(model, Output(0), xla=False)
        x = points(make.__name__, oracle.size, 1)[0]
        expected = model.predict(oracle.batch(x), verbose=0)
        np.testing.assert_allclose(oracle.value(x), expected[0, 0], rtol=1e-6)
        np.testing.assert_allclose(oracle.outputs(x), expected, rtol=1e-6)


def test_dropout_and_batch_statistics_are_those_of_inference() -> None:
    model = convolutional()
    oracle = Oracle(model, Logit(1), xla=False)
    x = points("convolutional", oracle.size, 1)[0]
    scores = keras.Model(model.inputs, model.get_layer("scores").output)
    expected = scores(oracle.batch(x), training=False)
    np.testing.assert_allclose(oracle.value(x), float(expected[0, 1]), rtol=1e-12)


@pytest.mark.parametrize(
    "head",
    ["dense", "softmax layer", "activation layer", "numbers", "log_softmax", "lambda-free call"],
)
def test_logits_are_found_before_every_kind_of_softmax(head: str) -> None:
    x = keras.Input((4,))
    y = L.Dense(3, name="z", activation="softmax" if head == "dense" else None)(x)
    if head == "softmax layer":
        y = L.Softmax()(y)
    elif head == "activation layer":
        y = L.Activation("softmax")(y)
    elif head == "log_softmax":
        y = L.Activation("log_softmax")(y)
    elif head == "lambda-free call":
        y = L.Reshape((3,))(L.Softmax()(L.Reshape((1, 3))(y)))
    model = shaken(keras.Model(x, y))
    oracle = Oracle(model, [Logit(k) for k in range(3)], xla=False)
    point = points("", 4, 1)
    kernel, bias = (np.asarray(w.value) for w in model.get_layer("z").weights)
    np.testing.assert_allclose(oracle.values(point), point @ kernel + bias, rtol=1e-5, atol=1e-6)


def test_sigmoid_heads() -> None:
    x = points("", 3, 1)
    one = Oracle(subclassed(), [Logit(1), Logit(0), Probability(1), Probability(0), Margin(1)])
    up, down, p, q, margin = one.values(x)[0]
    assert up == -down == margin
    assert p == pytest.approx(1 / (1 + np.exp(-up)))
    assert p + q == pytest.approx(1.0)
    several = Oracle(nested(), [Logit(1), Probability(1), Output(1)], xla=False)
    z, p, y = several.values(points("", 5, 1))[0]
    assert p == pytest.approx(1 / (1 + np.exp(-z)))
    assert p == pytest.approx(y)
    with pytest.raises(SpecificationError, match="do not compete"):
        several.with_objectives(Margin(1))


def test_plain_numbers_need_a_link() -> None:
    oracle = Oracle(dense(head=None), Logit(2), xla=False)
    with pytest.raises(SpecificationError, match='link="softmax" or link="sigmoid"'):
        oracle.with_objectives(Probability(2))
    linked = oracle.with_objectives([Probability(k, link="softmax") for k in range(4)])
    assert linked.values(points("dense", 6, 1)).sum() == pytest.approx(1.0)
    with pytest.raises(SpecificationError, match="ends in a softmax, not a sigmoid"):
        Oracle(dense(), Probability(1, link="sigmoid"))


def test_softmax_over_another_axis_is_refused_for_classes_only() -> None:
    x = keras.Input((4, 3))
    model = shaken(keras.Model(x, L.Softmax(axis=1)(L.Dense(2)(x))))
    oracle = Oracle(model, Output((1, 0)), xla=False)
    check_oracle(oracle, points("", 12))
    with pytest.raises(ModelError, match="axis that is not the last"):
        oracle.with_objectives(Logit(1, reduce="mean"))


def test_outputs_with_positions() -> None:
    x = keras.Input((6, 6, 2), dtype="float64")
    y = L.Conv2D(3, 3, activation="softmax", name="z", dtype="float64")(x)
    model = shaken(keras.Model(x, y))
    oracle = Oracle(model, Logit(1, reduce="mean"), xla=False)
    point = points("", 72, 1)
    every = [Logit((i, j, 1)) for i in range(4) for j in range(4)]
    mean = oracle.with_objectives(every).values(point).mean()
    assert oracle.values(point)[0, 0] == pytest.approx(mean)
    probability = oracle.with_objectives([Probability((2, 1, 2)), Output((2, 1, 2))])
    assert np.ptp(probability.values(point)) < 1e-12
    for wrong in (Logit(1), Output(1), Output((1, 2))):
        with pytest.raises(SpecificationError, match="leaves positions open"):
            oracle.with_objectives(wrong)
    with pytest.raises(SpecificationError, match=r"0\.\.3"):
        oracle.with_objectives(Output((4, 0, 0)))


def test_one_function_serves_all_classes_centres_and_coefficients(small: Oracle) -> None:
    x = points("dense", 6)
    base = small.with_objectives(2 * Logit(0) - SquaredDistance(0.1))
    base.evaluate(x)
    traces = base.traces
    for k in range(4):
        other = small.with_objectives(0.5 * k * Logit(k) - SquaredDistance(np.full(6, 0.2 * k)) + k)
        other.evaluate(x)
    assert base.traces == traces
    for k in range(4):
        small.with_objectives(Logit(k)).evaluate(x)
    assert small.traces <= traces + 1


def test_rows_of_different_targets_share_one_call(small: Oracle) -> None:
    x = points("dense", 6, 4)
    oracles = [small.with_objectives(Logit(k) - 0.1 * k * SquaredDistance(k)) for k in range(4)]
    expected = [one.evaluate(row[None]) for one, row in zip(oracles, x, strict=True)]
    calls = [one.calls for one in oracles]
    traces = small.traces
    values, jacobian = evaluate_together(oracles, x)
    np.testing.assert_allclose(values, np.concatenate([one[0] for one in expected]), rtol=1e-12)
    np.testing.assert_allclose(jacobian, np.concatenate([one[1] for one in expected]), rtol=1e-12)
    assert sum(one.calls for one in oracles) == sum(calls) + 1
    assert small.traces == traces
    with pytest.raises(SpecificationError, match="share a model"):
        evaluate_together([small, small.with_objectives(Output(1))], x[:2])


def test_no_batch_size_traces_anew(small: Oracle) -> None:
    small.evaluate(np.zeros((1, 6)))
    traces = small.traces
    for batch in (2, 3, 17, 64, 1):
        assert small.evaluate(np.zeros((batch, 6)))[1].shape == (batch, 1, 6)
    assert small.traces == traces


def test_empty_batch(small: Oracle) -> None:
    values, jacobian = small.evaluate(np.zeros((0, 6)))
    assert values.shape == (0, 1)
    assert jacobian.shape == (0, 1, 6)


@pytest.mark.slow
def test_no_memory_growth_over_ten_thousand_calls() -> None:
    oracle = Oracle(dense(), Logit(2), xla=False)
    x = points("dense", 6)
    oracle.evaluate(x)
    traces = oracle.traces
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for i in range(10_000):
        oracle.evaluate(x + 1e-3 * i)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 100_000
    assert oracle.traces == traces
    assert oracle.evaluations == 20_002


@pytest.mark.parametrize("structure", ["list", "dict"])
def test_several_inputs_are_addressed_by_name(structure: str) -> None:
    model = two_inputs(structure)
    oracle = Oracle(model, Output("power"), xla=False)
    assert set(oracle.layout.names) == {"state", "action"}
    state, action = np.arange(4.0), np.array([0.3, -0.2])
    x = oracle.flatten({"state": state, "action": action})
    given = {"state": state[None], "action": action[None]}
    expected = model(given if structure == "dict" else [given["state"], given["action"]])
    np.testing.assert_allclose(oracle.value(x), float(expected[0][0, 0]), rtol=1e-12)
    assert type(oracle.batch(x)) is (dict if structure == "dict" else list)
    np.testing.assert_allclose(
        oracle.outputs(x)["power"], np.asarray(model.predict(oracle.batch(x), verbose=0)[0])
    )


def test_a_picture_where_a_flat_point_is_due_is_led_to_flatten() -> None:
    oracle = Oracle(convolutional(), Logit(0), xla=False)
    picture = oracle.unflatten(np.zeros(oracle.size))
    with pytest.raises(SpecificationError, match=r"flat with flatten\(x\)"):
        oracle.value(picture)
    assert np.isfinite(oracle.value(oracle.flatten(picture)))


def test_names_are_checked_before_the_model_runs() -> None:
    labels = {"kind": ["Shirt", "Coat", "Bag"]}
    oracle = Oracle(two_inputs(), labels=labels, xla=False)
    assert oracle.labels == {"kind": ("Shirt", "Coat", "Bag")}
    x = points("", 6, 1)
    np.testing.assert_array_equal(
        oracle.with_objectives(Logit("Coat")).values(x),
        oracle.with_objectives(Logit(1, head="kind")).values(x),
    )
    for wrong, text in (
        (Logit("Coot"), "Did you mean 'Coat'"),
        (Logit(1), "say which with head="),
        (Logit(1, head="kin"), "Did you mean 'kind'"),
        (Logit(3, head="kind"), r"0\.\.2"),
        (Logit(True, head="kind"), "must be an integer or a label"),
        (Neuron("hiden", 0), "Did you mean 'hidden'"),
        (Neuron("hidden", 6), r"0\.\.5"),
        (Output("powr"), "no label or head 'powr'"),
        (SquaredDistance(np.zeros(4)), "say which with on="),
        (SquaredDistance(np.zeros(3), on="state"), "shape"),
        (Norm(2, on="states"), "Did you mean 'state'"),
    ):
        with pytest.raises(SpecificationError, match=text):
            oracle.with_objectives(wrong)
    with pytest.raises(SpecificationError, match="no head 'kinds'"):
        Oracle(two_inputs(), labels={"kinds": "abc"})
    with pytest.raises(SpecificationError, match="3 units, got 2 names"):
        Oracle(two_inputs(), labels={"kind": ["a", "b"]})


def test_objective_is_asked_for(small: Oracle) -> None:
    bare = Oracle(dense(), xla=False)
    with pytest.raises(SpecificationError, match="no objective"):
        bare.evaluate(np.zeros((1, 6)))
    assert bare.outputs(np.zeros(6)).shape == (1, 4)
    with pytest.raises(SpecificationError, match="is a class"):
        Oracle(dense(), Logit)
    with pytest.raises(SpecificationError, match="expected an objective"):
        Oracle(dense(), 7)
    with pytest.raises(SpecificationError, match="one number"):
        small.with_objectives((Margin(2) >= 1).imposed()[0])
    with pytest.raises(SpecificationError, match=r"\(B, 6\)"):
        small.evaluate(np.zeros((1, 5)))


def test_several_functions_in_one_call(small: Oracle) -> None:
    rivals = (Margin(1) >= 0).imposed()[0]
    oracle = small.with_objectives([Logit(1), rivals, Probability(2)])
    assert oracle.functions == 5
    assert oracle.counts == (1, 3, 1)
    check_oracle(oracle, points("dense", 6))
    lead = small.with_objectives(Margin(1)).values(points("dense", 6))
    np.testing.assert_allclose(oracle.values(points("dense", 6))[:, 1:4].min(axis=1), lead[:, 0])


def test_many_functions_go_through_a_loop() -> None:
    model = shaken(keras.Sequential([keras.Input((3,)), L.Dense(20, "tanh", dtype="float64")]))
    oracle = Oracle(model, [Output(k) for k in range(20)], xla=False)
    few = oracle.with_objectives([Output(k) for k in range(5)])
    x = points("", 3)
    np.testing.assert_allclose(oracle.evaluate(x)[1][:, :5], few.evaluate(x)[1], rtol=1e-12)


def test_kinks_are_seen() -> None:
    assert Oracle(dense("relu"), Logit(1)).smooth is False
    assert Oracle(convolutional(), Logit(1)).smooth is False
    assert Oracle(dense("selu"), Logit(1)).smooth is False
    smooth = Oracle(dense("tanh"), Logit(1))
    assert smooth.smooth is True
    assert Oracle(dense("elu"), Logit(1)).smooth is True
    assert Oracle(nested(), Logit(1)).smooth is True
    assert smooth.with_objectives(Margin(1)).smooth is False
    assert smooth.with_objectives(Margin(1, over=2)).smooth is True
    assert smooth.with_objectives(Logit(1) - Norm(2)).smooth is True
    assert smooth.with_objectives(Logit(1) - Norm(1)).smooth is False
    assert Oracle(dense("relu"), SquaredDistance(0.0)).smooth is True


def test_growth_is_known_where_it_is_sure() -> None:
    def above(model: Any, objective: Any) -> bool | None:
        return Oracle(model, objective, xla=False).bounded[0].above

    relu, tanh = dense("relu"), dense("tanh")
    assert above(relu, Logit(1)) is False
    assert above(convolutional(), Logit(1)) is False
    assert above(tanh, Logit(1)) is None
    assert above(relu, Probability(1)) is True
    assert above(relu, Output(1)) is True
    assert above(relu, -Norm(2)) is True
    assert above(relu, Norm(2)) is False
    assert above(relu, Logit(7 - 5) - 0.1 * Norm(2)) is None
    assert above(relu, Neuron("hidden", 1)) is False
    assert above(relu, -Neuron("hidden", 1)) is True
    assert above(tanh, Neuron("hidden", 1)) is True
    assert above(relu, 0 * Logit(1)) is True


def test_scipy_drives_it_alone() -> None:
    oracle = Oracle(dense(), SquaredDistance(0.3), xla=False)
    r = scipy.optimize.minimize(
        oracle.to_scipy(), np.zeros(6), jac=True, bounds=[(0, 0.2)] * 6, method="L-BFGS-B"
    )
    np.testing.assert_allclose(r.x, 0.2)


def test_nan_is_named_with_the_point(small: Oracle) -> None:
    x = np.zeros(6)
    x[4] = np.nan
    with pytest.raises(NonFiniteError, match=r"value of Logit\(2\).*x\[4\] is nan"):
        small.value_and_gradient(x)
    values, _ = small.evaluate(x[None])
    assert np.isnan(values).all()


def test_other_operations_than_ours_without_second_derivative() -> None:
    @tf.custom_gradient
    def cube(x: Any) -> Any:
        def once(dy: Any) -> Any:
            return tf.raw_ops.PreventGradient(input=3 * x * x * dy, message="once only")

        return x**3, once

    model = tf.function(
        lambda x: tf.reduce_sum(cube(x), -1, keepdims=True),
        input_signature=[tf.TensorSpec([None, 3], tf.float64)],
    )
    oracle = Oracle(model, Output(0), xla=False)
    x, v = np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.5, -1.0])
    np.testing.assert_allclose(oracle.hessian_product(x, v), 6 * x * v, rtol=1e-6)


def test_preprocessing_puts_everything_into_the_users_units() -> None:
    model = dense()
    mean, std = np.arange(6.0) * 100, np.full(6, 50.0)
    oracle = Oracle(model, Output(1), preprocess=Scaling(mean, std), xla=False)
    plain = Oracle(model, Output(1), xla=False)
    z = points("dense", 6, 2)
    x = z * std + mean
    np.testing.assert_allclose(oracle.values(x), plain.values(z), rtol=1e-12)
    np.testing.assert_allclose(oracle.evaluate(x)[1], plain.evaluate(z)[1] / std, rtol=1e-12)
    np.testing.assert_allclose(
        model.predict(oracle.batch(x[0]), verbose=0)[0, 1], oracle.value(x[0]), rtol=1e-6
    )
    layer = Oracle(model, Output(1), preprocess=L.Rescaling(0.02, dtype="float64"), xla=False)
    np.testing.assert_allclose(layer.values(50 * z), plain.values(z), rtol=1e-6)
    function = Oracle(
        model, Output(1), preprocess=lambda x: tf.reshape(x, (-1, 6)), input_shape=(2, 3), xla=False
    )
    assert function.layout.inputs[0].shape == (2, 3)
    np.testing.assert_allclose(function.values(z), plain.values(z), rtol=1e-12)
    for center, spread in ((0, 0), (np.nan, 1), ("a", 1)):
        with pytest.raises(SpecificationError, match="Scaling"):
            Scaling(center, spread)
    scaling = Scaling(mean, std)
    np.testing.assert_allclose(scaling.inverse(scaling(x)), x)


@pytest.mark.parametrize(
    "make", [dense, convolutional, two_inputs, nested, subclassed, preprocessing]
)
def test_double_precision_is_a_copy(make: Any) -> None:
    model = make(dtype="float32")
    objective = Output(0, head="power") if make is two_inputs else Output(0)
    before = fingerprint(model)
    single = Oracle(model, objective, xla=False)
    double = Oracle(model, objective, precision="float64", xla=False)
    assert single.epsilon == np.finfo(np.float32).eps
    assert double.epsilon == np.finfo(np.float64).eps
    assert fingerprint(model) == before
    assert keras.config.dtype_policy().name == keras.config.floatx() == "float32"
    x = points(make.__name__, single.size)
    np.testing.assert_allclose(double.values(x), single.values(x), rtol=1e-4, atol=1e-5)
    check_oracle(double, x)


def test_mixed_precision_warns() -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(2, dtype="mixed_bfloat16")])
    with pytest.warns(UserWarning, match='precision="float64"'):
        oracle = Oracle(model, Output(0), xla=False)
    assert oracle.epsilon == 2.0**-7
    double = Oracle(model, Output(0), precision="float64", xla=False)
    assert double.epsilon == np.finfo(float).eps


def test_xla_is_used_where_it_is_asked_for() -> None:
    model = dense(dtype="float32")
    x = points("dense", 6)
    forced, plain = Oracle(model, Logit(1), xla=True), Oracle(model, Logit(1))
    np.testing.assert_allclose(forced.evaluate(x)[1], plain.evaluate(x)[1], rtol=1e-4)
    assert forced.describe()["xla_batches"] == [2]
    assert plain.describe()["xla_batches"] == []
    traces = forced.traces
    forced.with_objectives(Logit(2)).evaluate(x)
    assert forced.traces == traces
    with pytest.raises(SpecificationError, match="xla: must be True or False, got 'auto'"):
        Oracle(model, Logit(1), xla="auto")  # type: ignore[arg-type]


def test_description() -> None:
    about = Oracle(dense(), Logit(1), xla=False).describe()
    assert about["model"] == "dense_model"
    assert about["precision"] == "float64"
    assert about["versions"]["tensorflow"] == tf.__version__

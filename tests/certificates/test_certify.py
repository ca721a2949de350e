"""What users see of a certificate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sample_models import dense, shaken

import constrained_actmax as cax
from constrained_actmax.certificates import branching
from constrained_actmax.certificates.branching import POINTS, Search, certificate_of
from constrained_actmax.solvers import branch_and_bound


def problem(*sets: Any, activation: str = "tanh") -> cax.Problem:
    return cax.Problem(dense(activation, head=None), cax.Output(1), list(sets) or [cax.Box(0, 1)])


def test_the_sentence_says_bound_value_gap_method_and_rigour() -> None:
    asked = problem()
    result = cax.solve(asked, seed=0)
    found = cax.certify(asked, result)
    assert found.proven
    assert found.gap <= 1e-4 * asked.scales.range
    text = str(found)
    for part in ("No allowed input exceeds", "the best found is", "branch and bound", "rigorous"):
        assert part in text
    assert text in str(result)
    loose = cax.certify(asked, method="linear-bounds")
    assert not loose.proven
    assert "not proven to be the optimum; linear bounds, 1 box" in str(loose)


def test_slopes_on_the_set_are_not_taken_from_a_point_outside() -> None:
    """The middle of the box is far outside the set, and lies behind a kink that the set has not."""
    weights = np.array([[1.0], [-1.0]])
    oracle = cax.Oracle(
        lambda x: -10.0 * tf.nn.relu(x @ weights - 0.001), input_shape=(2,), precision="float64"
    )
    sets = [cax.Box(0, [1, 0.2]), cax.Linear([1, -1], 0, 0)]
    found = cax.certify(cax.Problem(oracle, cax.Output(0), sets))
    assert found.proven
    assert found.dual_bound >= 0.0  # the output at any point of the set


def test_the_printed_bound_is_no_smaller_than_the_bound() -> None:
    for sense in ("maximize", "minimize"):
        asked = cax.Problem(dense("tanh", head=None), cax.Output(1), [cax.Box(0, 1)], sense=sense)
        found = cax.certify(asked)
        printed = float(str(found).split(";")[0].split()[-1])
        assert asked.sign * printed <= asked.sign * found.dual_bound


@pytest.mark.parametrize(("sense", "inputs"), [("maximize", 6), ("minimize", 12)])
def test_a_target_is_proven_refuted_or_open_and_ends_as_soon_as_it_is(
    sense: Any, inputs: int
) -> None:
    layers = [keras.layers.Dense(n, a, dtype="float64") for n, a in ((8, "relu"), (1, None))]
    model = shaken(keras.Sequential([keras.Input((inputs,), dtype="float64"), *layers]), 3)
    asked = cax.Problem(model, cax.Output(0), [cax.Box(-1, 1), cax.L1Ball(2.0)], sense=sense)
    whole = cax.certify(asked)
    assert whole.proven
    best, sign = whole.best_value, asked.sign
    for target, verdict in [
        (best - sign * 2.0, "proven"),
        (best - sign * 0.03, "proven"),
        (best + sign * 0.03, "refuted"),
        (best + sign * 2.0, "refuted"),
    ]:
        found = cax.certify(asked, target=target)
        assert found.verdict == verdict
        assert str(found).startswith(verdict.capitalize())
        assert found.proven is (verdict == "proven")
        assert found.nodes <= whole.nodes
        if verdict == "refuted":
            x = np.reshape(found.x, (1, -1))
            value = float(np.asarray(model(x))[0, 0])
            assert sign * (value - target) < 0.0
            assert asked.feasible(x, np.zeros((1, 0))).all()
        else:
            assert sign * (found.dual_bound - target) >= 0.0
    far = cax.certify(asked, target=best - sign * 2.0, method="mixed-integer")
    assert (far.method, far.nodes) == ("linear bounds", 1)  # no rung more than it takes
    search = Search(asked, rtol=0.0, target=best - sign * 2.0)
    assert search.step(1).evaluations == POINTS  # nor an ascent
    # The gap ends nothing: a target within it is decided.
    close = cax.certify(asked, target=best - sign * 1e-3, rtol=1.0)
    assert close.verdict == "proven"
    loose = cax.certify(asked, target=best - sign * 0.03, method="linear-bounds")
    assert loose.verdict == "open"
    assert str(loose).startswith("Open: whether an allowed input")
    assert not loose.proven
    assert cax.Certificate.from_dict(loose.to_dict()).verdict == "open"


def test_it_is_saved_with_the_result(tmp_path: Path) -> None:
    asked = problem()
    result = cax.solve(asked, seed=0)
    cax.certify(asked, result)
    loaded = cax.load_result(result.save(tmp_path)).certificate
    assert loaded is not None
    assert result.certificate is not None
    assert str(loaded) == str(result.certificate)
    np.testing.assert_array_equal(loaded.x, result.certificate.x)


def test_several_problems_are_bounded_as_each_alone() -> None:
    oracle = cax.Oracle(dense("relu", head=None), cax.Output(1))
    centers = np.random.default_rng(0).uniform(-1, 1, (3, 6))
    asked = [cax.Problem(oracle, None, [cax.LinfBall(0.2, center=c)]) for c in centers]
    results = [None, None, cax.solve(asked[2], seed=0)]
    together = cax.certify(asked, results, target=0.3, method="mixed-integer")
    for one, known, found in zip(asked, results, together, strict=True):
        alone = cax.certify(one, known, target=0.3, method="mixed-integer")
        assert (found.verdict, found.dual_bound) == (alone.verdict, alone.dual_bound)
    assert results[2] is not None
    assert results[2].certificate is not None
    assert cax.certify([], target=0.0) == []
    for wrong, given in (([asked[0], 3], None), (asked, results[:1])):
        with pytest.raises(cax.SpecificationError, match="a list of them|as many results"):
            cax.certify(wrong, given)  # type: ignore[arg-type]

    def interrupt(_: cax.Certificate) -> None:
        raise KeyboardInterrupt

    first, *others = cax.certify(asked, target=0.3, callback=interrupt)
    assert np.isfinite(first.dual_bound)
    assert [one.nodes for one in others] == [0, 0]


def test_the_same_seed_gives_the_same_certificate() -> None:
    first, second = (cax.certify(problem(activation="relu"), seed=4) for _ in range(2))
    assert (first.dual_bound, first.best_value, first.nodes) == (
        second.dual_bound,
        second.best_value,
        second.nodes,
    )


def test_callbacks_and_interruptions_keep_both_bounds() -> None:
    asked = problem(activation="relu")
    seen: list[cax.Certificate] = []

    def stop(certificate: cax.Certificate) -> bool:
        seen.append(certificate)
        return len(seen) == 3

    found = cax.certify(asked, rtol=0.0, callback=stop)
    assert len(seen) == 3
    assert seen[0].dual_bound >= seen[1].dual_bound >= found.dual_bound >= found.best_value

    def interrupt(_: cax.Certificate) -> None:
        raise KeyboardInterrupt

    found = cax.certify(asked, rtol=0.0, callback=interrupt)
    assert found.best_value <= found.dual_bound < np.inf


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: problem(cax.L2Ball(1.0), cax.Box(lower=0)), None),
        (lambda: problem(cax.Box(lower=0)), "has no finite bounds in Box"),
        (
            lambda: cax.Problem(
                cax.FunctionOracle(lambda x: (x @ x, 2 * x), (2,)), None, [cax.Box(0, 1)]
            ),
            "bounds need a Keras or TensorFlow model",
        ),
    ],
)
def test_what_cannot_be_bounded_is_refused_by_name(make: Any, words: str | None) -> None:
    if words is None:
        assert cax.certify(make(), method="linear-bounds").dual_bound < np.inf
        return
    with pytest.raises(cax.RefusedError, match=words):
        cax.certify(make())


def test_bad_arguments_say_what_is_expected() -> None:
    asked = problem()
    for options, words in [
        ({"method": "branching-and-bound"}, "Did you mean 'branch-and-bound'"),
        ({"rtol": -1.0}, "rtol must be a number >= 0"),
        ({"target": float("nan")}, "target: must be a finite number"),
        ({"result": 3}, "result must be a Result of the same problem"),
        ({"budget": 5}, "budget: expected Budget"),
        ({"seed": "a"}, "seed: must be an integer"),
        ({"callback": 3}, "callback must be callable"),
    ]:
        with pytest.raises(cax.SpecificationError, match=words):
            cax.certify(asked, **options)  # type: ignore[arg-type]


def test_a_function_recognised_by_its_values_is_numerical() -> None:
    found = cax.certify(problem(activation="silu"))
    assert found.proven
    assert found.rigour == "numerical"
    assert "was recognised as silu by its values" in found.doubts[0]


@pytest.mark.parametrize(
    ("objective", "kind"),
    [
        (cax.Probability(1), "logsumexp"),
        (cax.LogProbability(1), "logsumexp"),
        (cax.Output(1), "softmax"),
        (cax.Margin(1), "max"),  # over all rivals
    ],
)
def test_heads_are_bounded_by_their_logits(objective: Any, kind: str) -> None:
    model = dense("tanh", dtype="float64")
    asked = cax.Problem(model, objective, [cax.Box(0, 1)])
    steps = asked.user_oracle.structure().nonlinearities
    assert any(step.kind == kind for step in steps)
    found = cax.certify(asked, rtol=1e-3)
    x = asked.set.sample(np.random.default_rng(0), 2000)
    assert found.proven
    assert found.dual_bound >= asked.user_oracle.values(x)[:, 0].max() - 1e-9
    loose = cax.certify(asked, method="linear-bounds")
    assert loose.dual_bound >= found.best_value


def test_proven_means_that_the_returned_input_is_the_proven_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = problem()
    # As float32 could differ from float64: a small share of the range, and more than that.
    for share, status in [(1e-4, cax.Status.PROVEN), (1e-2, cax.Status.STALLED)]:

        def better(search: Search, share: float = share) -> cax.Certificate:
            found = certificate_of(search)
            return replace(found, best_value=found.best_value + share * asked.scales.range)

        monkeypatch.setattr(branching, "certificate_of", better)
        result = cax.solve(asked, method="branch-and-bound", progress=False)
        assert result.feasible
        assert result.status is status


def test_auto_proves_the_optimum_of_few_inputs_with_what_its_search_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = problem(activation="relu")
    whole = cax.certify(asked)
    for budget in (None, cax.Budget(evaluations=1000), cax.Budget(seconds=30.0)):
        result = cax.solve(asked, seed=0, budget=budget, progress=False)
        assert result.status is cax.Status.PROVEN
        assert result.certificate is not None
        assert result.certificate.dual_bound == pytest.approx(whole.best_value, abs=whole.gap)
        assert result.nfev <= 1000
        np.testing.assert_array_equal(result.certificate.x, result.flat)
    # Where the boxes do not suffice the search's own word stays, beside the bound.
    short = {"prove": cax.BranchAndBound(max_boxes=1)}
    result = cax.solve(asked, seed=0, options=short, progress=False)
    assert result.status is cax.Status.CONVERGED
    assert result.certificate is not None
    assert result.certificate.dual_bound >= whole.best_value - whole.gap
    assert result.certificate.best_value == pytest.approx(result.value, rel=1e-5)
    np.testing.assert_array_equal(result.certificate.x, result.flat)
    # Nor does it bound a network so large that a box would cost more than the search.
    monkeypatch.setattr(branch_and_bound, "MOST_WORK", 0.0)
    assert cax.solve(asked, seed=0, progress=False).certificate is None


@pytest.mark.parametrize(("activation", "limited"), [("tanh", 0), ("tanh", 1), ("relu", 1)])
def test_auto_proves_smooth_and_constrained_optima_within_its_budget(
    activation: str, limited: int
) -> None:
    limits = [cax.Output(0) <= 0.1] * limited
    asked = problem(cax.Box(0, 1), *limits, activation=activation)
    whole = cax.certify(asked)
    result = cax.solve(asked, seed=0, budget=cax.Budget(evaluations=1500), progress=False)
    assert result.status is cax.Status.PROVEN
    assert result.certificate is not None
    assert result.nfev <= 1500
    assert result.certificate.dual_bound == pytest.approx(whole.best_value, abs=2.0 * whole.gap)
    np.testing.assert_array_equal(result.certificate.x, result.flat)


@pytest.mark.parametrize("sets", [[], [cax.Cardinality(2, center=np.zeros(3))]])
def test_probabilities_among_several_classes_are_bounded_as_constraints(sets: list[Any]) -> None:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential([keras.Input((3,)), *layers])
    x0 = np.zeros(3)
    limits = [cax.Box(-3, 3), *sets, cax.Probability(0) <= 0.2]
    problem = cax.Problem(model, cax.Norm(1, center=x0), limits, sense="minimize", x0=x0)
    result = cax.solve(problem, seed=0)
    assert result.feasible
    certificate = cax.certify(problem, result, budget=cax.Budget(evaluations=500))
    x = np.random.default_rng(0).uniform(-3, 3, (5000, 3))
    if sets:
        x[np.arange(5000), np.random.default_rng(1).integers(3, size=5000)] = 0.0
    kept = model.predict(x, verbose=0)[:, 0] <= 0.2
    assert kept.any()
    assert certificate.dual_bound <= min(np.abs(x[kept]).sum(axis=1).min(), result.value) + 1e-6
    assert np.isfinite(certificate.dual_bound)

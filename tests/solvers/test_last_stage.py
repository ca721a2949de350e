"""Where a search's last stage stays away, and how much it takes."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import constrained_actmax as cax
from constrained_actmax.oracles.oracle import Oracle


def dense(n: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((n,)), layers.Dense(20, activation="relu"), layers.Dense(1)]
    )


def test_the_structure_of_a_network_of_many_inputs_is_never_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    built = Oracle.structure

    def structure(self: Oracle) -> object:
        asked.append(self.size)
        return built(self)

    monkeypatch.setattr(Oracle, "structure", structure)
    for n, count in ((5000, 0), (6, 1)):
        asked.clear()
        for constraints in ([], [cax.Output(0) <= 0.5]):
            model, x0 = dense(n), np.full(n, 0.5)
            budget = cax.Budget(evaluations=20)
            cax.maximize(model, cax.Output(0), [cax.Box(0, 1), *constraints], x0=x0, budget=budget)
        assert (len(asked) > 0) is bool(count)


def test_a_start_that_takes_too_many_passes_stalls_and_says_so() -> None:
    problem = cax.Problem(dense(6), cax.Output(0), cax.Box(-1, 1))
    method = cax.ActiveSignature(passes=12)
    result = cax.solve(problem, x0=np.full(6, 0.2), method=method)
    assert result.status is cax.Status.STALLED
    assert "12 passes were not enough" in result.message
    assert result.feasible

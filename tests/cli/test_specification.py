"""What a TOML file says becomes the same objects as in Python; what it says wrong is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import constrained_actmax as cax
from constrained_actmax.cli.specification import Specification, set_names
from constrained_actmax.errors import SpecificationError

START = """
[model]
path = "example"
[objective]
type = "Logit"
target = "Sneaker"
"""
BOX = """
[[constraints]]
type = "Box"
lower = 0
upper = 1
"""


def build(tmp_path: Path, text: str, **changed: Any) -> tuple[cax.Problem, dict[str, Any]]:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    return Specification.read(path, **changed).problem("maximize")


def test_sets_objective_and_settings(tmp_path: Path) -> None:
    np.save(tmp_path / "center.npy", np.full((28, 28), 0.5))
    problem, arguments = build(
        tmp_path,
        """
        [model]
        path = "example"
        [objective]
        terms = [
            { type = "Logit", target = 7 },
            { type = "LogProbability", target = "Bag", weight = -0.5 },
        ]
        [[constraints]]
        type = "Box"
        lower = 0
        upper = 1
        [[constraints]]
        type = "L2Ball"
        radius = 3
        center = { file = "center.npy" }
        [[constraints]]
        output = { type = "Probability", target = 7 }
        lower = 0.1
        upper = 0.9
        [solve]
        starts = 3
        budget = { evaluations = 50 }
        x0 = { example = "Bag" }
        """,
    )
    assert arguments == {"starts": 3, "budget": cax.Budget(evaluations=50)}
    assert "Logit(7) - 0.5 * LogProbability('Bag')" in repr(problem)
    assert problem.constraints == 1
    np.testing.assert_array_equal(problem.x0, cax.examples.reference("Bag").ravel())
    far = np.full(784, 0.5)
    far[0] = 9.0
    assert problem.set.violation(far) > 0
    inside = problem.set.project(far)
    assert np.linalg.norm(inside - 0.5) <= 3 + 1e-12


def test_every_exported_set_can_be_asked_for() -> None:
    assert {"Box", "L1Ball", "L2Ball", "LinfBall", "Fixed", "Linear"} <= set(set_names())
    assert not {"ConvexSet", "CvxpySet"} & set(set_names())


def test_pictures_take_their_range_from_the_box(tmp_path: Path) -> None:
    Image.new("L", (28, 28), 51).save(tmp_path / "grey.png")
    problem, _ = build(
        tmp_path,
        START + BOX.replace("upper = 1", "upper = 2") + '[solve]\nx0 = { file = "grey.png" }\n',
    )
    np.testing.assert_allclose(problem.x0, 2 * 51 / 255)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = ", "not a TOML file"),
        ("[model]\npath = 'example'", r"table \[objective\] is missing"),
        (START + "[sovle]\n", r"no key 'sovle'.*'solve'"),
        (START.replace("Logit", "Logits"), r"objective: type: no objective 'Logits'.*'Logit'"),
        (START.replace("target", "class"), r"Logit: no key 'class'"),
        (START.replace('target = "Sneaker"', ""), r"objective: Logit: target is missing"),
        (START.replace("Sneaker", "Sneakers"), r"'Sneaker'"),
        (START + "[[constraints]]\ntype = 'L3Ball'", r"constraints\[0\]: type: no set 'L3Ball'"),
        (START + "[[constraints]]\ntype = 'L1Ball'\nradius = -1", r"constraints\[0\]: L1Ball"),
        (START + "[[constraints]]\ntype = 'L1Ball'", r"radius is missing"),
        (START + "[constraints]\ntype = 'L1Ball'", r"\[\[constraints\]\]"),
        (START + "[solve]\nstart = 3", r"solve: no key 'start'.*'starts'"),
        (START + "[solve]\nbudget = { evaluation = 3 }", r"solve.budget: Budget: no key"),
        (START + BOX + "[solve]\nx0 = { file = 'a.npy' }", r"a.npy: no such file"),
        (START + "[solve]\nx0 = { path = 'a.npy' }", r"expected numbers, \{ file"),
        ("goal = 'minimise'\n" + START, "goal must be"),
        ("goal = 'minimize'\n" + START, "it says goal = 'minimize'"),
        (START.replace('"example"', '"none.keras"'), r"none.keras: no such model"),
        (START.replace('path = "example"', ""), "path must name a model"),
        (
            START + "[[constraints]]\noutput = { type = 'Logit', target = 1 }",
            "give lower, upper or both",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecificationError, match=message) as caught:
        build(tmp_path, text)
    assert "run.toml" in str(caught.value)


def test_arrays_of_pickles_are_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SpecificationError, match="not an array of numbers"):
        build(tmp_path, START + BOX + "[solve]\nx0 = { file = 'evil.npy' }")


def test_an_archive_needs_a_name_where_it_holds_several(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=np.zeros((28, 28)), b=np.ones((28, 28)))
    text = START + BOX + "[solve]\nx0 = { file = 'two.npz', name = 'b' }"
    assert build(tmp_path, text)[0].x0.min() == 1.0
    with pytest.raises(SpecificationError, match="no array None"):
        build(tmp_path, text.replace(", name = 'b'", ""))


def test_discrete_sets_are_asked_for_as_any_other(tmp_path: Path) -> None:
    text = BOX + (
        '[[constraints]]\ntype = "Integers"\nwhere = [0, 1]\n'
        '[[constraints]]\ntype = "Levels"\nwhere = [2, 3]\nvalues = [0, 0.25, 1]\n'
    )
    problem, _ = build(tmp_path, START + text)
    p = problem.set.project(np.full(784, 0.6))
    assert p[:5].tolist() == [1.0, 1.0, 0.25, 0.25, 0.6]


def test_a_table_and_what_a_change_of_a_row_costs(tmp_path: Path) -> None:
    import keras

    rows = "age,job,visits\n20,full,1\n50,part,7\n35,none,3\n"
    (tmp_path / "people.csv").write_text(rows, encoding="utf-8")
    keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)]).save(tmp_path / "model.keras")
    text = """
    model = { path = "model.keras" }
    objective = { type = "Change" }
    [[constraints]]
    type = "Features"
    frame = "people.csv"
    [constraints.columns]
    age = { immutable = true }
    visits = { low = 0, high = 12, cost = 0.5 }
    """
    x0 = '[solve.x0]\nage = 48\njob = "full"\nvisits = 3\n'
    problem, _ = build(tmp_path, text + x0)
    np.testing.assert_array_equal(problem.x0, [48, 1, 0, 0, 3])
    assert {str(one.name).split(" ")[0] for one in problem.written_sets} == {"age", "job", "visits"}
    values = problem.user_oracle.evaluate(np.array([[48.0, 0, 1, 0, 5]]))[0]
    assert values[0, 0] == pytest.approx(1.0 + 2 * 0.5)
    with pytest.raises(SpecificationError, match="give constraints of type Features, and solve.x0"):
        build(tmp_path, text)

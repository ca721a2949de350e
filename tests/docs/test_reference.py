"""The reference knows every public name, set, method, option, status and error."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import constrained_actmax as cax
from constrained_actmax import conformance, examples, plotting
from constrained_actmax.layout import Layout
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.solvers import SOLVERS

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def read(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """Return the cells of all table rows, headings and rules among them."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(
    ("where", "module"),
    [("", cax), ("conformance", conformance), ("examples", examples), ("plotting", plotting)],
)
def test_every_public_name_has_its_entry(where: str, module: object) -> None:
    names = ("api/*.md",) if not where else (f"api/{where}.md",)
    text = "\n".join(
        path.read_text(encoding="utf-8") for name in names for path in REFERENCE.glob(name)
    )
    documented = re.findall(r"^\.\. auto(?:class|function|exception):: ([\w.]+)$", text, re.M)
    public = {
        name
        for name in getattr(module, "__all__", vars(module))
        if callable(getattr(module, name))
        and not name.startswith("_")
        and getattr(module, name).__module__.startswith("constrained_actmax")
        and (where == "" or getattr(module, name).__module__.startswith(module.__name__))
    }
    public -= {"SolverLike"}  # what check_solver asks of its argument
    assert not public - set(documented)


def test_every_method_stands_in_the_catalogue_with_its_options() -> None:
    table = {cells[0].strip('`"'): cells for cells in rows(read("methods.md")) if len(cells) == 2}
    assert set(table) >= set(SOLVERS)
    for name, kind in SOLVERS.items():
        written = set(re.findall(r"`(\w+)`", table[name][1]))
        assert written == {one.name for one in fields(kind)}, name


def test_every_set_stands_in_the_catalogue() -> None:
    first = [cells[0].split(",")[0].strip("`") for cells in rows(read("sets.md"))]
    for name in cax.__all__:
        value = getattr(cax, name)
        if isinstance(value, type) and issubclass(value, ConvexSet) and value is not ConvexSet:
            assert first.count(name) >= 2, name


def test_the_catalogue_knows_which_sets_have_a_form_for_scipy() -> None:
    layout = Layout.of_array((4, 4))
    made = {
        "Box": cax.Box(0, 1),
        "Fixed": cax.Fixed(np.arange(16).reshape(4, 4) < 3, 0.0),
        "L2Ball": cax.L2Ball(1.0),
        "LinfBall": cax.LinfBall(1.0),
        "Ellipsoid": cax.Ellipsoid(1.0, covariance=np.arange(1.0, 17.0).reshape(4, 4)),
        "GroupBall": cax.GroupBall(1.0, groups=np.arange(16).reshape(4, 4) // 4),
        "Halfspace": cax.Halfspace(np.ones((4, 4)), 1.0),
        "AffineSubspace": cax.AffineSubspace(np.ones((1, 16)), 1.0),
        "Simplex": cax.Simplex(),
        "TotalVariationBall": cax.TotalVariationBall(1.0),
        "NuclearNormBall": cax.NuclearNormBall(1.0),
        "BandLimited": cax.BandLimited(2),
        "Symmetric": cax.Symmetric("left-right"),
        "Monotone": cax.Monotone(),
        "MovingRange": cax.MovingRange(1.0),
        "ConvexHull": cax.ConvexHull(np.eye(16)[:3].reshape(3, 4, 4)),
        "Integers": cax.Integers(),
        "Levels": cax.Levels(None, [0.0, 1.0]),
        "OneHot": cax.OneHot(),
        "Cardinality": cax.Cardinality(2),
    }
    said = {cells[0].strip("`"): cells[3] for cells in rows(read("sets.md")) if len(cells) == 4}
    for name, one in made.items():
        variables = cax.Intersection([one]).bind(layout).in_scipy_variables()
        if variables is None:
            words = "none"
        else:
            form = variables.form
            words = "smooth" if form.smooth else "rows" if form.rows else "bounds"
        assert said[name] == words, name


def test_every_status_and_error_is_explained() -> None:
    text = read("errors.md")
    for one in cax.Status:
        assert f"| `{one.name}`, {one.value} |" in text
    for name in cax.__all__:
        if name.endswith("Error"):
            assert f"`{name}`" in text


def test_every_command_stands_on_the_page_of_the_command_line() -> None:
    from constrained_actmax.cli import commands

    assert set(commands.cli.commands) <= set(
        re.findall(r"constrained-actmax (\w+)", read("command-line.md"))
    )

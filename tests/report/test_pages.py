"""Reports as text: nothing from outside, everything escaped, code that repeats the run."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import constrained_actmax as cax
from constrained_actmax.plotting import plot_certificate
from constrained_actmax.report.page import number
from constrained_actmax.report.repeating import comparison_code, expression, result_code


class Outline(HTMLParser):
    """Collects tags, addresses and pictures without words."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.wordless = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attrs)
        self.addresses += [named[key] or "" for key in ("src", "srcset", "href") if key in named]
        self.wordless += tag == "img" and not named.get("alt")


@pytest.fixture(scope="module")
def problem() -> cax.Problem:
    oracle = cax.Oracle(cax.examples.load_model(), labels=["<b>T & co</b>", *"bcdefghij"])
    return cax.Problem(oracle, cax.Logit("<b>T & co</b>"), [cax.Box(0, 1), cax.L1Ball(60)])


@pytest.fixture(scope="module")
def found(problem: cax.Problem) -> cax.Comparison:
    methods = {"auto": "auto", "slow <1>": cax.GradientAscent(steps=3), "none": "dataset-search"}
    return cax.compare({"<i>one</i>": problem}, methods, starts=2, budget=20)


def test_a_comparison_stands_alone(found: cax.Comparison, tmp_path: Path) -> None:
    path = found.to_html(tmp_path)
    assert path == tmp_path / "report.html"
    page = path.read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(page)
    assert "script" not in outline.tags
    assert all(one.startswith("data:") for one in outline.addresses)
    assert outline.wordless == 0
    assert outline.tags.count("h1") == 1
    assert {"header", "main", "footer", "table", "details"} <= set(outline.tags)
    assert "<b>T" not in page
    assert "<i>one" not in page
    assert "&lt;b&gt;T &amp; co" in page
    assert not re.search(r"url\(|@import|https?://", page)
    assert "needs a data set to look through" in page
    for name in ("numpy", "tensorflow", "keras"):
        assert f"{name} {found.versions[name]}" in page


def test_the_code_of_a_comparison_repeats_it(problem: cax.Problem, found: cax.Comparison) -> None:
    source = comparison_code(found.subset(methods=["auto", "slow <1>"]))
    scope: dict[str, object] = {}
    exec(source, scope)  # the report's own words
    again = scope["found"]
    assert isinstance(again, cax.Comparison)
    for one, two in zip(again.of(method="slow <1>"), found.of(method="slow <1>"), strict=True):
        np.testing.assert_array_equal(one.raw, two.raw)


def test_the_code_of_a_result_repeats_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = cax.examples.load_model()
    result = cax.maximize(
        model, cax.Logit(3), [cax.Box(0, 1), cax.L1Ball(9)], method="spg", starts=2, seed=5
    )
    result.save(tmp_path)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    exec(result_code(result), scope)
    again = scope["result"]
    assert isinstance(again, cax.Result)
    assert again.value == pytest.approx(result.value, rel=1e-5)


def test_a_certificate_is_shown_between_value_and_bound(
    problem: cax.Problem, tmp_path: Path
) -> None:
    result = cax.solve(problem, seed=0, budget=cax.Budget(evaluations=30))
    assert "The bound" not in result.to_html(tmp_path / "plain.html").read_text(encoding="utf-8")
    found = cax.certify(problem, result, method="linear-bounds")
    page = result.to_html(tmp_path / "certified.html").read_text(encoding="utf-8")
    section = page.split("<h2>The bound</h2>")[1].split("</section>")[0]
    assert "No allowed input exceeds" in section
    said = section.split("proven bound ")[1].split('"')[0]
    assert float(said.rstrip(".")) >= found.dual_bound
    ax = plot_certificate(found)
    low, high = ax.get_xlim()
    assert low < found.best_value < found.dual_bound < high
    bound, best = (text.get_text().split("\n") for text in ax.texts)
    assert bound[0] == "proven bound"
    assert float(bound[1]) >= found.dual_bound  # rounded outward
    assert best == ["best found", f"{found.best_value:.5g}"]
    with pytest.raises(cax.SpecificationError, match="no finite bound"):
        plot_certificate(replace(found, dual_bound=np.inf))


def test_an_infeasible_result_says_so_first(tmp_path: Path) -> None:
    model = cax.examples.load_model()
    result = cax.maximize(
        model,
        cax.Logit(3),
        [cax.Box(0, 1), cax.Logit(4) >= 1e6],
        budget=cax.Budget(evaluations=30),
        seed=0,
    )
    page = result.to_html(tmp_path / "bad.html").read_text(encoding="utf-8")
    assert "Not feasible" in page.split("<main>")[0]


def test_words_become_python() -> None:
    assert expression("Logit(7) - 0.1 * Norm(2)") == "cax.Logit(7) - 0.1 * cax.Norm(2)"
    assert expression("Logit('Bag(s)')") == "cax.Logit('Bag(s)')"


def test_numbers_are_short() -> None:
    assert number(25.5204) == "25.52"
    assert number(-1.5e-7) == "−1.5e−07"
    assert number(float("nan")) == "–"

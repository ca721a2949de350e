"""Reports in a real browser: silent, offline, readable on a phone, accessible, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import constrained_actmax as cax

PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
LARGEST = 2_000_000


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a report of a comparison with refusals and infeasible points, and one of a result."""
    folder = tmp_path_factory.mktemp("reports")
    oracle = cax.Oracle(cax.examples.load_model(), labels=cax.examples.CLASS_NAMES)
    problems = {
        name: cax.Problem(oracle, cax.Logit(name), [cax.Box(0, 1), cax.L1Ball(60)])
        for name in ("Sneaker", "Bag")
    }
    methods = ["auto", "spg", "gradient-ascent", "trainable-input", "dataset-search"]
    found = cax.compare(problems, methods, starts=3, budget=40)
    result = cax.solve(problems["Bag"], starts=3, seed=0, budget=cax.Budget(evaluations=90))
    cax.certify(problems["Bag"], result, method="linear-bounds")
    return {
        "comparison": found.to_html(folder / "comparison.html"),
        "result": result.to_html(folder / "result.html"),
    }


@pytest.fixture(params=["comparison", "result"])
def page(request: pytest.FixtureRequest, pages: dict[str, Path]) -> Path:
    return pages[request.param]


def test_small(page: Path) -> None:
    assert page.stat().st_size < LARGEST


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_silent_offline_and_no_wider_than_the_window(
    browser: Any, page: Path, size: dict[str, int], scheme: str, script: bool
) -> None:
    context = browser.new_context(viewport=size, color_scheme=scheme, java_script_enabled=script)
    view = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    view.on("console", lambda message: said.append(message.text))
    view.on("pageerror", lambda error: said.append(str(error)))
    view.on("request", lambda request: asked.append(request.url))
    view.goto(page.as_uri())
    assert not said
    outside = [url for url in asked if not url.startswith("data:")]
    assert outside == [page.as_uri()]
    assert view.locator("h1").inner_text()
    if script:
        wide = view.evaluate("document.documentElement.scrollWidth")
        assert wide <= size["width"]
        small = view.evaluate(
            "Math.min(...[...document.querySelectorAll('p, td, th, li, dd, figcaption, summary')]"
            ".map(one => parseFloat(getComputedStyle(one).fontSize)))"
        )
        assert small >= 13
        loaded = view.evaluate(
            "[...document.images].every(one => one.complete && one.naturalWidth > 0 && one.alt)"
        )
        assert loaded
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_axe_finds_nothing_serious(
    browser: Any, page: Path, size: dict[str, int], scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    context = browser.new_context(viewport=size, color_scheme=scheme)
    view = context.new_page()
    view.goto(page.as_uri())
    view.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    found = axe.run(view).response["violations"]
    named = [
        f"{one['id']} ({one['impact']}): {one['nodes'][0]['html'][:160]}"
        for one in found
        if one["impact"] in ("moderate", "serious", "critical")
    ]
    assert not named, "\n".join(named)
    context.close()


def test_dark_pictures_are_dark(browser: Any, pages: dict[str, Path]) -> None:
    shown = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport=DESK, color_scheme=scheme)
        view = context.new_page()
        view.goto(pages["comparison"].as_uri())
        shown[scheme] = view.evaluate("document.images[0].currentSrc")
        context.close()
    assert shown["light"] != shown["dark"]

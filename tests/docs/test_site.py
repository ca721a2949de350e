"""The built site in a real browser: silent, offline, whole, accessible, searchable.

CONSTRAINED_ACTMAX_SITE names the folder that sphinx-build wrote; without it there is nothing to
look at and these tests are skipped.
"""

from __future__ import annotations

import functools
import html
import os
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

FOLDER = os.environ.get("CONSTRAINED_ACTMAX_SITE")
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
SERIOUS = ("serious", "critical")
AXE: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}  # it looks for files amiss
#: What another width and other colours can change.
AXE_AGAIN = AXE | {
    "runOnly": {"type": "rule", "values": ["color-contrast", "scrollable-region-focusable"]}
}
#: Everything on a page that an address leads from, and every name that one can lead to.
GATHER = """() => ({
    links: [...document.querySelectorAll('a[href]')].map(one => one.href),
    files: [...document.querySelectorAll('img[src], script[src], link[href]')]
        .map(one => one.src || one.href),
    names: [...document.querySelectorAll('[id]')].map(one => one.id),
    broken: [...document.images].filter(one => one.complete && !one.naturalWidth)
        .map(one => one.src),
    silent: [...document.images].filter(one => !one.hasAttribute('alt')).map(one => one.src),
})"""
#: How wide a page is; the theme lets the article scroll within it, which a reader does not expect.
WIDEST = """() => Math.max(document.documentElement.scrollWidth,
    ...[...document.querySelectorAll('.bd-article-container')]
        .map(one => innerWidth + one.scrollWidth - one.clientWidth))"""

pytestmark = pytest.mark.skipif(
    FOLDER is None, reason="needs a built site: CONSTRAINED_ACTMAX_SITE=FOLDER"
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve the folder on a free port: search does not run from files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=FOLDER))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def pages() -> list[str]:
    found = sorted(
        str(one.relative_to(FOLDER or ".")) for one in Path(FOLDER or ".").rglob("*.html")
    )
    assert "index.html" in found
    return [one for one in found if not one.startswith("_")]


@pytest.fixture(scope="module")
def seen(browser: Any, address: str, pages: list[str]) -> dict[str, dict[str, Any]]:
    """Open each page on a light desk and on a dark phone: what it says, asks for and holds."""
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    found: dict[str, dict[str, Any]] = {
        name: {"said": [], "asked": [], "axe": [], "wide": []} for name in pages
    }
    for size, scheme, rules in ((DESK, "light", AXE), (PHONE, "dark", AXE_AGAIN)):
        context = browser.new_context(viewport=size, color_scheme=scheme)
        view = context.new_page()
        page: dict[str, Any] = {}
        view.on("console", lambda one: page["said"].append(f"{one.type}: {one.text}"))  # noqa: B023
        view.on("pageerror", lambda one: page["said"].append(f"error: {one}"))  # noqa: B023
        view.on("request", lambda one: page["asked"].append(one.url))  # noqa: B023
        view.on(
            "requestfailed",
            lambda one: page["said"].append(f"error: {one.url} {one.failure}"),  # noqa: B023
        )
        for name in pages:
            page = found[name]
            view.goto(address + name, wait_until="load")
            page |= view.evaluate(GATHER)
            wide = view.evaluate(WIDEST)
            if wide > size["width"]:
                page["wide"].append(f"{scheme}: {wide} of {size['width']} pixels")
            for one in axe.run(view, options=rules).response["violations"]:
                if one["impact"] in SERIOUS:
                    page["axe"].append(
                        f"{scheme}: {one['id']} ({len(one['nodes'])}): "
                        f"{one['nodes'][0]['html'][:160]}"
                    )
        context.close()
    return found


def test_the_console_is_silent(seen: dict[str, dict[str, Any]]) -> None:
    wrong = [
        f"{name}: {one}"
        for name, page in seen.items()
        for one in page["said"]
        if one.startswith(("error", "warning"))
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_is_fetched_from_elsewhere(seen: dict[str, dict[str, Any]], address: str) -> None:
    outside = {
        name: [url for url in page["asked"] if not url.startswith((address, "data:"))]
        for name, page in seen.items()
    }
    assert not {name: urls for name, urls in outside.items() if urls}


def test_no_link_and_no_picture_is_broken(seen: dict[str, dict[str, Any]], address: str) -> None:
    wrong = []
    for name, page in seen.items():
        wrong += [f"{name}: no picture {one}" for one in page["broken"]]
        wrong += [f"{name}: no alternative text for {one}" for one in page["silent"]]
        for url in page["links"] + page["files"]:
            if not url.startswith(address):
                continue
            bare, fragment = urldefrag(url)
            path = unquote(urlsplit(bare).path).lstrip("/") or "index.html"
            if not (Path(FOLDER or ".") / path).is_file():
                wrong.append(f"{name}: no file {path}")
            elif fragment and path in seen and unquote(fragment) not in seen[path]["names"]:
                wrong.append(f"{name}: no place {path}#{fragment}")
    assert not wrong, "\n".join(sorted(set(wrong)))


@pytest.mark.parametrize("what", ["axe", "wide"])
def test_pages_are_accessible_and_fit_a_phone(seen: dict[str, dict[str, Any]], what: str) -> None:
    wrong = [f"{name}: {one}" for name, page in seen.items() for one in page[what]]
    assert not wrong, "\n".join(wrong)


def test_every_picture_that_a_page_describes_was_drawn(pages: list[str]) -> None:
    sources = Path(__file__).parents[2] / "docs"
    described = 0
    for name in pages:
        source = sources / Path(name).with_suffix(".md")
        if not source.exists():
            continue
        wanted = re.findall(r"^    alt: (.+)$", source.read_text(encoding="utf-8"), re.MULTILINE)
        shown = html.unescape((Path(FOLDER or ".") / name).read_text(encoding="utf-8"))
        missing = [one for one in wanted if f'alt="{one}"' not in shown]
        assert not missing, f"{name}: {missing}"
        described += len(wanted)
    assert described > 0


def test_search_finds_a_set_and_leads_to_its_page(browser: Any, address: str) -> None:
    view = browser.new_page(viewport=DESK)
    view.goto(address + "search.html?q=TotalVariationBall", wait_until="load")
    first = view.locator("#search-results a").first
    first.wait_for(timeout=10_000)
    assert "TotalVariationBall" in view.locator("#search-results").inner_text()
    first.click()
    view.wait_for_load_state("load")
    assert view.locator("h1").count() == 1
    view.close()

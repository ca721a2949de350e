"""Writes the page of a result or a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from constrained_actmax.report.comparison_page import comparison_page
from constrained_actmax.report.result_page import result_page
from constrained_actmax.result import Result

if TYPE_CHECKING:
    from constrained_actmax.comparison import Comparison


def write_report(
    subject: Result | Comparison, path: str | Path, *, title: str | None = None
) -> Path:
    """Write a page that needs no network, no script and no other file.

    Parameters
    ----------
    subject : Result or Comparison
        What it is about.
    path : str or Path
        The file; a folder, or a name without an ending, gets ``report.html`` inside.
    title : str, optional
        Of the page.

    Returns
    -------
    Path
        The file.
    """
    target = Path(path)
    if target.is_dir() or not target.suffix:
        target = target / "report.html"
    if isinstance(subject, Result):
        page = result_page(subject, title)
    else:
        page = comparison_page(subject, title)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")
    return target

"""The page of a comparison."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from constrained_actmax.report.page import (
    Raw,
    code,
    details,
    page,
    pairs,
    paragraph,
    picture,
    section,
    table,
    text,
)
from constrained_actmax.report.repeating import comparison_code

if TYPE_CHECKING:
    from constrained_actmax.comparison import Comparison, Verdict

#: Lines that one picture can carry; of more methods, the best ranked are drawn.
MOST_LINES = 8
#: Panels of final inputs.
MOST_PANELS = 12
#: Bytes of pictures; problems after that are tables alone, so that a page stays under 2 MB.
PICTURE_BYTES = 1_000_000


def comparison_page(comparison: Comparison, title: str | None = None) -> str:
    """Return the page of a comparison as HTML."""
    count = len(comparison.problems)
    tried = f"{len(comparison.methods)} methods on {count} problem{'s' if count > 1 else ''}"
    verdict = comparison.best()
    kind = "verdict good" if verdict.winner else "verdict"
    lead = [paragraph(verdict, kind), paragraph(_how(comparison), "quiet")]
    return page(
        title or f"Comparison of {tried}",
        lead,
        [
            section("Who is ahead", _differences(verdict), _ranks(comparison)),
            _profiles(comparison),
            section("Problem by problem", *_problems(comparison)),
            _errors(comparison),
            section("Methods", _methods(comparison)),
            section("Settings", pairs(_settings(comparison))),
            section("To repeat it", code(comparison_code(comparison))),
        ],
        comparison.versions,
    )


def _how(comparison: Comparison) -> str:
    starts = max(len(problem.starts) for problem in comparison.problems)
    words = (
        f"Every method ran from the same {starts} starts"
        if starts > 1
        else ("Every method ran from the same start")
    )
    budget = comparison.budget
    if budget is not None and budget.evaluations is not None:
        words += f", each with at most {budget.evaluations} evaluations of the model"
    return (
        f"{words}. Values are those of the returned array after projection on the constraints; raw "
        "ones are before it."
    )


def _differences(verdict: Verdict) -> str:
    if not verdict.differences:
        return ""
    return table(
        "Paired differences between the leader and each other method",
        [f"{verdict.leader} ahead of", "by (mean)", "at least", "at most", "pairs", "significant"],
        [
            (
                difference.method,
                difference.mean,
                difference.low,
                difference.high,
                str(difference.pairs),
                difference.decided,
            )
            for difference in sorted(verdict.differences, key=lambda difference: difference.mean)
        ],
    ) + paragraph(
        f"95 % intervals for all differences together ({verdict.unit}). A winner is named only "
        "where every interval leaves out zero.",
        "quiet",
    )


def _ranks(comparison: Comparison) -> str:
    trials = comparison.to_trials()
    rows = []
    for row in comparison.ranks().itertuples():
        mine = trials[(trials.method == row.Index) & (trials.outcome == "ran")]
        rows.append(
            (
                row.Index,
                float(row.mean_rank),
                float(row.median_gain),
                str(row.wins),
                str(row.ties),
                f"{mine.feasible.mean():.0%}" if len(mine) else "–",
                float(mine.raw_violation.median()),
                float(mine.evaluations.median()),
                float(mine.seconds.median()),
            )
        )
    return table(
        "Ranks of the methods",
        [
            "method",
            "mean rank",
            "share of largest gain",
            "wins",
            "ties",
            "feasible",
            "raw violation",
            "evaluations",
            "seconds",
        ],
        rows,
    )


def _drawn(comparison: Comparison, most: int) -> tuple[Comparison, str]:
    """Return the comparison of the best ranked methods, and a note where some were left out."""
    ranked = list(comparison.ranks().index)
    if len(ranked) <= most:
        return comparison, ""
    return (
        comparison.subset(methods=ranked[:most]),
        f" The {most} best ranked of {len(ranked)} methods are drawn.",
    )


def _profiles(comparison: Comparison) -> str:
    pairs_tried = sum(len(problem.starts) for problem in comparison.problems)
    if pairs_tried < 2:
        return ""
    drawn, note = _drawn(comparison, MOST_LINES)
    reached = drawn.performance_profile()
    final = ", ".join(
        f"{name} {share:.0%}" for name, share in zip(drawn.labels, reached.shares[-1], strict=True)
    )
    return section(
        "How many problems, at what cost",
        '<div class="pictures">',
        picture(
            drawn.plot_performance_profile().figure,
            "Performance profile: the share of problems and starts solved against the ratio of "
            f"evaluations to the cheapest method. In the end: {final}.",
            f"Performance profile (Dolan and Moré 2002).{note}",
        ),
        picture(
            drawn.plot_data_profile().figure,
            "Data profile: the share of problems and starts solved against model evaluations. In "
            f"the end: {final}.",
            f"Data profile (Moré and Wild 2009), in single evaluations.{note}",
        ),
        "</div>",
    )


def _problems(comparison: Comparison) -> Iterator[str]:
    frame = comparison.to_frame()
    spent = 0
    for number, problem in enumerate(comparison.problems):
        part = comparison.subset([problem.label])
        verdict = part.best()
        drawn = "".join(_pictures(part, problem.label)) if spent < PICTURE_BYTES else ""
        spent += len(drawn)
        rows = [
            (
                row.Index,
                row.value,
                _range(row.quartile_1, row.quartile_3),
                row.best,
                "–" if row.feasible != row.feasible else f"{row.feasible:.0%}",
                row.violation,
                row.raw_value,
                row.raw_violation,
                row.kkt,
                row.evaluations,
                row.calls,
                row.seconds,
                str(row.wins) + (f" + {row.ties} tied" if row.ties else ""),
                row.status,
            )
            for row in frame.loc[problem.label].itertuples()
        ]
        yield details(
            problem.label,
            paragraph(f"{problem}. {problem.size:,} variables."),
            paragraph(verdict),
            table(
                f"Methods on {problem.label}",
                [
                    "method",
                    "value",
                    "quartiles",
                    "best",
                    "feasible",
                    "violation",
                    "raw value",
                    "raw violation",
                    "KKT residual",
                    "evaluations",
                    "calls",
                    "seconds",
                    "wins",
                    "status",
                ],
                rows,
            ),
            drawn,
            opened=number == 0,
        )


def _pictures(comparison: Comparison, label: str) -> Iterator[str]:
    if not any(trial.outcome == "ran" for trial in comparison.trials):
        return
    drawn, note = _drawn(comparison, MOST_LINES)
    more, more_note = _drawn(comparison, MOST_PANELS)
    values = ", ".join(
        f"{name} {trial.value:.4g}" + ("" if trial.feasible else " (not feasible)")
        for name in more.labels
        if (trial := more.best_trial(label, name)) is not None
    )
    yield '<div class="pictures">'
    yield picture(
        drawn.plot_convergence().figure,
        f"Best feasible value against model evaluations, by method. In the end: {values}.",
        f"Median over the starts; the band holds the middle half.{note}",
    )
    yield picture(
        more.plot_violation().figure,
        "Largest violation (a pure number) of what each method returned, before projection.",
        f"Crosses break a constraint, circles do not.{more_note}",
    )
    if len(comparison.problems[0].starts) > 1:
        yield picture(
            drawn.plot_waterfall().figure,
            "Final value of every start of each method, best first.",
            f"Crosses break a constraint.{note}",
        )
    yield "</div>"
    axes = more.plot_inputs(raw=True, columns=3)
    if len(axes):
        yield picture(
            axes[0].figure,
            f"The best returned input of each method, before projection; after it: {values}.",
            f"As returned, before projection; a dashed frame breaks a constraint.{more_note}",
        )


def _range(low: float, high: float) -> Raw | str:
    if low != low:
        return "–"
    return Raw(f"{text(float(low))} to {text(float(high))}")


def _errors(comparison: Comparison) -> str:
    errors = comparison.errors()
    if not len(errors):
        return ""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for row in errors.itertuples():
        grouped.setdefault((row.method, row.outcome, row.reason), []).append(row.problem)
    return section(
        "What did not run",
        table(
            "Refusals and failures",
            ["method", "outcome", "problems", "reason"],
            [
                (method, outcome, _few(problems), reason)
                for (method, outcome, reason), problems in grouped.items()
            ],
            words=["problems", "reason"],
        ),
    )


def _few(labels: list[str]) -> str:
    return ", ".join(labels) if len(labels) <= 3 else f"{labels[0]} and {len(labels) - 1} more"


def _methods(comparison: Comparison) -> str:
    return table(
        "Methods and their settings",
        ["label", "method and settings", "what it cannot do"],
        [(method.label, str(method), method.limits or "–") for method in comparison.methods],
        words=["method and settings", "what it cannot do"],
    )


def _settings(comparison: Comparison) -> dict[str, Any]:
    budget = comparison.budget
    return {
        "budget of a trial": "none"
        if budget is None
        else ", ".join(
            words
            for words, there in (
                (f"{budget.evaluations} evaluations", budget.evaluations is not None),
                (f"{budget.seconds} seconds", budget.seconds is not None),
            )
            if there
        ),
        "starts": str(max(len(problem.starts) for problem in comparison.problems)),
        "seed": "the starts were given" if comparison.seed is None else str(comparison.seed),
        "trials": str(len(comparison.trials)),
    }

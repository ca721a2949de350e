"""The page of one result."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from constrained_actmax.certificate import outward
from constrained_actmax.plotting import plot_certificate, plot_history, plot_result
from constrained_actmax.plotting.series import panel
from constrained_actmax.report.page import code, page, pairs, paragraph, picture, section, table
from constrained_actmax.report.repeating import result_code
from constrained_actmax.result import Result, Start


def result_page(result: Result, title: str | None = None) -> str:
    """Return the page of a result as HTML."""
    verb = "Largest" if result.sense == "maximize" else "Smallest"
    kkt = result.optimality
    lead = [_verdict(result), paragraph(result.message)]
    lead += [paragraph(note, "quiet") for note in result.notes]
    return page(
        title or f"{verb} {result.objective}",
        lead,
        [
            section("The input", _input(result)),
            *_bound(result),
            section(
                "Constraints and optimality",
                table(
                    "Constraints",
                    ["constraint", "violation", "multiplier"],
                    [
                        (str(record), record.violation, _multiplier(record.multiplier))
                        for record in result.constraints
                    ],
                )
                if len(result.constraints)
                else paragraph("There were no constraints."),
                pairs(
                    {
                        "stationarity residual, scaled": kkt.stationarity,
                        "stationarity residual in input units": kkt.residual,
                        "largest violation, scaled": result.maxcv,
                        "complementarity, scaled": kkt.complementarity,
                    }
                ),
            ),
            section("The run", _history(result), _starts(result)),
            section("Settings", pairs(dict(_settings(result)))),
            section("To repeat it", code(result_code(result))),
        ],
        result.versions,
    )


def _verdict(result: Result) -> str:
    if result.feasible:
        return paragraph(f"Feasible: {result.objective} = {result.value:.6g}.", "verdict good")
    return paragraph(
        f"Not feasible (violation {result.maxcv:.3g}): the least violating point has "
        f"{result.objective} = {result.value:.6g}.",
        "verdict bad",
    )


def _input(result: Result) -> str:
    inputs = ", ".join(f"{input_.name} of shape {input_.shape}" for input_ in result.layout.inputs)
    state = "it satisfies all constraints" if result.feasible else "it violates a constraint"
    return picture(
        plot_result(result)[0].figure,
        f"The input found ({inputs}); {result.objective} = {result.value:.4g}, {state}.",
    )


def _bound(result: Result) -> list[str]:
    """Return the section on the certificate, where there is one."""
    evaluation = result.certificate
    if evaluation is None:
        return []
    parts = [paragraph(str(evaluation))]
    if math.isfinite(evaluation.dual_bound):
        parts.append(
            picture(
                plot_certificate(evaluation).figure,
                f"{evaluation.objective}: best value found {evaluation.best_value:.4g}, proven "
                "bound "
                f"{outward(evaluation.dual_bound, 4, evaluation.sense == 'maximize')}.",
                "Shaded: where the optimum may lie. Hatched: values that no allowed input has.",
            )
        )
    parts += [paragraph(doubt, "quiet") for doubt in evaluation.doubts]
    return [section("The bound", *parts)]


def _history(result: Result) -> str:
    if not result.history.value:
        return ""
    return picture(
        plot_history(result, ax=panel(None, 0)).figure,
        f"{result.objective} against model evaluations, from {result.history.value[0]:.4g} at the "
        f"first iterate to {result.value:.4g} after {result.nfev} evaluations.",
        "Thin: iterates. Thick: the best feasible value so far. Hollow markers are infeasible.",
    )


def _starts(result: Result) -> str:
    sign = 1 if result.sense == "maximize" else -1

    def order(pair: tuple[int, Start]) -> tuple[bool, float]:
        value = pair[1].value
        return not pair[1].feasible, -sign * value if math.isfinite(value) else math.inf

    return table(
        "Starts, best first",
        ["start", "value", "feasible", "violation", "KKT residual", "iterations", "status"],
        [
            (
                str(number),
                start.value,
                start.feasible,
                start.violation,
                start.stationarity,
                str(start.nit),
                start.status.name,
            )
            for number, start in sorted(enumerate(result.starts), key=order)
        ],
    )


def _settings(result: Result) -> Iterator[tuple[str, Any]]:
    yield "method", result.method + (f" (auto: {result.reason})" if result.reason else "")
    yield "evaluations", f"{result.nfev} in {result.calls} model calls"
    yield "time", f"{result.seconds:.2f} s"
    yield "seed", "–" if result.seed is None else str(result.seed)
    for name in ("tol", "feasibility_tolerance"):
        if name in result.settings:
            yield name, result.settings[name]
    for name, value in result.settings.get("solver", {}).items():
        yield f"{result.method}: {name}", str(value)
    for name, value in result.settings.get("model", {}).items():
        if not isinstance(value, dict):
            yield f"model: {name}" if name != "model" else "model", str(value)


def _multiplier(value: Any) -> Any:
    return value if isinstance(value, float) else "–"

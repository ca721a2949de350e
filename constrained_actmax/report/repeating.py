"""The Python that repeats a run, from the words that its record keeps."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from constrained_actmax.comparison import Comparison
    from constrained_actmax.result import Result

#: Name of the network that the package ships.
SHIPPED = "fashion_mnist"
CALL = re.compile(r"(?<![\w.'\"])([A-Z]\w*)\(")


def expression(words: str) -> str:
    """Return an objective or a constraint in Python: ``cax.`` before each name."""
    return CALL.sub(r"cax.\1(", words)


def result_code(result: Result) -> str:
    """Return the Python that repeats a result, from the folder that it was saved in."""
    model = str(result.settings.get("model", {}).get("model", "function"))
    constraints = [expression(constraint.words) for constraint in result.constraints]
    lines = ["import numpy as np", "", "import constrained_actmax as cax", ""]
    lines += [f"model = {_model(model)}"]
    lines += _problem("problem", result.objective, constraints, result.sense, {})
    lines += [
        'starts = np.load("arrays.npz")["starts_x0"]  # result.save wrote it',
        "result = cax.solve(",
        f"    problem, method={result.method!r}, starts=starts, tol={result.settings.get('tol')!r}",
        ")",
    ]
    return _hinted("\n".join(lines))


def comparison_code(comparison: Comparison) -> str:
    """Return the Python that repeats a comparison."""
    models = list(dict.fromkeys(problem.model for problem in comparison.problems))
    names = {model: "model" if len(models) == 1 else f"model_{k}" for k, model in enumerate(models)}
    lines = ["import constrained_actmax as cax", ""]
    for model in models:
        lines.append(f"{names[model]} = {_model(model)}")
    lines.append("problems = {")
    for problem in comparison.problems:
        constraints = [expression(name) for name in problem.constraints]
        said = _problem(
            "", problem.objective, constraints, problem.sense, problem.options, names[problem.model]
        )
        lines.append(f"    {problem.label!r}: {said[0]},")
    lines += ["}", "methods = {"]
    for method in comparison.methods:
        made = repr(method.name)
        if method.kind:
            settings = ", ".join(f"{k}={_literal(v)}" for k, v in method.settings.items())
            made = f"cax.{method.kind}({settings})"
        lines.append(f"    {method.label!r}: {made},")
    lines.append("}")
    count = max(len(problem.starts) for problem in comparison.problems)
    starts, seed = str(count), f", seed={comparison.seed}"
    if comparison.seed is None:
        lines.insert(0, "import numpy as np\n")
        starts, seed = 'np.load("problems.npz")["0_starts"]', ""
    budget = ""
    if comparison.budget is not None:
        budget = (
            f", budget=cax.Budget(evaluations={comparison.budget.evaluations}, "
            f"seconds={comparison.budget.seconds})"
        )
    lines.append(f"found = cax.compare(problems, methods, starts={starts}{budget}{seed})")
    return _hinted("\n".join(lines))


def _model(name: str) -> str:
    if name == SHIPPED:
        return "cax.examples.load_model()"
    return f"...  # the network {name!r}"


def _problem(
    variable: str,
    objective: str,
    constraints: Sequence[str],
    sense: str,
    options: Mapping[str, Any],
    model: str = "model",
) -> list[str]:
    more = "" if sense == "maximize" else f", sense={sense!r}"
    more += "".join(f", {name}={value!r}" for name, value in options.items())
    call = f"cax.Problem({model}, {expression(objective)}, [{', '.join(constraints)}]{more})"
    return [f"{variable} = {call}" if variable else call]


def _literal(words: str) -> str:
    try:
        ast.literal_eval(words)
    except (ValueError, SyntaxError):
        return "..."
    return words


def _hinted(source: str) -> str:
    if "array(" in source or "..." in source:
        return f"# An ellipsis, and array(...), stand for your own model and numbers.\n{source}"
    return source

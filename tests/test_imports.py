"""Imports point downward only, and heavy libraries come in through few doors."""

from __future__ import annotations

import ast
import graphlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import constrained_actmax

PACKAGE = Path(constrained_actmax.__file__).parent
NAME = "constrained_actmax"

# A part may import from its own rank and from those below.
RANKS = [
    {
        "certificate",
        "constraint_records",
        "errors",
        "keywords",
        "json_form",
        "layout",
        "rounds",
        "plotting",
        "quoting",
        "report",
        "result",
        "storage",
        "table",
        "examples",
    },
    {"constraints", "objectives", "oracles", "structure"},
    {"kernels"},
    {"sets"},
    {"features"},
    {
        "callbacks",
        "conformance",
        "random_points",
        "evaluation",
        "kinks",
        "optimality",
        "packing",
        "problem",
        "progress",
        "scales",
        "standard_form",
        "starting_points",
        "tasks",
    },
    {"baselines", "certificates", "solvers"},
    {"measuring"},
    {
        "certifying",
        "checking",
        "cli",
        "comparison",
        "diversity",
        "feasibility",
        "maximization",
        "solving",
        "sweeps",
        "__init__",
        "__main__",
    },  # __init__: the public face
]
RANK = {part: rank for rank, parts in enumerate(RANKS) for part in parts}

DOORS = {
    "tensorflow": {"baselines", "examples", "objectives", "oracles", "structure"},
    "keras": {"baselines", "examples", "objectives", "oracles", "structure"},
    "cvxpy": {"conformance", "kernels", "sets"},
    "highspy": {"kernels"},
    "click": {"cli"},
    "rich": {"cli", "comparison", "progress", "sweeps"},
    "matplotlib": {"plotting"},
}

#: Imports inside functions that close a circle: by the file, what it imports, and why.
CIRCLES = {"result": {"report"}}  # Result.to_html; Result.plot draws from below

FILES = sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    """Return the first name below the package: a folder or a module."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield every module that the file imports when it runs, with the line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    only_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in only_types:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def identify(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_imports_point_downward(path: Path) -> None:
    own = part(path)
    assert own in RANK, f"{own} has no rank: name it in RANKS"
    for module, line in imports(path):
        names = module.split(".")
        if names[0] != NAME:
            continue
        # "import constrained_actmax" itself is the public face, which only the top may use.
        other = names[1] if len(names) > 1 and names[1] in RANK else "__init__"
        assert RANK[other] <= RANK[own], f"{path}:{line}: {own} must not import {module}"


def graph() -> dict[str, set[str]]:
    """Return what each module of the package imports of it when its code runs."""
    modules = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
        for path in FILES
    }
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        inner = [one.removeprefix(f"{NAME}.") for one, _ in imports(path) if one.startswith(NAME)]
        named = {one if one in modules else one.rpartition(".")[0] for one in inner}
        found[module] = {one for one in named if one in modules} - {module}
    return found


def test_nothing_imports_in_a_circle_when_code_runs() -> None:
    every = graph()
    cut = {module: every[module] - CIRCLES.get(module, set()) for module in every}
    assert not circular(cut)
    for module, allowed in CIRCLES.items():
        for one in allowed:
            kept = circular(cut | {module: cut[module] | {one}})
            assert kept, f"{module} imports {one} in no circle: it is no exception"


def circular(modules: dict[str, set[str]]) -> list[str]:
    """Return the modules of one circle, empty without any."""
    try:
        graphlib.TopologicalSorter(modules).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_heavy_libraries_come_in_by_their_doors(path: Path) -> None:
    for module, line in imports(path):
        top = module.split(".")[0]
        if top in DOORS:
            assert part(path) in DOORS[top], f"{path}:{line}: {top} is for {sorted(DOORS[top])}"
        if module == "scipy.optimize.minimize":
            assert identify(path) == str(Path("solvers", "_scipy.py")), f"{path}:{line}"


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_only_one_file_calls_scipy_minimize(path: Path) -> None:
    calls = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in {"optimize.minimize", "scipy.optimize.minimize"}
    ]
    assert not calls or identify(path) == str(Path("solvers", "_scipy.py"))


def test_importing_the_package_is_light() -> None:
    code = (
        "import json, sys, time; start = time.perf_counter(); import constrained_actmax; "
        "seconds = time.perf_counter() - start; "
        "print(json.dumps([seconds, sorted(m for m in sys.modules if '.' not in m)]))"
    )
    runs = []
    for _ in range(4):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        runs.append(json.loads(done.stdout))
    loaded = set(runs[0][1])
    assert not loaded & {"tensorflow", "keras", "cvxpy", "matplotlib"}
    assert min(seconds for seconds, _ in runs) < 0.5

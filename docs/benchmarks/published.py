"""Solvers on published problems with known answers: `python docs/benchmarks/published.py --write`.

A cell is the number of evaluations of one row until the solver's own end with tol=1e-10; a miss
says what was missed. Starts are the published ones.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from published_problems import PROBLEMS, Published, misses  # noqa: E402

import constrained_actmax as cax  # noqa: E402

GENERAL = ("SLSQP", "trust-constr", "augmented-lagrangian")
BOUNDED = ("L-BFGS-B", "TNC", "spg", "pqn", "fista")
TOLERANCE = 1e-10


def run(one: Published, method: str) -> tuple[cax.Result, list[str]]:
    """Solve one problem from its published start."""
    result = cax.solve(one.problem(x0=one.start), method=method, tol=TOLERANCE)
    return result, misses(one, result)


def cell(one: Published, method: str) -> str:
    """Return what the table says of one run."""
    result, missed = run(one, method)
    if not missed:
        return str(result.nfev)
    claim = "claims success" if result.success else result.status.name.lower()
    return f"miss after {result.nfev}: {', '.join(missed)} ({claim})"


def tables(names: set[str], methods: set[str]) -> list[str]:
    """Return the lines of both tables."""
    lines = []
    for title, bounds_only, columns in (
        ("Bounds alone", True, BOUNDED + GENERAL),
        ("Constraints on functions", False, GENERAL),
    ):
        columns = tuple(one for one in columns if not methods or one in methods)
        lines += [f"## {title}", "", f"| problem | n | m | {' | '.join(columns)} |"]
        lines.append("|---" * (3 + len(columns)) + "|")
        print("\n".join(lines[-4:]))
        for one in PROBLEMS:
            if one.only_bounds is not bounds_only or (names and one.name not in names):
                continue
            began = time.perf_counter()
            cells = [cell(one, method) for method in columns]
            row = f"| {one.name} | {one.size} | {len(one.lower)} | {' | '.join(cells)} |"
            lines.append(row)
            print(row, f"  {time.perf_counter() - began:.1f} s", flush=True)
        lines.append("")
    return lines


def main() -> None:
    """Print the tables, and write the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--problems", nargs="*", default=[])
    parser.add_argument("--methods", nargs="*", default=[])
    chosen = parser.parse_args()
    lines = tables(set(chosen.problems), set(chosen.methods))
    if chosen.write:
        versions = cax.maximization.versions()
        head = [
            "# Solvers on published problems",
            "",
            "Evaluations of one row (value, gradient, constraints and Jacobian together) with",
            "`tol=1e-10`, each from its published start. A number means that value (1e-6), point",
            "(1e-4, where it is unique), multipliers (1e-3) and violation (1e-7) are the published",
            "ones; all else is a miss and says what was missed. trust-constr counts products with",
            "the Hessian too. Sources: `tests/published_problems.py`.",
            "",
            f"SciPy {versions['scipy']}, TensorFlow {versions['tensorflow']}; written by",
            "`docs/benchmarks/published.py --write`.",
            "",
        ]
        (HERE / "published.md").write_text("\n".join(head + lines), encoding="utf-8")


if __name__ == "__main__":
    main()

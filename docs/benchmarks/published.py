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

import cutest_problems  # noqa: E402
import numpy as np  # noqa: E402
import scipy.optimize  # noqa: E402
from published_problems import PROBLEMS, Published, misses  # noqa: E402

import constrained_actmax as cax  # noqa: E402
from constrained_actmax.measuring import versions  # noqa: E402

GENERAL = ("SLSQP", "trust-constr", "augmented-lagrangian")
BOUNDED = ("L-BFGS-B", "TNC", "spg", "pqn", "fista")
TOLERANCE = 1e-10
#: Of the problems of CUTEst: our tolerances, SciPy's (its `tol` sets all of a method's own), what
#: counts as solved, and as the best known value.
OURS, THEIRS = 1e-7, 1e-9
KKT, FEASIBLE, SAME_VALUE = 1e-4, 1e-6, 1e-4
RIVALS = ("SciPy SLSQP", "SciPy trust-constr")
ALL = (*RIVALS, "auto", *GENERAL)
CUTEST_HEAD = f"""# Solvers on small problems of CUTEst

Forty constrained problems outside Hock and Schittkowski, restated as NumPy functions with exact
gradients (`tests/cutest_problems.py`, with sources), each from its published start. A number is the
evaluations of the objective until the method's own end. *Solved* means that code of the tests' own
finds a KKT residual of at most {KKT:g} of the gradient's size and a violation of at most
{FEASIBLE:g}. A value in brackets is not the best known one: another local minimum, or a miss. "!"
marks a claim of success that is none. Ours have `tol={OURS:g}` and
`feasibility_tolerance={THEIRS:g}`, SciPy's `tol={THEIRS:g}`; smoothness is not stated.
"""


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


def cutest_run(
    one: cutest_problems.Small, method: str, *, loose: bool = False
) -> tuple[np.ndarray, int, bool, int]:
    """Return where a method ends, its evaluations, whether it claims success, and the probes.

    `loose` is for the default tolerances.
    """
    lower, upper = one.limits
    rows = scipy.optimize.NonlinearConstraint(one.c, lower, upper, jac=one.jacobian)
    calls = []

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        calls.append(1)
        return one.f(x)

    if method in RIVALS:
        found = scipy.optimize.minimize(
            function,
            one.x0,
            jac=True,
            method=method.removeprefix("SciPy "),
            bounds=scipy.optimize.Bounds(*one.bounds),
            constraints=[rows],
            tol=THEIRS,
            options={"maxiter": 1000},
        )
        return found.x, len(calls), bool(found.success), 0
    constraints = [rows] if np.isinf(one.bounds).all() else [cax.Box(*one.bounds), rows]
    problem = cax.Problem(
        cax.FunctionOracle(one.f, len(one.start)),
        constraints=constraints,
        sense="minimize",
        x0=one.start,
        feasibility_tolerance=None if loose else THEIRS,
    )
    result = cax.solve(problem, method=method, tol=None if loose else OURS)
    return result.flat, result.nfev, result.success, problem.scales.evaluations


def cutest() -> list[str]:
    """Return the lines of the table of CUTEst's problems."""
    lines = [f"| problem | n | m | {' | '.join(ALL)} |", "|---" * (3 + len(ALL)) + "|"]
    counts: dict[str, dict[str, int]] = {method: {} for method in ALL}
    best, false = dict.fromkeys(ALL, 0), dict.fromkeys(ALL, 0)
    probes: list[int] = []
    before: dict[str, int] = {}
    claimed = strict = 0
    for one in cutest_problems.PROBLEMS:
        row = f"| {one.name} | {len(one.start)} | {len(one.limits[0])} |"
        for method in ALL:
            x, rows, claims, asked = cutest_run(one, method)
            probes += [asked] * (method not in RIVALS)
            before[one.name] = asked
            kkt, violation = cutest_problems.optimality(one, x)
            good = kkt <= KKT and violation <= FEASIBLE
            value, slack = one.f(x)[0], SAME_VALUE * max(1.0, abs(one.best))
            near = violation <= FEASIBLE and value <= one.best + slack
            if good:
                counts[method][one.name] = rows
            best[method] += near
            false[method] += claims and not good
            row += f" {rows}" if good else f" miss after {rows}"
            row += ("" if near else f" ({value:.4g})") + "!" * (claims and not good) + " |"
        lines.append(row)
        print(row, flush=True)
        x, _, claims, _ = cutest_run(one, "auto", loose=True)
        kkt, violation = cutest_problems.optimality(one, x)
        claimed += claims
        strict += claims and kkt <= KKT and violation <= FEASIBLE
    for title, numbers in (
        ("solved", {method: len(solved) for method, solved in counts.items()}),
        ("best known value", best),
        ("false successes", false),
    ):
        lines.append(f"| **{title}** | | | {' | '.join(str(numbers[one]) for one in ALL)} |")
    lost = sorted((set(counts[RIVALS[0]]) | set(counts[RIVALS[1]])) - set(counts["auto"]))
    both = sorted(set(counts["auto"]) & set(counts[RIVALS[0]]))
    ours, theirs = (np.array([counts[one][name] for name in both]) for one in ("auto", RIVALS[0]))
    extra = np.array([before[name] for name in both])
    lines += [
        "",
        f"Solved by a method of SciPy and not by `auto`: {', '.join(lost) or 'none'}. Where both",
        f"solve it, `auto` takes {ours.sum()} evaluations and SciPy's SLSQP {theirs.sum()}; the",
        f"median of the ratios is {np.median(ours / theirs):.2f}, and",
        f"{(ours > 1.5 * theirs).sum()} of {len(both)} are above 1.5"
        f" ({', '.join(np.array(both)[ours > 1.5 * theirs]) or 'none'}). Ours leave out the probes",
        f"for a problem's scales, once for all its runs: {np.median(probes):.0f} in the median and",
        f"{max(probes)} at most; with them the median of the ratios is",
        f"{np.median((ours + extra) / theirs):.2f}, and {(ours + extra > 1.5 * theirs).sum()}",
        "are above 1.5. Probes at an answer are counted.",
        f"With default tolerances `auto` claims {claimed} successes, and {strict} of them pass",
        "the same test, which knows nothing of scales.",
        "",
    ]
    print("\n".join(lines[-11:]))
    return lines


def main() -> None:
    """Print the tables, and write the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--problems", nargs="*", default=[])
    parser.add_argument("--methods", nargs="*", default=[])
    parser.add_argument("--cutest", action="store_true", help="the problems of CUTEst alone")
    chosen = parser.parse_args()
    if chosen.cutest:
        written = f"SciPy {scipy.__version__}; `docs/benchmarks/published.py --cutest --write`."
        page = "\n".join([CUTEST_HEAD, written, "", *cutest()])
        if chosen.write:
            (HERE / "published_cutest.md").write_text(page, encoding="utf-8")
        return
    lines = tables(set(chosen.problems), set(chosen.methods))
    if chosen.write:
        installed = versions()
        head = [
            "# Solvers on published problems",
            "",
            "Evaluations (value, gradient, constraints and Jacobian together) with",
            "`tol=1e-10`, each from its published start. A number means that value (1e-6), point",
            "(1e-4, where it is unique), multipliers (1e-3) and violation (1e-7) are the published",
            "ones; all else is a miss and says what was missed. trust-constr counts products with",
            "the Hessian too. Sources: `tests/published_problems.py`. Small problems of CUTEst,",
            "with SciPy's own methods beside: [on a page of their own](published_cutest.md).",
            "",
            f"SciPy {installed['scipy']}, TensorFlow {installed['tensorflow']}; written by",
            "`docs/benchmarks/published.py --write`.",
            "",
        ]
        (HERE / "published.md").write_text("\n".join(head + lines), encoding="utf-8")


if __name__ == "__main__":
    main()

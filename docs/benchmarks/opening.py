"""The head of each page here: one chart and three sentences, made from the page's own tables.

    python docs/benchmarks/opening.py     # after a page was written: renews the heads of all pages

Nothing is measured: numbers are read from the tables below the head, so that both agree.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
BEGIN, END = "<!-- head -->", "<!-- end of head -->"
#: A table: one dictionary a row.
Table = list[dict[str, str]]


@dataclass(frozen=True)
class Head:
    """What stands first on a page.

    Attributes
    ----------
    title : str
        What the bars show, with the unit.
    bars : list of (str, str)
        Label and value of each.
    sentences : tuple of str
        Three of them: the question, what was seen, where it loses.
    ours : str
        How the labels begin that stand out.
    log : bool
        Whether lengths are logarithms.
    """

    title: str
    bars: list[tuple[str, str]]
    sentences: tuple[str, str, str]
    ours: str = ""
    log: bool = False

    def text(self) -> str:
        """Return the lines of the page."""
        options = [f":ours: {self.ours}"] * bool(self.ours) + [":log:"] * self.log
        bars = [f"{label} | {value}" for label, value in self.bars]
        lines = [BEGIN, f"```{{bars}} {self.title}", *options, "", *bars, "```", ""]
        return "\n".join([*lines, *self.sentences, END, ""])


def tables(text: str) -> list[Table]:
    """Return the tables of a page."""
    found: list[Table] = []
    for block in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        lines = [
            [cell.strip() for cell in line.strip("| \n").split("|")]
            for line in block.strip().splitlines()
        ]
        if len(lines) > 2 and set("".join(lines[1])) <= set("-: "):
            found.append(
                [
                    dict(zip(lines[0], [*cells, *[""] * len(lines[0])], strict=False))
                    for cells in lines[2:]
                ]
            )
    return found


def with_columns(every: Iterable[Table], *columns: str) -> list[Table]:
    """Return the tables that have all of these columns."""
    return [table for table in every if all(column in table[0] for column in columns)]


def of_n(cells: Iterable[str]) -> tuple[int, int]:
    """Return the sums of "3 of 4" and "2 of 2"."""
    pairs = [re.match(r"(\d+) of (\d+)", cell) for cell in cells]
    return (sum(int(p[1]) for p in pairs if p), sum(int(p[2]) for p in pairs if p))


def value(cell: str) -> float:
    """Return the number that a cell begins with."""
    number = re.match(r"[-+]?[\d,.]+(?:e[-+]?\d+)?", cell)
    if number is None:
        raise ValueError(f"value: no number begins {cell!r}.")
    return float(number[0].replace(",", ""))


HEADS: dict[str, Callable[[str], Head]] = {}


def head(function: Callable[[str], Head]) -> Callable[[str], Head]:
    """Enter a page's function under its name."""
    HEADS[function.__name__] = function
    return function


def median(cells: Iterable[str]) -> float:
    """Return the median of the numbers that cells begin with; others are left out."""
    return statistics.median(value(cell) for cell in cells if re.match(r"[-+]?[\d.]", cell))


@head
def answers(text: str) -> Head:
    """Return the head of the page of that name."""
    boxed, budget = with_columns(tables(text), "method", "its median")[:2]
    ran = [row for row in budget if row["its median"] != "–"]
    five = "identity-dense", "gradient-ascent", "trainable-input", "dataset-search", "input-mask"
    best = next(row for row in ran if row["method"] in five)
    return Head(
        "Median logit of ten classes under bounds and an L1 budget, each method's best setting",
        [(row["method"], row["its median"]) for row in ran],
        (
            "Which of the five published answers, and of the packages in use today, finds the "
            "input "
            "with the largest logit at equal evaluations?",
            f"Under bounds and an L1 budget `{ran[0]['method']}` reaches {ran[0]['its median']}, "
            "as "
            f"do other projecting methods with a tuned step size; the best of the five answers, "
            f"`{best['method']}`, reaches {best['its median']} once its result is projected.",
            f"With bounds alone the differences are smaller: {boxed[0]['its median']} for "
            f"`{boxed[0]['method']}` and {boxed[1]['its median']} for `{boxed[1]['method']}`.",
        ),
        "auto",
    )


@head
def certificates(text: str) -> Head:
    """Return the head of the page of that name."""
    surrogates = with_columns(tables(text), "asked", "reached")
    rows = [row for table in surrogates for row in table]
    reached, asked = of_n(row["reached"] for row in rows)
    theirs, of_them = of_n(row["HiGHS"] for row in rows)
    levels = [row for table in with_columns(tables(text), "level", "open") for row in table]
    left = sum(int(row["open"]) for row in levels)
    decided = sum(int(row["proven"]) + int(row["refuted"]) for row in levels)
    return Head(
        "Surrogates whose optimum was proven within the gap and time asked, percent",
        [
            ("certify", f"{100 * reached / asked:.0f} %"),
            ("HiGHS, mixed-integer program", f"{100 * theirs / of_them:.0f} %"),
        ],
        (
            "How often is the global optimum over a box proven, and how fast?",
            f"Of {asked} surrogates of two to eight inputs {reached} were closed within the gap "
            "and "
            f"time asked; HiGHS's mixed-integer program of the whole network closed {theirs} of "
            f"{of_them}.",
            f"Of {decided + left} properties of deep networks of five inputs {decided} were "
            "proven or "
            f"refuted, and {left} stayed open.",
        ),
        "certify",
    )


@head
def counterfactuals(text: str) -> Head:
    """Return the head of the page of that name."""
    every = with_columns(tables(text), "entrant", "cheapest of all")
    names = [row["entrant"].split(",")[0] for row in every[0]]
    names = [
        row["entrant"] if row["entrant"].startswith("DiCE") else name
        for row, name in zip(every[0], names, strict=True)
    ]
    cheapest = {
        name: sum(
            int(row["cheapest of all"])
            for table in every
            for row in table
            if row["entrant"].startswith(name)
        )
        for name in names
    }
    people = sum(of_n([table[0]["valid"]])[1] for table in every)
    ours = [table[0] for table in every]
    return Head(
        f"People of {people} for whom the cheapest valid change was found",
        [(name, f"{count} of {people}") for name, count in cheapest.items()],
        (
            "Which tool finds the cheapest realistic change of a table's row that changes the "
            "model's decision?",
            f"This library finds the cheapest one for {cheapest[names[0]]} of {people} people, "
            f"random search for {cheapest['random search']}, DiCE for "
            f"{max(cheapest[name] for name in names if name.startswith('DiCE'))}.",
            f"It takes longer: {ours[0]['seconds, median']} s and {ours[-1]['seconds, median']} "
            "s in "
            "the median on the two tables, and random search "
            f"{every[0][1]['seconds, median']} s and {every[-1][1]['seconds, median']} s.",
        ),
        "constrained_actmax",
    )


@head
def discrete(text: str) -> Head:
    """Return the head of the page of that name."""
    (table,) = with_columns(tables(text), "problem", "rounded")
    count = len(table)
    columns = {"auto": "`auto`", "its search alone": "search", "the rounded relaxation": "rounded"}
    optimal = {
        label: sum(row[column] == "optimum" for row in table) for label, column in columns.items()
    }
    proven = sum(row["fitted networks"] == "proven" for row in table)
    return Head(
        "Problems solved to the optimum, against brute force",
        [(label, f"{found} of {count}") for label, found in optimal.items()],
        (
            "How good are answers with whole numbers, catalogue sizes, categories and few changes?",
            f"`auto` finds the optimum of {optimal['auto']} of {count} problems, and rounding the "
            f"relaxed solution that of {optimal['the rounded relaxation']}.",
            f"On ReLU networks fitted to the functions, branch and bound proves {proven} of "
            f"{count}.",
        ),
        "auto",
    )


@head
def feasibility(text: str) -> Head:
    """Return the head of the page of that name."""
    every = with_columns(tables(text), "family", "method", "found")
    untouched = every[-1]
    methods = list(dict.fromkeys(row["method"] for row in untouched))
    found = {
        name: of_n(row["found"] for row in untouched if row["method"] == name) for name in methods
    }
    share = {name: 100 * some / all_ for name, (some, all_) in found.items()}
    ours = found["find_feasible"]
    best = max(
        (name for name in methods if name not in ("find_feasible", "auto")),
        key=lambda name: share[name],
    )
    return Head(
        "Runs that found a feasible point within 2,000 evaluations, seeds that were not tuned on",
        [(name, f"{share[name]:.0f} %") for name in methods],
        (
            "How often is a point found that satisfies all bounds on a network's outputs, where "
            "the feasible share of the box is between 1e-2 and 1e-5?",
            f"`find_feasible` found one in {ours[0]} of {ours[1]} runs, and the best rival, "
            f"{best}, "
            f"in {found[best][0]} of {found[best][1]}.",
            "Where a local search suffices, SLSQP from many starting points needs fewer "
            "evaluations.",
        ),
        "find_feasible",
    )


@head
def inexact_projections(text: str) -> Head:
    """Return the head of the page of that name."""
    (table,) = with_columns(tables(text), "projections", "seconds")
    accurate = [row for row in table if row["projections"] == "accurate"]
    slower = [row for row in accurate if value(row["over inexact"]) > 1.0]
    return Head(
        "Seconds with accurate projections over seconds with inexact ones",
        [(f"{row['picture']}, {row['method']}", row["over inexact"]) for row in accurate],
        (
            "Do inexact, warm-started projections make solvers faster where the projection is "
            "iterative?",
            f"Not on smooth problems of this size: accurate projections take less time in "
            f"{len(accurate) - len(slower)} of {len(accurate)} runs, because inexact ones stall "
            "short of the tolerance.",
            f"They pay in {len(slower)} runs, the largest of them, and beyond 2,000 entries, where "
            "the library uses them.",
        ),
        log=True,
    )


@head
def kinks(text: str) -> Head:
    """Return the head of the page of that name."""
    (table,) = with_columns(tables(text), "networks", "the answer", "median gain, %")
    groups = list(dict.fromkeys(row["networks"] for row in table))
    converged = {
        name: of_n(row["the answer"] for row in table if row["networks"] == name) for name in groups
    }
    dense = [pair for name, pair in converged.items() if name != "convolutional"]
    return Head(
        "Answers that are proven local maxima, percent of the instances",
        [(name, f"{100 * some / all_:.0f} %") for name, (some, all_) in converged.items()],
        (
            "How often does `auto` end at an exact local maximum of a ReLU network, at a kink?",
            f"On dense networks in {sum(some for some, _ in dense)} of "
            f"{sum(all_ for _, all_ in dense)} instances; the least gain over the search alone is "
            f"{min(value(row['least gain, %']) for row in table):g} % of the range.",
            f"On convolutional networks in {converged['convolutional'][0]} of "
            f"{converged['convolutional'][1]}, because hundreds of kinks meet in pooling windows.",
        ),
    )


@head
def large_input(text: str) -> Head:
    """Return the head of the page of that name."""
    (table,) = with_columns(tables(text), "method", "of it the model")
    ours = table[0]
    memory = re.search(r"included: ([\d.]+ GB)", text)
    model = value(ours["of it the model"])
    return Head(
        "Seconds of 299 evaluations at 150,528 inputs",
        [("the model", f"{model:g} s"), ("the solver", f"{value(ours['seconds']) - model:.1f} s")],
        (
            "What does a bound on an output cost at the size of a photograph?",
            f"The augmented Lagrangian adds {ours['own share'].split(' %')[0]} % to the model's "
            "time "
            f"and the process needs {memory[1] if memory else 'little'} of memory.",
            "SLSQP and trust-constr are refused before they begin: their matrices would need "
            "hundreds of gigabytes.",
        ),
        "the solver",
    )


@head
def literature(text: str) -> Head:
    """Return the head of the page of that name."""
    table = next(
        t for t in with_columns(tables(text), "networks", "auto") if t[-1]["networks"] == "all"
    )
    entrants = [name for name in table[0] if name not in ("networks", "instances")]
    last = table[-1]
    shown = [(name, *of_n([last[name]])) for name in entrants if of_n([last[name]])[1]]
    some, all_ = of_n([last["auto"]])
    others = [name for name, *_ in shown if name != "auto"]
    target = re.search(r"the target is .*? it is (?:met|missed)", " ".join(text.split()))
    assert target is not None
    behind = list(with_columns(tables(text), "where `auto` is behind"))
    return Head(
        "Instances on which an entrant is best or within 0.1 %",
        [(name, f"{100 * good / tried:.0f} %") for name, good, tried in shown],
        (
            "How do the published methods for maximising a ReLU network compare at equal processor "
            "time?",
            f"`auto` is best or within 0.1 % on {some} of {all_} instances; beside it ran "
            f"{', '.join(others)}.",
            f"T{target[0][1:]}{'; the second table says where' if behind else ''}.",
        ),
        "auto",
    )


@head
def nearest(text: str) -> Head:
    """Return the head of the page of that name."""
    (table,) = with_columns(tables(text), "norm", "method", "median evaluations")
    rows = [row for row in table if row["norm"] == "L∞" and value(row["images"]) > 1]
    ours = rows[0]
    bisection = next(row for row in rows if "100" in row["method"])
    return Head(
        "Evaluations to the nearest image of another class in the L∞ norm, median",
        [(row["method"], row["median evaluations"]) for row in rows],
        (
            "How near is the nearest image that the model calls something else?",
            f"`nearest-point` is within 1 % of twenty halvings of a ball on "
            f"{ours['within 1 % of bisection with 100']} of {ours['images']} images, at "
            f"{ours['median evaluations']} evaluations instead of "
            f"{bisection['median evaluations']}.",
            f"Its worst image is {ours['worst, %']} % farther than bisection's.",
        ),
        "nearest-point",
    )


@head
def oracle(text: str) -> Head:
    """Return the head of the page of that name."""
    (table,) = with_columns(tables(text), "model", "rows", "ratio")
    single = [row for row in table if row["rows"] == "1"]
    ratios = [value(row["ratio"]) for row in table]
    share = "XLA's share of the time"
    slow = max(table, key=lambda row: value(row[share]))
    return Head(
        "Microseconds a call at one row",
        [
            bar
            for row in single
            for bar in (
                (f"oracle, {row['model']}", row["oracle, µs"]),
                (f"bare function, {row['model']}", row["bare, µs"]),
            )
        ],
        (
            "What does the library add to one value and gradient of the model?",
            f"Nothing: a call takes {min(ratios):.2f} to {max(ratios):.2f} times that of a bare "
            "TensorFlow function.",
            "XLA halves small calls and can double large ones "
            f"({slow[share]} "
            f"times on {slow['model']} at {slow['rows']} rows), so it is off by default.",
        ),
        "oracle",
    )


@head
def output_limits(text: str) -> Head:
    """Return the head of the page of that name."""
    table = with_columns(tables(text), "method", "feasible", "within 1 % of the best")[0]
    images = of_n([table[0]["feasible"]])[1]
    ours, *others = table
    return Head(
        "Images on which a method is within 1 % of the best value",
        [(row["method"], f"{row['within 1 % of the best']} of {images}") for row in table],
        (
            "Which method handles bounds on the model's own outputs at 784 inputs?",
            f"The augmented Lagrangian is feasible on {ours['feasible']} images and within 1 % "
            "of the "
            f"best on {ours['within 1 % of the best']}, in {ours['median seconds']} s in the "
            "median.",
            "The others: "
            + ", ".join(
                f"{row['method']} is feasible on {row['feasible']}, within 1 % on "
                f"{row['within 1 % of the best']}"
                for row in others
            )
            + ".",
        ),
        "augmented",
    )


@head
def paired(text: str) -> Head:
    """Return the head of the page of that name."""
    (table,) = with_columns(tables(text), "family", "better, tie, worse")
    counts = [[int(n) for n in row["better, tie, worse"].split(", ")] for row in table]
    better, tie, worse = (sum(column) for column in zip(*counts, strict=True))
    return Head(
        "Questions on which this version is better than the one before, equal, or worse",
        [("better", str(better)), ("tie", str(tie)), ("worse", str(worse))],
        (
            "Does solving in units of the problem change answers where units were already right?",
            f"Hardly: {tie} of {better + tie + worse} questions are ties, {better} are better, "
            f"{worse} worse.",
            "No family's median falls; single losses are named below.",
        ),
    )


@head
def projections(text: str) -> Head:
    """Return the head of the page of that name."""
    table = with_columns(tables(text), "set", "one point, ms", "times faster")[0]
    rows = [row for row in table if row["times faster"]]
    times = [value(row["times faster"]) for row in rows]
    slow = min(rows, key=lambda row: value(row["times faster"]))
    return Head(
        "Milliseconds to project a point of 784 entries",
        [(row["set"], row["one point, ms"]) for row in rows],
        (
            "How long does an exact projection take?",
            f"At 784 entries between {min(value(row['one point, ms']) for row in rows):.3f} and "
            f"{max(value(row['one point, ms']) for row in rows):.0f} ms, "
            f"{statistics.median(times):.0f} "
            "times faster than cvxpy in the median.",
            f"The gain is smallest for {slow['set']}: {slow['times faster']} times.",
        ),
        log=True,
    )


@head
def published(text: str) -> Head:
    """Return the head of the page of that name."""
    table = with_columns(tables(text), "problem", "SLSQP", "augmented-lagrangian")[-1]
    methods = [name for name in table[0] if name not in ("problem", "n", "m")]
    solved = {name: sum(row[name][:1].isdigit() for row in table) for name in methods}
    return Head(
        "Published problems with constraints on functions that a method solves",
        [(name, f"{count} of {len(table)}") for name, count in solved.items()],
        (
            "Do the solvers reach the published optima, points and multipliers?",
            "With constraints on functions "
            + ", ".join(f"{name} solves {count} of {len(table)}" for name, count in solved.items())
            + ".",
            "Evaluations differ by more than tenfold between methods; misses say what was missed.",
        ),
    )


@head
def published_cutest(text: str) -> Head:
    """Return the head of the page of that name."""
    (table,) = with_columns(tables(text), "problem", "SciPy SLSQP", "auto")
    solved, best, false = (
        next(row for row in table if row["problem"] == f"**{name}**")
        for name in ("solved", "best known value", "false successes")
    )
    names = [name for name in table[0] if name not in ("problem", "n", "m")]
    ratios = re.findall(r"median of the ratios is ([\d.]+\d)", text.replace("\n", " "))
    count = len(table) - 3
    return Head(
        "Problems solved, checked by independent code",
        [(name, f"{solved[name]} of {count}") for name in names],
        (
            "How does `auto` do on small smooth problems of CUTEst, beside SciPy's own methods?",
            f"It solves {solved['auto']} of {count}, SciPy's SLSQP {solved['SciPy SLSQP']}, and "
            "ends "
            f"at the best known value on {best['auto']} against {best['SciPy SLSQP']}, with "
            f"{false['auto']} false successes.",
            "The ratio of its evaluations to SLSQP's is "
            f"{ratios[0]} in the median, with the probes for scales {ratios[1]}; the lines below "
            "the table count where it is larger.",
        ),
        "auto",
    )


@head
def robustness(text: str) -> Head:
    """Return the head of the page of that name."""
    (table,) = with_columns(tables(text), "network, distance", "decided")
    rows = {row["network, distance"]: row for row in table}
    small = [rows["embedded, 0.02"], rows["embedded, 0.05"]]
    asked = sum(int(row["images"]) for row in small)
    decided = asked - sum(int(row["open"]) for row in small)
    same = re.search(
        r"Of (the \d+ questions that HiGHS was asked.*?HiGHS\s+\d+)\.", text, re.DOTALL
    )
    both = " ".join(same[1].split()) if same else "HiGHS was asked none"
    wide, trained = rows["embedded, 0.1"], rows["convolutional, 0.1"]
    return Head(
        "Test images for which it is decided in 30 s whether a change alters the verdict, percent",
        [(name, row["decided"]) for name, row in rows.items()],
        (
            "May any image within an L-infinity distance of a test image get another verdict?",
            f"At distances of 0.02 and 0.05 `certify` decides {decided} of {asked} such questions "
            f"on the embedded network; of {both}.",
            f"At 0.1 the embedded network keeps its verdict for {wide['proven']} of "
            f"{wide['images']} images, and one trained for robustness for {trained['proven']} of "
            f"{trained['images']}.",
        ),
    )


@head
def sizes(text: str) -> Head:
    """Return the head of the page of that name."""
    table, limited = with_columns(tables(text), "network", "n", "auto")[:2]
    methods = [name for name in table[0] if name not in ("network", "n")]
    relu = [row for row in table if row["network"] == "relu"]
    gaps = {name: median(row[name] for row in relu) for name in methods}
    behind = [row for row in limited if value(row["auto"]) > 0.05]
    return Head(
        "How far a method ends below the best value on ReLU networks, median over the sizes",
        [(name, f"{gap:.1f} %") for name, gap in gaps.items()],
        (
            "Which method at which number of inputs?",
            "From 10 to 3,072 inputs `auto` is best on every ReLU network under a budget, and "
            "`spg` "
            f"is {gaps['spg']:.1f} % below it in the median; on smooth networks nearly all methods "
            "reach the same value.",
            f"With a bound on another output `auto` is behind SLSQP on {len(behind)} of "
            f"{len(limited)} networks, the smallest.",
        ),
        "auto",
    )


@head
def solver_lab(text: str) -> Head:
    """Return the head of the page of that name."""
    table = with_columns(tables(text), "method", "instances", "mean")[1]
    everywhere = [row for row in table if row["instances"] == table[0]["instances"]]
    rivals = with_columns(tables(text), "family", "Auto-PGD")[1]
    wins = next(row for row in rivals if row["family"] == "all")
    shown = [f"{wins[name]} against {name}" for name in list(wins)[1:4]]
    return Head(
        "Mean score after 300 evaluations: 1 is the best value known, 0 the start's",
        [(row["method"], row["mean"]) for row in everywhere],
        (
            "Which method finds the largest value at equal evaluations, over six networks and "
            "three kinds of sets?",
            f"Of the methods that take every set `{everywhere[0]['method']}` has the best mean "
            f"score, {everywhere[0]['mean']}; its wins, ties and losses are {', '.join(shown)}.",
            "Auto-PGD is the rival that wins most often; methods that accept only some sets are in "
            "the tables alone.",
        ),
        "auto",
    )


@head
def solvers(text: str) -> Head:
    """Return the head of the page of that name."""
    table = with_columns(tables(text), "method", "returned")[0]
    best = max(table, key=lambda row: value(row["returned"]))
    lowest = min(table, key=lambda row: value(row["returned"]))
    return Head(
        "Logit of Sneaker under bounds and an L1 budget, returned from one starting point",
        [(row["method"], row["returned"]) for row in table],
        (
            "What does each method return on the shipped network from one starting point?",
            f"Under the L1 budget `{best['method'].split(' ')[0]}` ends highest, at "
            f"{best['returned']}, and {lowest['method']} lowest, at {lowest['returned']}.",
            "One starting point is one sample: the arena compares methods on many.",
        ),
        "auto",
    )


@head
def starts(text: str) -> Head:
    """Return the head of the page of that name."""
    (table,) = with_columns(tables(text), "model", "set", "times faster")
    gains = [value(row["times faster"]) for row in table]
    least = min(table, key=lambda row: value(row["times faster"]))
    names = {
        "fashion_mnist": "dense network",
        "answer5_cnn": "convolutional network",
        "small_dense": "small network",
    }
    return Head(
        "How many times faster 64 starts run side by side",
        [
            (
                f"{row['method']}, {names[row['model']]}, {row['set'].replace('(0, 1)', '')}",
                row["times faster"],
            )
            for row in table
        ],
        (
            "What do many starts gain by sharing model calls?",
            f"They run {min(gains):g} to {max(gains):g} times faster than one after another, with "
            "the same points bit for bit.",
            f"The gain is smallest for {least['method']} on {least['set']} of the "
            f"{names[least['model']]}.",
        ),
    )


@head
def strategies(text: str) -> Head:
    """Return the head of the page of that name."""
    table = with_columns(tables(text), "image")[0]
    columns = [name for name in table[0] if name not in ("image", "evaluations")]

    def number(cell: str) -> float:
        return value(cell) if re.match(r"-?\d", cell) else float("-inf")

    best = {row["image"]: max(number(row[name]) for name in columns) for row in table}
    near = {
        name: sum(
            number(row[name]) >= best[row["image"]] - 1e-3 * abs(best[row["image"]])
            for row in table
        )
        for name in columns
    }
    whole, *without = columns
    return Head(
        "Images on which the best value is reached, within 0.1 %",
        [(name, f"{count} of {len(table)}") for name, count in near.items()],
        (
            "What does each strategy of the augmented Lagrangian add?",
            f"With all of them the best value is reached on {near[whole]} of {len(table)} "
            "images, and " + ", ".join(f"on {near[name]} with {name}" for name in without) + ".",
            "They cost evaluations on the images where nothing is gained.",
        ),
        whole,
    )


@head
def structure_layers(text: str) -> Head:
    """Return the head of the page of that name."""
    counts = re.findall(r"^## (.+?): (\d+)", text, re.MULTILINE)
    read = next(int(count) for name, count in counts if name == "Read")
    rest = [(name, int(count)) for name, count in counts if name != "Read"]
    return Head(
        "Layers and activations of Keras",
        [("read", str(read)), *((name.lower(), str(count)) for name, count in rest)],
        (
            "Of which layers does the library read the structure, so that kinks and bounds are "
            "exact?",
            f"Of {read} of {read + sum(count for _, count in rest)} layers and activations.",
            "With the others a network is a function with derivatives, as for every other tool.",
        ),
        "read",
    )


def opened(text: str, name: str) -> str:
    """Return a page with its head renewed."""
    bare = re.sub(rf"{BEGIN}.*?{END}\n+", "", text, flags=re.DOTALL)
    title = re.match(r"(?:---\n.*?\n---\n+)?# [^\n]*\n\n", bare, re.DOTALL)
    if title is None:
        raise ValueError(f"opened: {name}.md does not begin with a title and an empty line.")
    return f"{title[0]}{HEADS[name](bare).text()}\n{bare[title.end() :]}"


def main() -> None:
    """Renew the heads of all pages."""
    for page in sorted(HERE.glob("*.md")):
        if page.stem != "index":
            page.write_text(opened(page.read_text(encoding="utf-8"), page.stem), encoding="utf-8")


if __name__ == "__main__":
    main()

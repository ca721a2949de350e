"""No function is longer than a screen without a reason."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import constrained_actmax

PACKAGE = Path(constrained_actmax.__file__).parent
MOST_LINES = 60  # of code: docstrings, comments and blank lines do not count
SILENT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
#: Longer functions, and why each is better in one piece.
REASONS: dict[str, str] = {}


def code_lines(source: str, tree: ast.Module) -> set[int]:
    """Return the numbers of the lines that hold code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            assert node.end_lineno is not None
            lines.difference_update(range(node.lineno, node.end_lineno + 1))
    return lines


def long_functions(source: str) -> dict[str, int]:
    """Return the names of functions with too many lines of code, and how many they have."""
    tree = ast.parse(source)
    lines = code_lines(source, tree)
    return {
        node.name: length
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and (length := len(lines & {*range(node.lineno, node.end_lineno + 1)})) > MOST_LINES
    }


def test_a_docstring_and_comments_do_not_count() -> None:
    body = "    x = 1\n" * (MOST_LINES - 1)
    around = '    """One.\n\n    Two.\n    """\n    # three\n\n'
    assert not long_functions(f"def short():\n{around}{body}")
    assert long_functions(f"def long():\n{around}{body}    return x\n") == {"long": MOST_LINES + 1}


def test_no_function_is_longer_than_a_screen_without_a_reason() -> None:
    found = {
        f"{path.relative_to(PACKAGE).as_posix()}:{name}"
        for path in PACKAGE.rglob("*.py")
        for name in long_functions(path.read_text(encoding="utf-8"))
    }
    assert found == set(REASONS)

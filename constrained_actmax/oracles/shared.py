"""Oracles of several problems that ask one model together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from constrained_actmax.layout import Rows, Structure, Vector
from constrained_actmax.oracles.base import BaseOracle, T, WrappedOracle
from constrained_actmax.oracles.oracle import Oracle, evaluate_together
from constrained_actmax.rounds import Ask

if TYPE_CHECKING:
    from constrained_actmax.structure import Structure as NetworkStructure


@dataclass(frozen=True)
class RowsAsked:
    """Rows whose values and Jacobian one problem asks for."""

    oracle: BaseOracle
    x: Rows


@dataclass(frozen=True)
class CallAsked:
    """Anything else that must run where the model is."""

    function: Callable[[], Any]


class SharedOracle(WrappedOracle):
    """One problem's oracle, whose model calls are made by the server of a round.

    Parameters
    ----------
    oracle : BaseOracle
        The one to ask.
    ask : callable
        Hands a request to the server and waits.
    """

    def __init__(self, oracle: BaseOracle, ask: Ask) -> None:
        super().__init__(oracle)
        self._ask = ask

    @override
    def structure(self) -> NetworkStructure:
        return self.inner.structure()

    @override
    def batch(self, x: Vector) -> Structure:
        return self._ask(CallAsked(lambda: self.inner.batch(x)))

    @override
    def _evaluate(self, x: Rows) -> tuple[Rows, np.ndarray]:
        self.calls += 1
        values, jacobian = self._ask(RowsAsked(self.inner, x))
        return values, jacobian

    @override
    def _counted(self, function: Callable[[], T]) -> T:
        def asked() -> T:
            answer: T = self._ask(CallAsked(function))
            return answer

        return super()._counted(asked)


class Server:
    """Answers the rounds of several problems: one model call for all that share what is compiled.

    Parameters
    ----------
    rows : int
        Rows of every model call, so that nothing is compiled anew as problems end; fewer are
        padded, more are split.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self.calls = 0

    def answer(self, requests: dict[int, Any]) -> dict[int, Any]:
        """Answer one request of every live problem."""
        answers: dict[int, Any] = {}
        groups: dict[Any, list[tuple[int, RowsAsked]]] = {}
        for key, request in requests.items():
            if isinstance(request, RowsAsked):
                groups.setdefault(_compiled(request.oracle), []).append((key, request))
                continue
            try:
                answers[key] = request.function()
            except Exception as error:  # the problem's own: raised there
                answers[key] = error
        for members in groups.values():
            answers |= self._together(members)
        return answers

    def _together(self, members: list[tuple[int, RowsAsked]]) -> dict[int, Any]:
        oracles = [member.oracle for _, member in members for _ in range(len(member.x))]
        x = np.concatenate([member.x for _, member in members])
        try:
            values, jacobian = self._evaluated(oracles, x)
        except Exception as error:
            if len(members) == 1:
                return {members[0][0]: error}
            # Whose fault it is shows when each asks alone.
            return {key: member for m in members for key, member in self._together([m]).items()}
        answers: dict[int, Any] = {}
        start = 0
        for key, member in members:
            rows = slice(start, start + len(member.x))
            answers[key] = values[rows].copy(), jacobian[rows].copy()
            start += len(member.x)
        return answers

    def _evaluated(self, oracles: list[BaseOracle], x: Rows) -> tuple[Rows, np.ndarray]:
        first = oracles[0]
        if not isinstance(first, Oracle) or all(answer is first for answer in oracles):
            self.calls += 1
            return first.evaluate(x)
        kept = [answer for answer in oracles if isinstance(answer, Oracle)]
        missing = -len(x) % self._rows
        kept += [kept[-1]] * missing
        rows = np.concatenate([x, np.broadcast_to(x[-1], (missing, x.shape[1]))])
        answers = []
        for begin in range(0, len(rows), self._rows):
            self.calls += 1
            piece = slice(begin, begin + self._rows)
            answers.append(evaluate_together(kept[piece], rows[piece]))
        values = np.concatenate([answer[0] for answer in answers])[: len(x)]
        return values, np.concatenate([answer[1] for answer in answers])[: len(x)]


def _compiled(oracle: BaseOracle) -> Any:
    """Return what oracles have in common that can be evaluated together."""
    return oracle.structure_key if isinstance(oracle, Oracle) else id(oracle)

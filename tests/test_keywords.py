"""Misspelt keywords of everything public: one sentence, by the name that users wrote."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest

import constrained_actmax as cax


def _asked(name: str) -> Any:
    """Return what takes the keywords of a public name, or None where any keyword is taken."""
    public = getattr(cax, name)
    abstract = inspect.isabstract(public) or name == "Objective"
    if name == "Status" or abstract or not callable(public):
        return None
    if inspect.isclass(public) and issubclass(public, Exception):
        return None
    taken = inspect.signature(public).parameters.values()
    return None if any(one.kind is one.VAR_KEYWORD for one in taken) else public


@pytest.mark.parametrize("name", [one for one in cax.__all__ if _asked(one) is not None])
def test_a_misspelt_keyword_is_told_with_the_nearest(name: str) -> None:
    public = _asked(name)
    known = list(inspect.signature(public).parameters)
    missed = f"{known[-1]}x" if known else "nothing"
    with pytest.raises(cax.SpecificationError, match=f"^{name}: no .*'{missed}'") as told:
        public(**{missed: None})
    assert not known or repr(known[-1]) in str(told.value)


def test_what_is_told_of_keywords_changes_nothing_else() -> None:
    with pytest.raises(cax.SpecificationError, match="no argument 'second'.*'seconds'"):
        cax.Budget(second=2)  # type: ignore[call-arg]
    assert list(inspect.signature(cax.Budget).parameters) == ["evaluations", "seconds"]
    budget = cax.Budget(3, seconds=2.0)
    assert budget == pickle.loads(pickle.dumps(budget)) == copy.deepcopy(budget)
    assert pickle.loads(pickle.dumps(cax.solve)) is cax.solve

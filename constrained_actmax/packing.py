"""Problems as another process can build them: the model once, the rest as it was written."""

from __future__ import annotations

import hashlib
import os
import pickle
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from constrained_actmax.errors import SpecificationError
from constrained_actmax.oracles.base import BaseOracle
from constrained_actmax.oracles.oracle import Oracle
from constrained_actmax.problem import MODEL_OPTIONS, Problem

#: The models that this process has loaded, by `PackedModel.key`.
_LOADED: dict[str, Oracle] = {}


@dataclass(frozen=True, repr=False)
class PackedModel:
    """A model as another process can have it.

    Parameters
    ----------
    kind : {"path", "bytes", "object"}
        A file's path, the bytes of a .keras file, or an object that pickle takes.
    content : object
        Of that kind.
    options : dict
        The model's options, see `Oracle`.
    key : str
        Equal for the same content and options: a process loads a model once.
    """

    kind: Literal["path", "bytes", "object"]
    content: Any
    options: Mapping[str, Any]
    key: str

    def filed(self, folder: Path) -> PackedModel:
        """Return the same, with bytes written to a file in the folder."""
        if self.kind != "bytes":
            return self
        path = folder / f"{self.key}.keras"
        path.write_bytes(self.content)
        return replace(self, kind="path", content=str(path))

    def oracle(self) -> BaseOracle:
        """Return the model's oracle, loaded once in a process."""
        if isinstance(self.content, BaseOracle):
            return self.content
        if self.key not in _LOADED:
            with tempfile.TemporaryDirectory() as folder:
                _LOADED[self.key] = Oracle(self.filed(Path(folder)).content, **self.options)
        return _LOADED[self.key]


@dataclass(frozen=True, repr=False)
class PackedProblem:
    """A problem as another process can build it.

    Parameters
    ----------
    model : PackedModel
        Its model.
    recipe : dict
        The other arguments of `Problem`.
    """

    model: PackedModel
    recipe: Mapping[str, Any]

    def problem(self) -> Problem:
        """Build the problem on the model that this process has loaded."""
        return Problem(self.model.oracle(), **self.recipe)


def packed(problems: Sequence[Problem], who: str) -> Iterator[PackedProblem]:
    """Yield the problems packed, those on one model with one `PackedModel`; `who` names errors.

    Raises
    ------
    SpecificationError
        If a model cannot be sent.
    """
    models: dict[Any, PackedModel] = {}
    for problem in problems:
        recipe = dict(problem.recipe)
        model = recipe.pop("model")
        options = {name: recipe.pop(name) for name in MODEL_OPTIONS if name in recipe}
        if isinstance(model, Oracle):
            if recipe["objective"] is None:
                recipe["objective"] = model.objectives[0]
            options, model = dict(model.options), model.model
        key = id(model), *((name, id(value)) for name, value in options.items())
        if key not in models:
            kind, content = _portable(model)
            data = sendable((kind, content, options), f"{who}: {problem}")
            digest = hashlib.sha256(data).hexdigest()
            models[key] = PackedModel(kind, content, options, digest)
        yield PackedProblem(models[key], recipe)


def sendable(value: Any, what: str) -> bytes:
    """Return a value pickled for another process; `what` names it in an error.

    Raises
    ------
    SpecificationError
        If it cannot be sent.
    """
    try:
        return pickle.dumps(value)
    except Exception as error:
        raise SpecificationError(
            f"{what} cannot be sent to another process ({error}); functions in it must be "
            "importable from a module, not lambdas. solve_many, and compare with workers=1, send "
            "nothing."
        ) from error


def _portable(model: Any) -> tuple[Literal["path", "bytes", "object"], Any]:
    if isinstance(model, str | os.PathLike):
        return "path", str(Path(model).resolve())
    if isinstance(model, BaseOracle) or not hasattr(model, "save"):
        return "object", model
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return "bytes", path.read_bytes()

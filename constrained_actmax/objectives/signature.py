"""What objectives may know of a model: its heads and layers before a call, its tensors in one."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from constrained_actmax.errors import SpecificationError, suggest
from constrained_actmax.layout import Layout
from constrained_actmax.objectives.bounded import Bounded
from constrained_actmax.quoting import quoted

Tensor: TypeAlias = Any  # tensorflow.Tensor; TensorFlow ships no types
Link: TypeAlias = Literal["softmax", "sigmoid"]
Index: TypeAlias = int | str | tuple[int | str, ...]

LINKS = ("softmax", "sigmoid")


@dataclass(frozen=True)
class Head:
    """One output of the model.

    Parameters
    ----------
    name : str
        As the model calls it.
    shape : tuple of int
        Without the batch axis; the last axis holds the units, the others are positions.
    link : {"softmax", "sigmoid"} or None
        The activation that the head ends with; None where it ends in plain numbers.
    labels : tuple of str, optional
        Names of the units (two names for one sigmoid).
    outputs, logits : Bounded
        Of what `predict` returns, and of what stands before the link.
    refusal : str, optional
        Why its logits are not to be had, and the way out.
    """

    name: str
    shape: tuple[int, ...]
    link: Link | None = None
    labels: tuple[str, ...] | None = None
    outputs: Bounded = Bounded()
    logits: Bounded = Bounded()
    refusal: str | None = None

    @property
    def units(self) -> int:
        """Length of the last axis."""
        return self.shape[-1] if self.shape else 1

    @property
    def positions(self) -> tuple[int, ...]:
        """Lengths of the other axes."""
        return self.shape[:-1]

    def linked(self, link: Link | None, who: str) -> Link | None:
        """Return the link that holds: the head's own, or the one that the user names."""
        if link is None:
            return self.link
        if link not in LINKS:
            raise SpecificationError(
                f"{who}: link must be 'softmax' or 'sigmoid', got {quoted(link)}."
            )
        if self.link is not None and self.link != link:
            raise SpecificationError(
                f"{who}: head {self.name!r} ends in a {self.link}, not a {link}; leave link= out."
            )
        return link

    def is_binary(self, link: Link | None) -> bool:
        """Whether one sigmoid tells class 1 from class 0."""
        return link == "sigmoid" and self.units == 1

    def classes(self, link: Link | None) -> int:
        """Return the number of classes: two for one sigmoid."""
        return 2 if self.is_binary(link) else self.units

    def class_index(self, k: int | str, link: Link | None, who: str) -> int:
        """Return the number of a class that is given by number or label.

        Raises
        ------
        SpecificationError
            If the head has no such class.
        """
        count = self.classes(link)
        if isinstance(k, str):
            index = self.label_index(k, who)
            return 1 if self.labels is not None and len(self.labels) < count else index
        return checked_index(k, count, f"{who}: class", f"head {self.name!r} has {count} classes")

    def unit_index(self, k: int | str, who: str) -> int:
        """Return the number of a unit that is given by number or label."""
        if isinstance(k, str):
            return min(self.label_index(k, who), self.units - 1)
        return checked_index(
            k, self.units, f"{who}: index", f"head {self.name!r} has {self.units} units"
        )

    def label_index(self, label: str, who: str) -> int:
        """Return the number of a label."""
        if self.labels is None:
            raise SpecificationError(
                f"{who}: {label!r} is a name, but head {self.name!r} has none; give labels=, one "
                "for each entry, or the entry's number."
            )
        if label not in self.labels:
            raise SpecificationError(f"{who}: no label {label!r}. {suggest(label, self.labels)}")
        return self.labels.index(label)


@dataclass(frozen=True)
class Activation:
    """What a layer gives out.

    Parameters
    ----------
    path : str
        ``outer/inner``, with ``#2`` for the second call of a shared layer.
    shape : tuple of int
        Without the batch axis.
    channel_axis : int
        Which axis of `shape` holds the channels.
    bounded : Bounded
        Of each of its numbers.
    """

    path: str
    shape: tuple[int, ...]
    channel_axis: int = -1
    bounded: Bounded = Bounded()


class Signature(ABC):
    """What is known of a model before it is called.

    Attributes
    ----------
    layout : Layout
        The inputs.
    heads : tuple of Head
        The outputs.
    """

    layout: Layout
    heads: tuple[Head, ...]

    @abstractmethod
    def activation(self, path: str, who: str) -> Activation:
        """Return what a layer gives out; an unknown path raises, and lists near ones."""

    @abstractmethod
    def shape_of(self, function: Any) -> tuple[int | None, ...]:
        """Return the shape that ``function(tensors)`` has for a batch, without computing it."""

    def head(self, name: str | None, who: str) -> Head:
        """Return a head by name, or the only one."""
        if name is None:
            if len(self.heads) == 1:
                return self.heads[0]
            names = [head.name for head in self.heads]
            raise SpecificationError(
                f"{who}: the model has {len(names)} heads; say which with head=. Known: {names}."
            )
        for head in self.heads:
            if head.name == name:
                return head
        known = [head.name for head in self.heads]
        raise SpecificationError(f"{who}: no head {name!r}. {suggest(name, known)}")

    def head_of(self, name: str | None, index: Any, who: str) -> Head:
        """Return the head that `name` says, or the only one that holds the label `index`."""
        if name is None and len(self.heads) > 1 and isinstance(index, str):
            holders = [head for head in self.heads if head.labels and index in head.labels]
            if len(holders) == 1:
                return holders[0]
            if not holders:
                known = [label for head in self.heads for label in head.labels or ()]
                if any(head.name == index for head in self.heads):
                    raise SpecificationError(
                        f"{who}: {index!r} is a head; write head={index!r}, and the class or unit "
                        "of it that is meant."
                    )
                names = [*known, *(head.name for head in self.heads)]
                what = "label or head" if known else "head"
                raise SpecificationError(f"{who}: no {what} {index!r}. {suggest(index, names)}")
        return self.head(name, who)


class Tensors(ABC):
    """The tensors of one batch of B rows, while a function is traced; all of them float64.

    Attributes
    ----------
    x : Tensor, shape (B, n)
        The flat inputs in the user's units.
    """

    x: Tensor

    @abstractmethod
    def inputs(self) -> Any:
        """Return the inputs in the model's structure, each (B, ...), in the user's units."""

    @abstractmethod
    def outputs(self) -> Any:
        """Return what the model returns, in its own structure, each (B, ...)."""

    @abstractmethod
    def output(self, head: str) -> Tensor:
        """Return one output (B, ...), as `predict` returns it."""

    @abstractmethod
    def logits(self, head: str) -> Tensor:
        """Return what stands before the head's link (B, ...); the output where it has none."""

    @abstractmethod
    def activation(self, path: str) -> Tensor:
        """Return what a layer gives out (B, ...)."""


def checked_index(value: Any, count: int, who: str, rule: str) -> int:
    """Return an index in 0..count - 1, or raise."""
    try:
        if isinstance(value, bool):
            raise TypeError
        index = operator.index(value)
    except TypeError:
        raise SpecificationError(
            f"{who} must be an integer or a label, got {quoted(value)}."
        ) from None
    if not 0 <= index < count:
        raise SpecificationError(f"{who} must lie in 0..{count - 1} ({rule}), got {index}.")
    return index


def flat_position(index: Any, shape: tuple[int, ...], who: str, what: str) -> int:
    """Return where a full index stands in a C-ordered array of `shape`, or raise.

    Raises
    ------
    SpecificationError
        If the index leaves positions open or lies outside.
    """
    full = shape or (1,)
    indices = index if isinstance(index, tuple) else (index,)
    if len(indices) != len(full):
        pattern = "(" + ", ".join(f"0..{length - 1}" for length in full) + ")"
        raise SpecificationError(
            f"{who}: index {index!r} leaves positions open; {what} has shape {full}, "
            f"so write one of {pattern}, or take the mean over positions."
        )
    position = 0
    for entry, length in zip(indices, full, strict=True):
        position = position * length + checked_index(
            entry, length, f"{who}: index", f"{what} has shape {full}"
        )
    return position

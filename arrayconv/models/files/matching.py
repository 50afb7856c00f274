"""Matching the layers of a model with the weights in a file of Keras or PyTorch."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from arrayconv.models.arrays import moved
from arrayconv.models.checks import listed
from arrayconv.models.graph import Graph
from arrayconv.models.layers.base import Layer


class Part(NamedTuple):
    """The weights of one layer in a file.

    Parts with the same ``stem`` are in the order of their ``place``; between two stems the order is unknown.
    """

    name: str
    signature: Hashable
    place: tuple[Any, ...]
    stem: Hashable
    arrays: dict[str, NDArray[Any]]


class Wanted(NamedTuple):
    """A layer that needs weights.

    ``name`` is its name in the model, ``signature`` the one that a matching part has, ``text`` the same in words.
    """

    layer: Layer
    name: str
    signature: Hashable
    text: str


def paired(
    path: Any,
    wanted: Sequence[Wanted],
    parts: Sequence[Part],
    names: Mapping[str, str],
    advice: str,
) -> list[tuple[Layer, Part]]:
    """Pair every layer with a part: by name where ``names`` has the layer, the others by signature and order.

    Raises
    ------
    ValueError
        If layers or parts are left over (all are listed), or if the order of parts with the same signature
        is unknown.
    """
    pairs: dict[Layer, Part] = {}
    by_name = {part.name: part for part in parts}
    for want in wanted:
        part = by_name.get(names.get(want.name, ""))
        if part is not None and part.signature == want.signature:
            pairs[want.layer] = part
    taken = {part.name for part in pairs.values()}
    groups: dict[Hashable, list[Part]] = {}
    for part in sorted((p for p in parts if p.name not in taken), key=lambda p: p.place):
        groups.setdefault(part.signature, []).append(part)
    left = [want for want in wanted if want.layer not in pairs]
    problems = []
    for want in left:
        group = groups.get(want.signature)
        if group:
            pairs[want.layer] = group.pop(0)
        else:
            problems.append(f"no weights in the file for {want.layer.label}, {want.text}")
    problems += [
        f"no layer here for {part.name}, {listed(part.arrays)}"
        for group in groups.values()
        for part in group
    ]
    if problems:
        raise ValueError(f"{path}: its weights are not those of this model: {'; '.join(problems)}")
    stems: dict[Hashable, dict[Hashable, str]] = {}
    for want in left:
        part = pairs[want.layer]
        alike = stems.setdefault(want.signature, {})
        alike.setdefault(part.stem, part.name)
        if len(alike) > 1:
            raise ValueError(
                f"{path}: {' and '.join(alike.values())} hold weights of the same shapes, and the file does not "
                f"say which comes first; {advice}"
            )
    return [(want.layer, pairs[want.layer]) for want in wanted]


def assign(graph: Graph, values: Mapping[tuple[str, str], NDArray[Any]]) -> None:
    """Replace all weights, in the library, on the device and in the dtype of the present ones."""
    graph.weights = {
        layer: {name: moved(values[layer, name], w) for name, w in own.items()}
        for layer, own in graph.weights.items()
    }

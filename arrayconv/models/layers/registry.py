"""The classes of layers by name, and how a config names them."""

from __future__ import annotations

from typing import Any

import numpy as np

# Every concrete layer class by name, for loading saved models: the user's own too, unless the name is taken here.
LAYERS: dict[str, type[Any]] = {}


def register(kind: type[Any]) -> None:
    """Enter a layer's class under its name, unless it is a user's and the name that of a class here."""
    known = LAYERS.get(kind.__name__)
    if known is None or is_own(kind) or not is_own(known):
        LAYERS[kind.__name__] = kind


def is_own(kind: type[Any]) -> bool:
    """Whether a layer's class is one of this library, not the user's."""
    return kind.__module__.startswith("arrayconv.models.layers")


def class_name(layer: Any) -> str:
    """The name of a layer's class, for a config; a ``ValueError`` if that would be read as another class."""
    kind = type(layer)
    known = LAYERS.get(kind.__name__, kind)
    if is_own(known) and known is not kind:
        raise ValueError(
            f"{layer.label}: its class has the name of arrayconv's layer {kind.__name__}, for which a config would "
            "be taken; give your class another name"
        )
    return kind.__name__


def plain(value: Any) -> Any:
    """An argument of a layer as plain data that JSON can hold."""
    if hasattr(value, "spelled"):
        # an activation given by name is written by name
        return value.spelled or {"class": class_name(value), **value.get_config()}
    if hasattr(value, "get_config"):
        value = value.get_config()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value

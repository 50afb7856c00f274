"""What a layer's `forward` and `backward` returned: checked, so that a mistake in a layer of one's own has its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arrayconv.models_old.parameters import Parameters
from arrayconv.models_old.shapes import Shape
from arrayconv.namespace import Array


def checked_forward(
    layer: Parameters, returned: Any, batch: int, shape: Shape | None
) -> tuple[Array, dict[str, Array]]:
    """``(y, updates)``, ``y`` being of ``(batch, *shape)`` where the shape is known.

    Raises
    ------
    TypeError
        Something else than such a pair, or a value that is no array.
    ValueError
        Another shape, or an update of what is not one of the layer's untrained weights.
    """
    if not (isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], dict)):
        raise TypeError(
            f"{layer.label}: forward must return (y, updates), an array and a dict of new values of untrained "
            f"weights, such as (y, {{}}), got {_described(returned)}"
        )
    y, updates = returned
    _check_shape(layer, "forward", "the output", y, None if shape is None else (batch, *shape))
    for name, value in updates.items():
        spec = layer.specs.get(name)
        if spec is None or spec.trainable:
            raise ValueError(
                f"{layer.label}: forward returned a new value of {name!r}, and may return those of its untrained "
                f"weights ({_names(n for n, s in layer.specs.items() if not s.trainable)})"
            )
        _check_shape(layer, "forward", f"the new {name!r}", value, spec.shape)
    return y, updates


def checked_backward(
    layer: Parameters,
    returned: Any,
    batch: int,
    shapes: Sequence[Shape | None],
    wanted: Sequence[bool],
) -> tuple[tuple[Array | None, ...], dict[str, Array]]:
    """``(dxs, dws)``: a gradient of ``(batch, *shape)`` for each input that is wanted, and of weights by name.

    Raises
    ------
    TypeError
        Something else than such a pair, or a gradient that is missing or no array.
    ValueError
        Another number of gradients or another shape, or a weight that the layer does not have.
    """
    if not (
        isinstance(returned, tuple)
        and len(returned) == 2
        and isinstance(returned[0], tuple)
        and isinstance(returned[1], dict)
    ):
        raise TypeError(
            f"{layer.label}: backward must return (dxs, dws), a tuple of the inputs' gradients and a dict of the "
            f"weights', such as ((dx,), {{}}), got {_described(returned)}"
        )
    dxs, dws = returned
    if len(dxs) != len(shapes):
        raise ValueError(
            f"{layer.label}: backward must return one gradient for each of its {len(shapes)} inputs, got {len(dxs)}"
        )
    for i, (dx, shape, want) in enumerate(zip(dxs, shapes, wanted, strict=True)):
        if want:
            what = "the gradient of the input" + (f" {i}" if len(dxs) > 1 else "")
            _check_shape(layer, "backward", what, dx, None if shape is None else (batch, *shape))
    for name, dw in dws.items():
        if name not in layer.specs:
            raise ValueError(
                f"{layer.label}: backward returned a gradient of {name!r}, and the layer's weights are "
                f"{_names(layer.specs)}"
            )
        _check_shape(layer, "backward", f"the gradient of {name!r}", dw, layer.specs[name].shape)
    return dxs, dws


def check_all_trained(layer: Parameters, found: Mapping[str, Any], prefix: str) -> None:
    """Raise ``ValueError`` unless ``found`` has, by ``prefix/name``, a gradient of each trainable weight."""
    for name, spec in layer.specs.items():
        if spec.trainable and f"{prefix}/{name}" not in found:
            raise ValueError(
                f"{layer.label}: backward returned no gradient of {name!r}, which would never be trained; declare it "
                "as WeightSpec(shape, initializer, trainable=False) if that is meant"
            )


def _check_shape(
    layer: Parameters, method: str, what: str, value: Any, wanted: tuple[int, ...] | None
) -> None:
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise TypeError(
            f"{layer.label}: {method} must return {what} as an array, got {_described(value)}"
        )
    if wanted is None or value.shape == wanted:
        return
    shape = tuple(value.shape)
    # a length that is not known before it is computed is NaN, which equals nothing
    if len(shape) != len(wanted) or any(
        n != m and n == n and m == m for n, m in zip(shape, wanted, strict=True)
    ):
        raise ValueError(
            f"{layer.label}: {method} must return {what} in the shape {wanted}, got {shape}"
        )


def _names(names: Any) -> str:
    return ", ".join(map(repr, names)) or "none"


def _described(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    if hasattr(value, "shape"):
        return f"an array of shape {tuple(value.shape)}"
    return "None" if value is None else f"a {type(value).__name__}"

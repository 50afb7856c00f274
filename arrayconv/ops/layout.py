"""What operations share: data formats (all compute on channels-last, ``(N, *S, C)``), and checks of arguments."""

from __future__ import annotations

from collections.abc import Collection

from arrayconv.namespace import Array, Namespace

DATA_FORMATS = ("channels_last", "channels_first")


def check_layout(op: str, shape: tuple[int, ...], data_format: str) -> None:
    """Raise ``ValueError`` for an unknown format or a shape without spatial axes."""
    if data_format not in DATA_FORMATS:
        raise ValueError(
            f"{op}: data_format must be 'channels_last' or 'channels_first', got {data_format!r}"
        )
    if len(shape) < 3:
        order = "(N, *S, C)" if data_format == "channels_last" else "(N, C, *S)"
        raise ValueError(
            f"{op}: x must have a batch axis, one or more spatial axes and a channel axis, {order}, got shape "
            f"{tuple(shape)}"
        )


def to_last(xp: Namespace, x: Array, data_format: str) -> Array:
    """``x`` as ``(N, *S, C)``; a view where the library has views."""
    if data_format == "channels_last":
        return x
    return xp.permute_dims(x, (0, *range(2, x.ndim), 1))


def from_last(xp: Namespace, x: Array, data_format: str) -> Array:
    """``(N, *S, C)`` in ``data_format``."""
    if data_format == "channels_last":
        return x
    return xp.permute_dims(x, (0, x.ndim - 1, *range(1, x.ndim - 1)))


def spatial(shape: tuple[int, ...], data_format: str) -> tuple[int, ...]:
    """The spatial part of the shape of ``(N, *S, C)`` or ``(N, C, *S)``."""
    return tuple(shape[1:-1] if data_format == "channels_last" else shape[2:])


def check_gradient(op: str, dy: Array, expected: tuple[int, ...], *, name: str = "dy") -> None:
    """Raise ``ValueError`` unless ``dy`` has the shape of the forward result."""
    if tuple(dy.shape) != tuple(expected):
        raise ValueError(
            f"{op}: {name} must have the shape of the result, {tuple(expected)}, got {tuple(dy.shape)}"
        )


def check_wrt(op: str, wrt: Collection[str], names: tuple[str, ...]) -> None:
    """Raise ``ValueError`` for a ``wrt`` that names no argument."""
    for name in wrt:
        if name not in names:
            raise ValueError(f"{op}: wrt names the array arguments {names}, got {wrt!r}")

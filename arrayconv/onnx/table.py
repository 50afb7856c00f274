"""The table of supported operators, and `register`, which adds to it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

Function = Callable[..., Any]
# From attributes and number of axes, the attributes for channels_last arrays, or None if that is not supported.
ChannelsLast = Callable[[dict[str, Any], int], dict[str, Any] | None]

NEWEST = 28
"""The newest opset of the standard operators that the table was written for."""

REFUSED = {
    "ConvInteger": "quantized networks are not supported",
    "DequantizeLinear": "quantized networks are not supported",
    "DynamicQuantizeLinear": "quantized networks are not supported",
    "Einsum": "the array API standard has no einsum",
    "If": "control flow is not supported",
    "Loop": "control flow is not supported",
    "MatMulInteger": "quantized networks are not supported",
    "QLinearConv": "quantized networks are not supported",
    "QLinearMatMul": "quantized networks are not supported",
    "QuantizeLinear": "quantized networks are not supported",
    "Scan": "control flow is not supported",
}

_table: dict[tuple[str, str], list[Operator]] = {}


@dataclass(frozen=True)
class Operator:
    """An operator for a range of opset versions, as `register` takes it.

    Attributes
    ----------
    name, domain : str
        The operator's name and domain; the domain of ONNX's own operators is ``""``.
    since, until : int
        The first and the last opset version.
    function : callable
        Takes a node's inputs by position (None for one left out) and its attributes by name.
    vjp : callable or None
        Takes the upstream gradient, then the arguments of ``function``.
    static : frozenset of str
        Inputs that ``function`` takes as plain Python numbers, or tuples of them.
    outputs : int
        How many outputs are computed.
    channels_last : callable or None
        Converts attributes to those for channels_last arrays.
    """

    name: str
    domain: str
    since: int
    until: int
    function: Function = field(repr=False)
    vjp: Function | None = field(repr=False, default=None)
    static: frozenset[str] = frozenset()
    outputs: int = 1
    channels_last: ChannelsLast | None = field(repr=False, default=None)
    parameters: tuple[str, ...] = ()
    keywords: frozenset[str] = frozenset()
    variadic: bool = False
    vjp_keywords: frozenset[str] = frozenset()


def register(
    name: str,
    function: Function,
    vjp: Function | None = None,
    *,
    domain: str = "",
    since: int = 1,
    until: int | None = None,
    static: Collection[str] = (),
    outputs: int = 1,
    channels_last: ChannelsLast | None = None,
) -> None:
    """Add support for an operator, or replace an existing one; networks loaded afterwards use it.

    Parameters
    ----------
    name : str
        The operator's name in the file.
    function : callable
        ``function(*inputs, **attributes)`` takes a node's inputs by position, arrays of any library or None for
        one left out, and its attributes by name, as Python numbers, strings, tuples, NumPy arrays or NumPy dtypes.
        It returns an array or a tuple of arrays. If it has a keyword ``outputs``, that gets the number of outputs
        that the node has.
    vjp : callable, optional
        ``vjp(dy, *inputs, **attributes)`` returns one gradient, or a tuple in the order of the inputs with None for
        those without one. ``dy`` is a tuple if ``function`` returns one. If it has keywords ``y`` and ``wrt``, these
        get the result of ``function`` and the names of the inputs whose gradients are wanted. Without a vjp the
        gradient of the operator is taken as 0.
    domain : str
        The operator's domain; ``""`` for ONNX's own.
    since, until : int
        The first and the last version of the domain's opset; ``until=None`` means all later ones, for ONNX's own
        domain those up to the newest supported.
    static : collection of str
        Names of inputs that ``function`` takes as Python numbers, or tuples of them, since they determine a
        shape.
    outputs : int
        How many outputs ``function`` can compute; a node with more is refused.
    channels_last : callable, optional
        ``channels_last(attributes, ndim)`` returns the attributes with which ``function`` does the same for
        channels_last arrays of ``ndim`` axes, or None if it cannot. For an elementwise function these are the
        attributes unchanged.

    Raises
    ------
    TypeError
        If ``function`` or ``vjp`` is not callable.
    ValueError
        If ``until`` is before ``since``, or ``static`` names no input of ``function``.

    Examples
    --------
    >>> import arrayconv as ac
    >>> def shifted(x, *, by=1.0): return x + by
    >>> def shifted_vjp(dy, x, *, by=1.0): return dy
    >>> ac.onnx.register("Shifted", shifted, shifted_vjp, domain="com.example")
    """
    for what, value in (("function", function), ("vjp", vjp)):
        if not (callable(value) or (value is None and what == "vjp")):
            raise TypeError(f"register({name!r}): {what} must be callable, got {value!r}")
    last = (NEWEST if domain == "" else 2**31) if until is None else until
    if last < since:
        raise ValueError(f"register({name!r}): until={last} is before since={since}")
    parameters = inspect.signature(function).parameters.values()
    positional = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
    if not set(static) <= set(positional):
        raise ValueError(
            f"register({name!r}): static names inputs of the function, which are {positional}, got {tuple(static)}"
        )
    keywords = frozenset(p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD))
    line = Operator(
        name,
        domain,
        since,
        last,
        function,
        vjp,
        frozenset(static),
        outputs,
        channels_last,
        positional,
        keywords,
        any(p.kind is p.VAR_POSITIONAL for p in parameters),
        frozenset(inspect.signature(vjp).parameters if vjp is not None else ()),
    )
    others = [o for o in _table.get((domain, name), ()) if o.until < since or last < o.since]
    _table[domain, name] = sorted([*others, line], key=lambda o: o.since)


def find(domain: str, name: str, version: int) -> Operator | None:
    """The operator for a version of its domain's opset, or None."""
    for line in _table.get((_standard(domain), name), ()):
        if line.since <= version <= line.until:
            return line
    return None


def operators() -> tuple[Operator, ...]:
    """All supported operators, sorted by domain and name; several with one name are for different opsets.

    Examples
    --------
    >>> import arrayconv as ac
    >>> [(line.since, line.until) for line in ac.onnx.operators() if line.name == "Softmax"]
    [(1, 12), (13, 28)]
    """
    return tuple(line for key in sorted(_table) for line in _table[key])


def reason(domain: str, name: str, version: int) -> str:
    """Why an operator is not supported, in a few words; empty if there is nothing to say."""
    lines = _table.get((_standard(domain), name), ())
    if lines:
        known = ", ".join(f"{line.since} to {line.until}" for line in lines)
        return f"supported for opsets {known}, the file has {version}"
    return REFUSED.get(name, "") if _standard(domain) == "" else f"domain {domain!r}"


def _standard(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain

"""The table of operators: name, opset range, function, its vjp; and how to add one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

Function = Callable[..., Any]
# How a node's attributes change where its arrays have their channels last; None where it cannot.
ChannelsLast = Callable[[dict[str, Any], int], dict[str, Any] | None]

NEWEST = 28
"""The newest opset of the standard operators that the table was written for."""

REFUSED = {
    "ConvInteger": "quantized networks are not computed here",
    "DequantizeLinear": "quantized networks are not computed here",
    "DynamicQuantizeLinear": "quantized networks are not computed here",
    "Einsum": "the array API standard has no einsum",
    "If": "no control flow: what is computed is the same for all inputs",
    "Loop": "no control flow: what is computed is the same for all inputs",
    "MatMulInteger": "quantized networks are not computed here",
    "QLinearConv": "quantized networks are not computed here",
    "QLinearMatMul": "quantized networks are not computed here",
    "QuantizeLinear": "quantized networks are not computed here",
    "Scan": "no control flow: what is computed is the same for all inputs",
}

_table: dict[tuple[str, str], list[Operator]] = {}


@dataclass(frozen=True)
class Operator:
    """One line of the table.

    Attributes
    ----------
    name, domain : str
        Those of the nodes; the standard's domain is ``""``.
    since, until : int
        The first and the last opset version that this line is for.
    function : callable
        Of the node's inputs by position (None for one left out) and its attributes by name.
    vjp : callable or None
        Of the upstream gradient, then the arguments of ``function``.
    static : collection of str
        Inputs that ``function`` takes as plain Python numbers, or tuples of them.
    outputs : int
        How many outputs are computed.
    channels_last : callable or None
        How attributes change where arrays have their channels last.
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
    """Add an operator to the table, or replace one; networks loaded afterwards use it.

    Parameters
    ----------
    name : str
        The operator's name, as nodes have it.
    function : callable
        ``function(*inputs, **attributes)`` of arrays of any library: a node's inputs by position,
        None for one that was left out, and its attributes by name, as Python numbers, strings,
        tuples, NumPy arrays and NumPy dtypes. It returns one array, or a tuple of them. A keyword
        ``outputs`` receives the number of outputs that the node names.
    vjp : callable, optional
        ``vjp(dy, *inputs, **attributes)``, returning one gradient or a tuple of them in the order
        of the inputs; None for an input without one. ``dy`` is a tuple where ``function`` returns
        one. Keywords ``y`` and ``wrt`` are filled in: with the result of ``function``, and the names
        of the inputs whose gradients are wanted. Without a vjp, no gradient passes the operator.
    domain : str
        The operator's domain; ``""`` is the standard's.
    since, until : int
        The first and the last version of the domain's opset that this is for; ``until=None`` is no
        end, and for the standard's domain the newest opset known.
    static : collection of str
        Names of inputs that ``function`` takes as Python numbers, or tuples of them, because they
        decide a shape.
    outputs : int
        How many outputs it computes; a node that wants more is refused.
    channels_last : callable, optional
        ``channels_last(attributes, ndim)`` gives the attributes with which ``function`` computes
        the same on arrays of ``ndim`` axes whose channels are last, or None where it cannot. A
        function of single elements returns its attributes as they are.

    Raises
    ------
    TypeError
        A function or a vjp that cannot be called.
    ValueError
        A range of versions that ends before it starts; a static input that the function has not.

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
    """The line of an operator in a version of its domain's opset."""
    for line in _table.get((_standard(domain), name), ()):
        if line.since <= version <= line.until:
            return line
    return None


def operators() -> tuple[Operator, ...]:
    """Every line of the table, sorted by domain and name.

    Examples
    --------
    >>> import arrayconv as ac
    >>> [(line.since, line.until) for line in ac.onnx.operators() if line.name == "Softmax"]
    [(1, 12), (13, 28)]
    """
    return tuple(line for key in sorted(_table) for line in _table[key])


def reason(domain: str, name: str, version: int) -> str:
    """Why there is no line for an operator, in a few words."""
    lines = _table.get((_standard(domain), name), ())
    if lines:
        known = ", ".join(f"{line.since} to {line.until}" for line in lines)
        return f"the table has it for opsets {known}, the file is of {version}"
    return REFUSED.get(name, "") if _standard(domain) == "" else f"domain {domain!r}"


def _standard(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain

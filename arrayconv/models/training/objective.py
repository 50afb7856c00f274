"""The losses and metrics that ``compile`` was given, one set for each output of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from arrayconv.data.sharding import everywhere, sharding_of
from arrayconv.models import checks
from arrayconv.models.losses import Loss
from arrayconv.models.losses import of as loss_of
from arrayconv.models.metrics import Metric
from arrayconv.models.metrics import of as metric_of
from arrayconv.namespace import (
    Array,
    Namespace,
    accumulator,
    array_namespace,
    cast,
    is_real,
    placement,
    to_numpy,
)


class Output(NamedTuple):
    """The loss, its weight and the metrics of one output."""

    name: str
    loss: Loss
    weight: float
    metrics: tuple[Metric, ...]
    weighted: tuple[Metric, ...]


class Evaluated(NamedTuple):
    """The losses and metrics of a batch."""

    loss: Array
    # The sums of all losses and metrics, in the order of `Objective.names`; they add up over an epoch.
    sums: Array
    valid: Array
    gradients: tuple[Array | None, ...]


class Like(NamedTuple):
    """An output without values: its shape and dtype are all that a check of targets needs."""

    shape: tuple[int, ...]
    dtype: Any


class Objective:
    """The losses and metrics of each output, and their names in the history.

    Parameters
    ----------
    outputs : sequence of str
        The names of the outputs.
    losses, metrics, weights, weighted_metrics
        As `Model.compile` takes them.
    """

    def __init__(
        self,
        outputs: Sequence[str],
        losses: Any,
        metrics: Any,
        weights: Any,
        weighted_metrics: Any = None,
    ) -> None:
        if checks.is_pair(losses) and not any(isinstance(part, Loss) for part in losses):
            losses = loss_of("compile", "loss", losses)
        weights = 1.0 if weights is None else weights
        for weight in _listed(list(weights.values()) if isinstance(weights, Mapping) else weights):
            if isinstance(weight, str):
                raise TypeError(
                    f"compile: loss_weights must be numbers, got {weight!r}; it comes before metrics: "
                    "write metrics=[...]"
                )
            checks.number("compile", "loss_weights", weight)
        each = zip(
            outputs,
            (loss_of("compile", "loss", given) for given in _spread("loss", losses, outputs)),
            map(float, _spread("loss_weights", weights, outputs)),
            _metrics("metrics", metrics, outputs),
            _metrics("weighted_metrics", weighted_metrics, outputs),
            strict=True,
        )
        self.outputs = tuple(Output(*parts) for parts in each)
        # by name in the history: "min" or "max", whichever is better, or None if unknown
        self.names: dict[str, str | None] = {"loss": "min"}
        if len(outputs) > 1:
            self.names |= {f"{output.name}_loss": "min" for output in self.outputs}
        for output in self.outputs:
            prefix = f"{output.name}_" if len(outputs) > 1 else ""
            for m in (*output.metrics, *output.weighted):
                name = prefix + m.name
                if m in output.weighted and not m.weighs:
                    raise TypeError(
                        f"compile: weighted_metrics: {m.name!r} has no values to weigh: define terms, not ratio"
                    )
                if m in output.weighted and name in self.names:
                    name = f"{prefix}weighted_{m.name}"
                if name in self.names:
                    raise ValueError(
                        f"compile: two metrics are called {name!r}; give one of them another name"
                    )
                self.names[name] = m.best

    def no_totals(self, xp: Namespace, shapes: Sequence[tuple[int, ...]], like: Array) -> Array:
        """The sums of losses and metrics before the first batch, for outputs of these shapes."""
        size = sum(size for size, _ in self._parts(shapes))
        zeros = xp.zeros((size,), dtype=accumulator(xp, like.dtype), **placement(like))
        sharding = sharding_of(like)
        # sharded as a compiled step will return them, so that it is compiled only once
        return zeros if sharding is None else everywhere(to_numpy(zeros), sharding)

    def _parts(self, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, Metric]]:
        """For each name in `names`, how many sums it has, and the metric that computes its value from them."""
        losses = 1 if len(self.outputs) == 1 else 1 + len(self.outputs)
        return [(2, Metric())] * losses + [
            (m.size(shape), m)
            for output, shape in zip(self.outputs, shapes, strict=True)
            for m in (*output.metrics, *output.weighted)
        ]

    def evaluate(
        self,
        outputs: Sequence[Array],
        targets: Sequence[Array],
        weight: Array | None,
        gradients: bool,
        penalty: Any = 0.0,
    ) -> Evaluated:
        """The loss and metrics of a batch, and the gradients of the outputs; ``penalty`` is added to the loss.

        Raises
        ------
        ValueError
            If the targets, the sample weights or a loss's values have the wrong shape.
        """
        like = outputs[0]
        batch = like.shape[0]
        total: Any = penalty
        valid: Any = None
        means: list[Any] = []
        sums: list[Any] = []
        dys: list[Any] = []
        for part, y_pred, y in zip(self.outputs, outputs, targets, strict=True):
            xp = array_namespace("fit", x=y_pred, y=y)
            dtype = accumulator(xp, like.dtype)
            _check_kind("fit", xp, y)
            y_true = part.loss.targets(xp, y, y_pred)
            inside = part.loss.valid(xp, y_true, y_pred)
            if inside is not None:
                valid = inside if valid is None else xp.logical_and(valid, inside)
            values = part.loss.values(y_true, y_pred)
            if tuple(values.shape) != (batch,):
                raise ValueError(
                    f"{part.loss.name}: values must give one loss per sample, shape ({batch},), "
                    f"got {tuple(values.shape)}"
                )
            own = shares = None
            if weight is not None:
                if tuple(weight.shape) not in ((batch,), (batch, 1)):
                    raise ValueError(
                        f"fit: sample_weight must have one number per sample, shape ({batch},), "
                        f"got {tuple(weight.shape)}"
                    )
                own = xp.reshape(weight, (batch,))
                shares = cast(xp, own, values.dtype)
                values = values * shares
            summed = xp.sum(cast(xp, values, dtype))
            means += [summed, batch]
            total = total + summed * (part.weight / batch)
            if gradients:
                dy = xp.full((batch,), part.weight / batch, dtype=y_pred.dtype, **placement(y_pred))
                dy = dy if shares is None else dy * cast(xp, shares, dy.dtype)
                dys.append(part.loss.gradient(dy, y_true, y_pred))
            for m in part.metrics:
                sums += m.sums(xp, y, y_pred, None)
            for m in part.weighted:
                sums += m.sums(xp, y, y_pred, own)
        numbers = [total * batch, batch, *(means if len(self.outputs) > 1 else ()), *sums]
        if valid is None:
            valid = xp.ones((), dtype=xp.bool, **placement(like))
        return Evaluated(total, _table(xp, numbers, dtype, like), valid, tuple(dys))

    def check(
        self, label: str, shapes: Sequence[tuple[int, ...]], dtype: Any, targets: Any
    ) -> None:
        """Check all targets before training starts.

        Raises
        ------
        TypeError
            If their dtype is complex or not numeric.
        ValueError
            If their shape is wrong, or a value is out of range.
        """
        for part, shape, y in zip(self.outputs, shapes, targets, strict=True):
            xp = array_namespace(label, y=y)
            _check_kind(label, xp, y)
            like = Like((int(y.shape[0]), *shape), dtype)
            y_true = part.loss.targets(xp, y, like)
            inside = part.loss.valid(xp, y_true, like)
            if inside is not None and not bool(inside):
                values = to_numpy(y)
                least, largest = (f"{float(value):.12g}" for value in (values.min(), values.max()))
                where = f" of output {part.name!r}" if len(self.outputs) > 1 else ""
                raise ValueError(
                    f"{label}: y{where} holds values from {least} to {largest}, and {part.loss.name} "
                    f"expects {part.loss.expected(shape)}"
                )

    def averages(self, totals: Array, shapes: Sequence[tuple[int, ...]]) -> dict[str, Any]:
        """The losses and metrics by name, from their sums over an epoch; waits for the device."""
        sums, found, start = to_numpy(totals), {}, 0
        for name, (size, kind) in zip(self.names, self._parts(shapes), strict=True):
            found[name] = kind.result(sums[start : start + size])
            start += size
        return found


def _check_kind(label: str, xp: Namespace, y: Array) -> None:
    if not is_real(xp, y.dtype) and not xp.isdtype(y.dtype, "bool"):
        raise TypeError(f"{label}: y must be real floating, integer or boolean, got {y.dtype}")


def _table(xp: Namespace, values: Sequence[Any], dtype: Any, like: Array) -> Array:
    """Numbers and arrays, joined to one array of one axis beside ``like``."""
    rows, place = [], placement(like)
    for value in values:
        if isinstance(value, int | float):
            rows.append(xp.full((1,), float(value), dtype=dtype, **place))
        else:
            rows.append(xp.reshape(value, (-1,)))
    return xp.concat([row if row.dtype == dtype else xp.astype(row, dtype) for row in rows])


def _spread(argument: str, value: Any, outputs: Sequence[str]) -> list[Any]:
    """One value per output, from a single value for all, a list, or a dict by the outputs' names."""
    if isinstance(value, Mapping):
        if set(value) != set(outputs):
            raise ValueError(
                f"compile: {argument} must name the outputs {', '.join(outputs)}, got {', '.join(map(str, value))}"
            )
        return [value[name] for name in outputs]
    if isinstance(value, list | tuple):
        if len(value) != len(outputs):
            raise ValueError(
                f"compile: {argument} must have {len(outputs)} entries, one for each of the outputs "
                f"{', '.join(outputs)}, got {len(value)}"
            )
        return list(value)
    return [value] * len(outputs)


def _metrics(argument: str, given: Any, outputs: Sequence[str]) -> list[tuple[Metric, ...]]:
    """The metrics of each output, from one list for all, a list per output, or a dict by the outputs' names."""
    if isinstance(given, Mapping):
        if set(given) - set(outputs):
            raise ValueError(
                f"compile: {argument} must name outputs among {', '.join(outputs)}, got {', '.join(map(str, given))}"
            )
        each = [given.get(name, []) for name in outputs]
    else:
        given = [] if given is None else _listed(given)
        nested = any(isinstance(item, list | tuple) for item in given)
        each = _spread(argument, given, outputs) if nested else [given] * len(outputs)
    return [tuple([metric_of("compile", argument, one) for one in _listed(item)]) for item in each]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]

"""What `compile` chose, joined to the outputs of a graph: losses, metrics and the names of their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from arrayconv.models import checks
from arrayconv.models.losses import Loss, loss
from arrayconv.models.metrics import Metric, metric
from arrayconv.models.program import GraphWeights, Key
from arrayconv.models.regularizers import Regularizer
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
    """What is computed of one output."""

    name: str
    loss: Loss
    weight: float
    metrics: tuple[Metric, ...]


class Evaluated(NamedTuple):
    """What the losses and metrics say of a batch."""

    loss: Array
    # One row of numerators and one of denominators, in the order of `Objective.names`.
    ratios: Array
    valid: Array
    gradients: tuple[Array | None, ...]


class Like(NamedTuple):
    """All that a check of targets reads of an output."""

    shape: tuple[int, ...]
    dtype: Any


class Objective:
    """The losses and metrics of each output, and the names of their numbers.

    Parameters
    ----------
    outputs : sequence of str
        Their names.
    losses, metrics, weights
        As `Model.compile` takes them.
    """

    def __init__(self, outputs: Sequence[str], losses: Any, metrics: Any, weights: Any) -> None:
        if checks.is_pair(losses) and not any(isinstance(part, Loss) for part in losses):
            losses = loss(losses)
        each_loss = _spread("loss", losses, outputs)
        weights = 1.0 if weights is None else weights
        for weight in _listed(list(weights.values()) if isinstance(weights, Mapping) else weights):
            if isinstance(weight, str):
                raise TypeError(
                    f"compile: loss_weights must be numbers, got {weight!r}; it comes before metrics: "
                    "write metrics=[...]"
                )
            checks.number("compile", "loss_weights", weight)
        each_weight = _spread("loss_weights", weights, outputs)
        several = len(outputs) > 1
        each_metric = _per_output(metrics, outputs)
        self.outputs = tuple(
            Output(
                name, loss(each_loss[i]), float(each_weight[i]), tuple(map(metric, each_metric[i]))
            )
            for i, name in enumerate(outputs)
        )
        # the way that is better, by name
        self.names: dict[str, str | None] = {"loss": "min"}
        if several:
            self.names |= {f"{output.name}_loss": "min" for output in self.outputs}
        for output in self.outputs:
            for m in output.metrics:
                name = f"{output.name}_{m.name}" if several else m.name
                if name in self.names:
                    raise ValueError(
                        f"compile: two metrics are called {name!r}; give one of them another name"
                    )
                self.names[name] = m.best

    def evaluate(
        self,
        outputs: Sequence[Array],
        targets: Sequence[Array],
        weight: Array | None,
        gradients: bool,
        penalty: Any = 0.0,
    ) -> Evaluated:
        """The loss of a batch, its numbers and the gradients of the outputs; ``penalty`` is added to the loss.

        Raises
        ------
        ValueError
            Targets of the wrong shape.
        """
        xp = array_namespace("fit", y_pred=outputs[0])
        like = outputs[0]
        batch = like.shape[0]
        dtype = accumulator(xp, like.dtype)
        total: Any = penalty
        valid: Any = None
        means, ratios, dys = [], [], []
        for part, y_pred, y in zip(self.outputs, outputs, targets, strict=True):
            array_namespace("fit", x=y_pred, y=y)
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
            shares = None
            if weight is not None:
                shares = cast(xp, sample_weights(xp, weight, batch), values.dtype)
                values = values * shares
            summed = xp.sum(cast(xp, values, dtype))
            means.append((summed, batch))
            total = total + summed * (part.weight / batch)
            if gradients:
                dy = xp.full((batch,), part.weight / batch, dtype=y_pred.dtype, **placement(y_pred))
                dy = dy if shares is None else dy * cast(xp, shares, dy.dtype)
                dys.append(part.loss.gradient(dy, y_true, y_pred))
            ratios += [m.ratio(xp, y, y_pred) for m in part.metrics]
        if len(means) > 1:
            ratios = [*means, *ratios]
        rows = [
            _number(xp, n, dtype, like) for pair in ((total * batch, batch), *ratios) for n in pair
        ]
        if valid is None:
            valid = xp.ones((), dtype=xp.bool, **placement(like))
        table = xp.reshape(xp.stack(rows), (len(self.names), 2))
        return Evaluated(total, table, valid, tuple(dys))

    def check(
        self, label: str, shapes: Sequence[tuple[int, ...]], dtype: Any, targets: Any
    ) -> None:
        """Look at all targets before anything is trained.

        Raises
        ------
        ValueError
            Targets of the wrong shape, or out of range.
        """
        for part, shape, y in zip(self.outputs, shapes, targets, strict=True):
            xp = array_namespace(label, y=y)
            _check_kind(label, xp, y)
            like = Like((int(y.shape[0]), *shape), dtype)
            y_true = part.loss.targets(xp, y, like)
            inside = part.loss.valid(xp, y_true, like)
            if inside is not None and not bool(inside):
                raise ValueError(f"{label}: {self.out_of_range(part, y, shape)}")

    def out_of_range(self, part: Output, y: Array, shape: tuple[int, ...]) -> str:
        """What is wrong with the targets of an output."""
        values = to_numpy(y)
        where = f" of output {part.name!r}" if len(self.outputs) > 1 else ""
        return (
            f"y{where} holds values from {_shown(values.min())} to {_shown(values.max())}, and {part.loss.name} "
            f"expects {part.loss.expected(shape)}"
        )

    def averages(self, totals: Any) -> dict[str, float]:
        """The numbers, from a NumPy table of summed numerators and denominators."""
        return {
            name: float(top / bottom) if bottom else 0.0
            for name, (top, bottom) in zip(self.names, totals, strict=True)
        }


def penalty(xp: Namespace, regularizers: Mapping[Key, Regularizer], weights: GraphWeights) -> Any:
    """What the regularizers add to the loss."""
    total: Any = 0.0
    for (layer, name), regularizer in regularizers.items():
        total = total + regularizer.value(xp, weights[layer][name])
    return total


def sample_weights(xp: Namespace, weight: Array, batch: int) -> Array:
    """The weights of the samples, shape (N,).

    Raises
    ------
    ValueError
        Another shape.
    """
    if tuple(weight.shape) not in ((batch,), (batch, 1)):
        raise ValueError(
            f"fit: sample_weight must have one number per sample, shape ({batch},), got {tuple(weight.shape)}"
        )
    return xp.reshape(weight, (batch,))


def _check_kind(label: str, xp: Namespace, y: Array) -> None:
    if not is_real(xp, y.dtype) and not xp.isdtype(y.dtype, "bool"):
        raise TypeError(f"{label}: y must be real floating, integer or boolean, got {y.dtype}")


def _number(xp: Namespace, value: Any, dtype: Any, like: Array) -> Array:
    if isinstance(value, int | float):
        return xp.full((), float(value), dtype=dtype, **placement(like))
    return xp.reshape(cast(xp, value, dtype), ())


def _shown(value: Any) -> str:
    return f"{float(value):.12g}"


def _spread(argument: str, value: Any, outputs: Sequence[str]) -> list[Any]:
    """One value for each output, from one for all, a list or a dict by their names."""
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


def _per_output(metrics: Any, outputs: Sequence[str]) -> list[list[Any]]:
    """A list of metrics for each output."""
    if metrics is None:
        return [[] for _ in outputs]
    if isinstance(metrics, Mapping):
        unknown = set(metrics) - set(outputs)
        if unknown:
            raise ValueError(
                f"compile: metrics must name outputs among {', '.join(outputs)}, got {', '.join(map(str, metrics))}"
            )
        return [_listed(metrics.get(name, [])) for name in outputs]
    if len(outputs) == 1:
        metrics = _listed(metrics)
        nested = len(metrics) == 1 and isinstance(metrics[0], list | tuple)
        return [_listed(metrics[0])] if nested else [metrics]
    if isinstance(metrics, list | tuple) and any(isinstance(m, list | tuple) for m in metrics):
        return [_listed(m) for m in _spread("metrics", metrics, outputs)]
    return [_listed(metrics) for _ in outputs]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]

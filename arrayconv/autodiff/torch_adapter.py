"""PyTorch: a ``torch.autograd.Function``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial, wraps
from typing import Any

from arrayconv.autodiff.call import Call, is_array, library, make_pair
from arrayconv.namespace import Array


def to_torch(f: Callable[..., Any], vjp: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """A function of torch tensors that computes `f` and that autograd differentiates by its vjp.

    Parameters
    ----------
    f, vjp : callable
        As for `to_jax`. The entries of a tuple after the first are marked as not differentiable;
        a named tuple comes back as a plain one.

    Returns
    -------
    callable
        Called like `f`. Tensors given by position, or by the name of a positional argument, are
        differentiable where they are floating; everything else is passed through. A vjp with a
        ``wrt`` keyword computes only the gradients that autograd needs. Differentiable more than
        once (the code of the vjp is differentiated then). Under ``torch.func.vmap`` the batch is
        gone through one by one: right, not fast; give the operations a batch axis instead.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError
        If `f` or `vjp` is not a function. When called: for a tensor in a keyword-only argument or
        arguments that `f` does not take; in the backward pass, if the vjp gives no gradient for a
        tensor that needs one.
    ValueError
        If no vjp of `f` is found. In the backward pass: if a gradient has not the shape of its tensor.

    Notes
    -----
    `options` count as they are when the function is called, for the backward pass too, which
    autograd may run in another thread.

    Examples
    --------
    >>> import torch
    >>> import arrayconv as ac
    >>> conv = ac.autodiff.to_torch(ac.conv)
    >>> x, w = torch.ones(1, 4, 4, 1), torch.ones(2, 2, 1, 1, requires_grad=True)
    >>> conv(x, w, stride=2).square().sum().backward()
    >>> w.grad[:, :, 0, 0]
    tensor([[32., 32.],
            [32., 32.]])
    """
    import torch

    pair = make_pair("to_torch", f, vjp)
    apply = _function().apply

    def as_tensor(name: str, value: Any) -> Array | None:
        if isinstance(value, torch.Tensor):
            return value
        if is_array(value):
            raise TypeError(
                f"{pair.title}: {name} must be a tensor, got an array of {library(value)}; "
                f"torch.asarray({name}) makes one"
            )
        return None

    @wraps(f)
    def differentiable(*args: Any, **config: Any) -> Any:
        call, arrays = pair.call(args, config, as_tensor)
        return apply(call, *arrays)

    return differentiable


@cache
def _function() -> Any:
    """The one ``torch.autograd.Function``, made when torch is first needed."""
    import torch

    class OneByOne(torch.autograd.Function):  # type: ignore[misc]
        """A function of a `Call` and tensors; ``torch.func.vmap`` runs it on each entry."""

        @classmethod
        def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> Any:
            # operations write into buffers of their own, which vmap cannot follow
            def entry(value: Any, dim: int | None, i: int) -> Any:
                if dim is None:
                    return value
                if info.batch_size == 0:
                    return value.new_zeros(value.movedim(dim, 0).shape[1:])
                return value.select(dim, i)

            # a batch of nothing is run once, on zeros, for what only a result shows: its shape
            runs = [
                cls.apply(
                    *(entry(value, dim, i) for value, dim in zip(inputs, in_dims, strict=True))
                )
                for i in range(max(info.batch_size, 1))
            ]

            def stack(entries: Any) -> Any:
                return torch.stack(tuple(entries))[: info.batch_size]

            if not isinstance(runs[0], tuple):
                return stack(runs), 0
            stacked = tuple(
                None if run[0] is None else stack(run) for run in zip(*runs, strict=True)
            )
            return stacked, tuple(None if out is None else 0 for out in stacked)

    class Gradient(OneByOne):
        """The vjp, itself differentiable: by autograd, through its code."""

        @staticmethod
        def forward(run: Callable[..., Any], dy: Array, *saved: Array) -> Any:
            return run(dy.detach(), [value.detach() for value in saved])

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.run, *tensors = inputs
            ctx.save_for_backward(*tensors)

        @staticmethod
        def backward(ctx: Any, *ddx: Array | None) -> tuple[Array | None, ...]:
            tensors = ctx.saved_tensors
            floats = [i for i, t in enumerate(tensors) if t.is_floating_point()]

            def gradients(*values: Array) -> tuple[Array, ...]:
                filled = list(tensors)
                for i, value in zip(floats, values, strict=True):
                    filled[i] = value
                found = ctx.run(filled[0], filled[1:])
                return tuple(dx for dx in found if dx is not None)

            upstream = tuple(v for v in ddx if v is not None)
            found = torch.func.vjp(gradients, *(tensors[i] for i in floats))[1](upstream)
            result: list[Array | None] = [None] * len(tensors)
            for i, value in zip(floats, found, strict=True):
                result[i] = value
            return None, *result

    class Apply(OneByOne):
        """The function, differentiated by its vjp."""

        @staticmethod
        def forward(call: Call, *arrays: Array) -> Any:
            # an operation that copies its argument must not copy its history with it
            return call.forward([value.detach() for value in arrays])

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.call, *arrays = inputs
            ctx.save_for_backward(*ctx.call.saved(arrays, output))
            if isinstance(output, tuple):
                ctx.mark_non_differentiable(*output[1:])

        @staticmethod
        def backward(ctx: Any, dy: Array, *_: Any) -> tuple[Array | None, ...]:
            run = partial(ctx.call.backward, wanted=ctx.needs_input_grad[1:])
            return None, *Gradient.apply(run, dy, *ctx.saved_tensors)

    return Apply

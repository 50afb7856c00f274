"""In which order flattened features come, here and in a channels_first model."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from arrayconv.models.graph import Graph
from arrayconv.models.layers import Concatenate, Dense, Flatten, Layer, Node

Order = NDArray[np.int64]


def feature_orders(graph: Graph) -> dict[Layer, Order]:
    """For each layer that reads flattened maps: which feature of a channels_first model each of its features is.

    Raises
    ------
    ValueError
        If a layer joins features of different orders other than side by side.
    """
    orders: dict[Node, Order] = {}
    layers: dict[Layer, Order] = {}
    formats: dict[Node, str] = {}
    for node in graph.nodes:
        above = [formats[parent] for parent in node.inputs] or ["channels_last"]
        formats[node] = getattr(node.layer, "data_format", above[0])
        given = [orders.get(parent) for parent in node.inputs]
        if isinstance(node.layer, Flatten) and len(node.inputs[0].sample) > 1:
            if formats[node] == "channels_first":
                continue
            *size, channels = node.inputs[0].sample
            # (C, *S) -> (*S, C): cell i here is cell order[i] there
            there = np.arange(math.prod(node.sample)).reshape(channels, *size)
            orders[node] = np.moveaxis(there, 0, -1).reshape(-1)
        elif any(order is not None for order in given):
            known = [
                np.arange(parent.sample[0]) if order is None else order
                for order, parent in zip(given, node.inputs, strict=True)
            ]
            if node.layer.specs:
                layers[node.layer] = known[0]
            if isinstance(node.layer, Concatenate):
                starts = np.cumsum([0, *(len(order) for order in known[:-1])])
                orders[node] = np.concatenate(
                    [order + start for order, start in zip(known, starts, strict=True)]
                )
            elif not isinstance(node.layer, Dense):
                if any(not np.array_equal(order, known[0]) for order in known):
                    raise ValueError(
                        f"load_torch_weights: {node.layer.label} joins features that torch flattens in "
                        "different orders"
                    )
                orders[node] = known[0]
    return layers

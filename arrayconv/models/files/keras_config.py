"""Converting between a model's config in Keras, the ``config.json`` in its files, and the config here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any, NamedTuple

from arrayconv.models.config import placed
from arrayconv.models.graph import Graph
from arrayconv.models.initializers import Initializer
from arrayconv.models.layers.base import COMMON, LAYERS, Layer
from arrayconv.models.layers.input import InputLayer
from arrayconv.models.layers.registry import is_own
from arrayconv.models.topology import snake

# The most layer calls accepted in a file: more than any network has, and still built within a second.
LONGEST = 10_000
# Arguments of Keras that have no counterpart here, with the value at which they change nothing.
_NEUTRAL = {"data_format": "channels_last", "renorm_momentum": 0.99, "autocast": True}
_MODELS = ("Functional", "Sequential")
# Layers here that Keras has only as activation functions, under the same name in snake case.
_FUNCTIONS = (
    "GELU",
    "HardSigmoid",
    "HardSwish",
    "LogSoftmax",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Tanh",
)
# Arguments here that a Keras class does not have, with the value that it behaves as.
_LACKING = {
    "Cropping1D": {"data_format": "channels_last"},
    "SpatialDropout1D": {"data_format": "channels_last"},
    "UpSampling1D": {"data_format": "channels_last", "interpolation": "nearest"},
    "UpSampling3D": {"interpolation": "nearest"},
}
_NOT_KERAS = ("DepthwiseConv3D", "SeparableConv3D")


class Inner(NamedTuple):
    """A model nested in another."""

    kind: str
    config: Mapping[str, Any]
    # by name and in order: the layer's index in `Reader.layers`, or another Inner
    layers: dict[str, Any]


class Reader:
    """Converts Keras's config of a model.

    Parameters
    ----------
    config : mapping
        The content of Keras's ``config.json``.

    Attributes
    ----------
    config : dict
        The same model as `Model.get_config` describes it. A nested model is replaced by the layers it holds.
    paths : dict of str to tuple of str
        For each layer here its path in Keras: the names of the models that contain it, then its own.

    Raises
    ------
    ValueError
        A layer, or an argument, that has no counterpart here.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.layers: list[dict[str, Any]] = []
        self.nodes: list[list[Any]] = []
        self.paths: dict[str, tuple[str, ...]] = {}
        self.work = 0
        top = self.model(config, ())
        name = top.config["name"]
        # a plain chain with one input at its start stays a Sequential
        if top.kind == "Sequential" and all(
            isinstance(inner, int) and (inner == 0 or self.layers[inner]["class"] != "InputLayer")
            for inner in top.layers.values()
        ):
            start, *rest = self.layers
            if start["class"] != "InputLayer":
                raise ValueError("it was saved before its input shape was known")
            self.config = {"class": "Sequential", "name": name, "input": start, "layers": rest}
            return
        inputs: list[int] = []
        outputs = self.call(top, None, inputs)
        ends = None if top.kind == "Sequential" else top.config["output_layers"]
        keyed = dict(zip(ends, outputs, strict=True)) if isinstance(ends, Mapping) else None
        self.config = {
            "class": "Model",
            "name": name,
            "layers": self.layers,
            "nodes": self.nodes,
            "inputs": inputs,
            "outputs": keyed or (outputs[0] if len(outputs) == 1 else outputs),
        }

    def model(self, item: Mapping[str, Any], above: tuple[str, ...]) -> Inner:
        kind, config = item["class_name"], item["config"]
        if kind not in _MODELS:
            raise ValueError(f"it is a {kind}, and only {' and '.join(_MODELS)} models are read")
        layers: dict[str, Any] = {}
        for inner in config["layers"]:
            name = inner["config"]["name"]
            path = (*above, name)
            if inner["class_name"] in _MODELS:
                layers[name] = self.model(inner, path)
                continue
            layers[name] = len(self.layers)
            if len(self.layers) >= LONGEST:
                raise ValueError(f"it has more than {LONGEST} layers")
            # layers of two nested models may have the same name
            own = name if name not in self.paths else "_".join(path)
            while own in self.paths:
                own += "_"
            self.paths[own] = path
            self.layers.append({**ours(inner), "name": own})
        return Inner(kind, config, layers)

    def call(self, what: Any, given: Sequence[int] | None, inputs: list[int]) -> list[int]:
        """Call a layer or a model on nodes; the outermost model gets none, and its inputs are added to ``inputs``."""
        # models that call models can ask for exponentially many calls in a short file
        self.work += 1 if isinstance(what, int) else 1 + len(what.layers)
        if self.work > 4 * LONGEST or len(self.nodes) >= LONGEST:
            raise ValueError(f"it has more than {LONGEST} nodes")
        if isinstance(what, int):
            self.nodes.append([what, list(given or ())])
            return [len(self.nodes) - 1]
        if what.kind == "Sequential":
            values = None if given is None else list(given)
            for inner in what.layers.values():
                if isinstance(inner, int) and self.layers[inner]["class"] == "InputLayer":
                    if values is not None:
                        continue
                    values = self.call(inner, (), inputs)
                    inputs += values
                else:
                    values = self.call(inner, values, inputs)
            return values or []
        found: dict[tuple[str, int], list[int]] = {}
        for at, (name, *_) in enumerate(_ends(what.config["input_layers"])):
            if given is None:
                inputs += (start := self.call(what.layers[name], (), inputs))
                found[name, 0] = start
            else:
                found[name, 0] = [given[at]]
        calls = {
            (item["config"]["name"], number): [*_sources(item, node)]
            for item in what.config["layers"]
            for number, node in enumerate(item["inbound_nodes"])
        }
        waits = {key: [(name, number) for name, number, _ in of] for key, of in calls.items()}
        for key in TopologicalSorter(waits).static_order():
            if key not in found:
                sources = [found[name, number][at] for name, number, at in calls[key]]
                found[key] = self.call(what.layers[key[0]], sources, inputs)
        return [found[name, number][at] for name, number, at in _ends(what.config["output_layers"])]


def _ends(given: Any) -> list[Any]:
    """A list of a model's inputs or outputs: Keras writes a single one bare, and several as a list or a dict."""
    if isinstance(given, Mapping):
        return list(given.values())
    return given if given and isinstance(given[0], list) else [given]


def _sources(item: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    name, kwargs = item["config"]["name"], dict(node["kwargs"])
    if kwargs.pop("training", None) or any(value is not None for value in kwargs.values()):
        raise ValueError(f"{name!r} is called with {node['kwargs']}, which has no counterpart here")
    for given in node["args"]:
        for tensor in given if isinstance(given, list) else [given]:
            if not isinstance(tensor, Mapping) or tensor.get("class_name") != "__keras_tensor__":
                raise ValueError(
                    f"{name!r} is called on {tensor!r}, which is not the output of a layer"
                )
            source, number, at = tensor["config"]["keras_history"]
            yield source, number, at


def ours(item: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a layer here, from the config in Keras."""
    kind, given = item["class_name"], dict(item["config"])
    label = f"{kind} {given.get('name')!r}"
    if kind not in LAYERS:
        raise ValueError(f"{label}: there is no such layer here; define or import one of your own")
    policy = given.pop("dtype", None)
    policy = policy["config"]["name"] if isinstance(policy, Mapping) else policy
    if policy not in (None, "bfloat16", "float16", "float32", "float64"):
        raise ValueError(f"{label}: dtype {policy!r} has no counterpart here")
    if LAYERS[kind] is InputLayer:
        shape = given["batch_shape"][1:]
        if None in shape:
            raise ValueError(
                f"{label}: a size is not known in {given['batch_shape']}; save it with an Input of whole numbers"
            )
        return {"class": kind, "shape": shape}
    takes = (*LAYERS[kind].fields, *COMMON)
    found: dict[str, Any] = {"class": kind}
    for name, value in given.items():
        if name in takes:
            made = _argument(label, name, value)
            # the weights come from the file, so an unknown initializer does not matter
            if not name.endswith("_initializer") or _known(made):
                found[name] = made
        elif value is not None and value is not False and _NEUTRAL.get(name) != value:
            raise ValueError(f"{label}: {name}={value!r} has no counterpart here")
    return found


def _known(made: Any) -> bool:
    try:
        Initializer.of("", "", made)
    except (TypeError, ValueError):
        return False
    return True


def _argument(label: str, name: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    kind, given = value["class_name"], value.get("config")
    if kind == "__tuple__":
        return value["items"]
    if kind == "__numpy__":
        return value["config"]["value"]
    if name == "activation" and isinstance(given, Mapping):
        return ours(value)
    if kind == "function" or not isinstance(given, Mapping):
        raise ValueError(f"{label}: {name}={given!r} is a user-defined function")
    given = {key: item for key, item in given.items() if item is not None}
    return {"class": kind, **given}


def theirs(name: str, config: Mapping[str, Any], graph: Graph) -> dict[str, Any]:
    """The config in Keras of a model here.

    Parameters
    ----------
    name : str
    config : mapping
        As `Model.get_config` gives it.
    graph : Graph

    Raises
    ------
    ValueError
        A layer that Keras does not have.
    """
    dtype = graph.float_name()
    ranks = {graph.names[n.layer]: len(n.inputs[0].sample) - 1 for n in graph.nodes if n.inputs}
    start = [config["input"]] if config["class"] == "Sequential" else []
    layers: list[dict[str, Any]] = [
        {**_layer(item, ranks.get(item["name"]), dtype), "name": item["name"], "inbound_nodes": []}
        for item in (*start, *config["layers"])
    ]
    held: dict[str, Any] = {"name": name, "trainable": True, "layers": layers}
    if config["class"] == "Sequential":
        return _object("keras", "Sequential", held)
    calls: list[list[Any]] = []
    for number, parents in config["nodes"]:
        item = layers[number]
        calls.append([item["name"], len(item["inbound_nodes"]), 0])
        if parents:
            tensors = [_tensor(calls[p], graph.nodes[p].sample, dtype) for p in parents]
            args = [tensors] if len(tensors) > 1 else tensors
            item["inbound_nodes"].append({"args": args, "kwargs": {}})
    held["input_layers"] = [calls[i] for i in config["inputs"]]
    held["output_layers"] = placed(config["outputs"], calls)
    return _object("keras.src.models.functional", "Functional", held, "Functional")


def _object(
    module: str, kind: str, config: Mapping[str, Any], registered: str | None = None
) -> dict[str, Any]:
    return {
        "module": module,
        "class_name": kind,
        "config": config,
        "registered_name": registered,
    }


def _tensor(call: list[Any], shape: Sequence[int], dtype: str) -> dict[str, Any]:
    config = {"shape": [None, *shape], "dtype": dtype, "keras_history": call}
    return {"class_name": "__keras_tensor__", "config": config}


def _layer(item: Mapping[str, Any], rank: int | None, dtype: str) -> dict[str, Any]:
    """The config in Keras of a layer here."""
    given = {key: value for key, value in item.items() if key not in ("class", "input_shape")}
    kind = keras_class(LAYERS[item["class"]], rank)
    if kind == "InputLayer":
        given["batch_shape"] = [None, *given.pop("shape")]
    elif kind in _FUNCTIONS:
        if given.pop("approximate", False):
            raise ValueError(f"{kind} {item['name']!r}: Keras has no layer for its approximation")
        kind, given = "Activation", {**given, "activation": snake(kind)}
    for name, fixed in _LACKING.get(kind, {}).items():
        if given.pop(name, fixed) not in (fixed, None):
            raise ValueError(f"{kind} {item['name']!r}: Keras's has no {name}")
    for name, value in given.items():
        if isinstance(value, Mapping) and name == "activation":
            given[name] = _layer({"name": name, **value}, None, dtype)
        elif isinstance(value, Mapping):
            arguments = {key: held for key, held in value.items() if key != "class"}
            module = f"keras.{name.rpartition('_')[2]}s"
            given[name] = _object(module, value["class"], arguments)
    return _object("keras.layers", kind, {**given, "dtype": dtype})


def keras_class(kind: type[Layer], rank: int | None) -> str:
    """The name of a layer's class in Keras, for an input with ``rank`` spatial axes."""
    subclasses = (k for k in kind.__subclasses__() if is_own(k))
    ranked = [k.__name__ for k in subclasses if k.rank is not None and k.rank == rank]
    name = ranked[0] if ranked else kind.__name__
    if name in _NOT_KERAS or not is_own(kind):
        raise ValueError(f"Keras has no {name}; save to .safetensors, which holds every layer")
    return name

"""Strategies that draw hostile files: whole ones that were damaged, and ones made by an enemy."""

import functools
import io
import json
import struct
import zipfile

import h5py
import numpy as np
from arrayconv.models.layer import LAYERS
from hypothesis import strategies as st

# The weights of `hostile_reader.network`.
SHAPES = {
    "conv/kernel": (3, 3, 2, 3),
    "conv/bias": (3,),
    "batch_normalization/gamma": (3,),
    "batch_normalization/beta": (3,),
    "batch_normalization/moving_mean": (3,),
    "batch_normalization/moving_variance": (3,),
    "dense/kernel": (48, 2),
    "dense/bias": (2,),
}
HUGE = (2**31 - 1, 2**31, 2**32, 4 * 10**8, 10**12, 2**63 - 1, 2**64 - 1, 10**30)
numbers = st.sampled_from((*HUGE, -1, 0, 1, 2, 3, 0.5, -(2**63), 1e300)) | st.integers(-5, 5000)


class Content(bytes):
    """The content of a file, which a failing example does not print."""

    def __repr__(self):
        return f"<{len(self)} bytes>"


class Weights(dict):
    """Arrays by their names, which a failing example does not print."""

    def __repr__(self):
        return "<weights>"


def nested(depth, kind="[]"):
    """Return JSON of so many lists or objects, one in the other."""
    start = "[" if kind == "[]" else '{"a":'
    return start * depth + ("1" if kind == "{}" else "") + kind[-1] * depth


@st.composite
def damaged(draw, whole):
    """A whole file after one to four accidents."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        size = len(content)
        # what rules the rest lies near either end
        at = draw(st.integers(0, size) | st.integers(0, min(size, 600)))
        at = max(0, size - at) if draw(st.booleans()) else min(at, size)
        length = draw(st.sampled_from((1, 2, 8, 60, 1000)))
        match draw(st.sampled_from(("flip", "set", "cut", "drop", "repeat", "zero"))):
            case "flip" if at < size:
                content[at] ^= 1 << draw(st.integers(0, 7))
            case "set":
                value = draw(st.sampled_from((b"\xff" * 8, b"\x7f", b"\0\0\0\x40", b"\xff\xff")))
                content[at : at + len(value)] = value
            case "cut":
                del content[at:]
            case "drop":
                del content[at : at + length]
            case "repeat":
                content[at:at] = content[at : at + length]
            case "zero":
                content[at : at + length] = bytes(len(content[at : at + length]))
    return Content(content)


# --- safetensors


def safetensors_file(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return Content(struct.pack("<Q", len(text)) + text + data)


_NOTHING = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}


@st.composite
def headers(draw):
    """A safetensors file whose header lies."""
    if draw(st.integers(0, 3)) == 0:
        text = draw(
            st.sampled_from(
                (
                    nested(100_000),
                    nested(100_000, "{}"),
                    '{"a":' + nested(5000) + "}",
                    '{"__metadata__":' + nested(5000, "{}") + "}",
                    "{" + ",".join(f'"{i}":[]' for i in range(100_000)) + "}",
                    "[" + "{}," * 300_000 + "{}]",
                    json.dumps({f"{i}.w": _NOTHING for i in range(17_000)}),
                    json.dumps({"a": {**_NOTHING, "shape": [0] * 300_000}}),
                )
            )
        )
        return safetensors_file(text.encode())
    entry = st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(
                ("F64", "F32", "I64", "U8", "BOOL", "BF16", "F8_E4M3", "Q", 7)
            ),
            "shape": st.lists(numbers, max_size=4) | st.just([0, 10**18]) | st.just([1] * 70),
            "data_offsets": st.lists(numbers, min_size=2, max_size=2) | st.just([0, 0]),
        }
    )
    names = st.sampled_from((*SHAPES, "", "a.weight", "9" * 5000, "../../x", "a\nb"))
    header = draw(st.dictionaries(names, entry, max_size=4))
    if draw(st.booleans()):
        header["__metadata__"] = draw(
            st.dictionaries(
                st.sampled_from(("format", "model")), st.sampled_from(("arrayconv", "{}"))
            )
        )
    return safetensors_file(header, bytes(draw(st.sampled_from((0, 8, 1000)))))


leaves = st.one_of(
    numbers,
    st.none(),
    st.booleans(),
    st.sampled_from(
        (float("nan"), float("inf"), "", "same", "../../etc/passwd", "os.system", "a" * 9999)
    ),
    st.sampled_from((*LAYERS, "relu", "softmax", "he_normal", "Constant")),
    st.lists(numbers, max_size=4),
    st.just([2] * 500),
    st.builds(lambda n: json.loads(nested(n)), st.sampled_from((3, 90))),
    st.just({"class": "Constant", "value": 1e300}),
)
EXTRA = (
    "units",
    "filters",
    "kernel_size",
    "strides",
    "padding",
    "input_shape",
    "shape",
    "size",
    "rate",
)


def _places(tree, found):
    if isinstance(tree, dict):
        for key, value in tree.items():
            found.append((tree, key))
            _places(value, found)
    elif isinstance(tree, list):
        for i, value in enumerate(tree):
            found.append((tree, i))
            _places(value, found)
    return found


@st.composite
def structures(draw, config, tensors):
    """A file of ours whose structure was written by an enemy."""
    if draw(st.integers(0, 4)) == 0:
        many = draw(st.sampled_from((2000, 20_000)))
        layers = [
            {"class": "ReLU", "name": draw(st.sampled_from(("a", "relu", f"r{i}")))} for i in (1, 2)
        ]
        text = draw(
            st.sampled_from(
                (
                    nested(100_000),
                    nested(100_000, "{}"),
                    json.dumps({**config, "layers": many * layers[:1]}),
                    json.dumps({**config, "nodes": many * [[0, []]]}),
                    json.dumps(
                        {"class": "Sequential", "name": "s", "input": None, "layers": many * layers}
                    ),
                    "[" + "{}," * 300_000 + "{}]",
                )
            )
        )
    else:
        tree = json.loads(json.dumps(config))
        for _ in range(draw(st.integers(1, 4))):
            place, key = draw(st.sampled_from(_places(tree, [])))
            match draw(st.sampled_from(("value", "value", "drop", "extra", "class"))):
                case "value":
                    place[key] = json.loads(json.dumps(draw(leaves)))
                case "drop":
                    del place[key]
                case "extra" if isinstance(place, dict):
                    place[draw(st.sampled_from(EXTRA))] = json.loads(json.dumps(draw(leaves)))
                case "class" if isinstance(place, dict):
                    place["class"] = draw(st.sampled_from(sorted(LAYERS)))
            if not tree:
                break
        text = json.dumps(tree)
    held = dict(tensors)
    for name in draw(st.lists(st.sampled_from(sorted(held)), max_size=2)) if held else ():
        held[name] = draw(
            st.sampled_from((np.ones(3), np.ones((0, 2)), np.ones(6, dtype=np.int64)))
        )
    return packed(held, {"format": "arrayconv", "model": text})


def packed(tensors, metadata):
    """Return a safetensors file, without the checks of ours on what is written."""
    header, data = {"__metadata__": metadata}, b""
    kinds = {"f8": "F64", "f4": "F32", "i8": "I64"}
    for name, value in tensors.items():
        start, data = len(data), data + value.tobytes()
        header[name] = {
            "dtype": kinds[value.dtype.str[1:]],
            "shape": value.shape,
            "data_offsets": (start, len(data)),
        }
    return safetensors_file(header, data)


# --- h5

KINDS = (
    *("external", "virtual", "soft", "away", "loop", "hole", "long hole", "packed", "strings"),
    *("vlen", "pairs", "null", "scalar", "ints", "group", "nothing", "attribute", "deep", "refs"),
)


def spoil(draw, group, key, value, elsewhere):
    """Put something else at ``key``, where ``value`` should stand."""
    kind, shape = draw(st.sampled_from(KINDS)), value.shape
    secret, other = str(elsewhere / "secret"), str(elsewhere / "secret.h5")
    match kind:
        case "external":
            group.create_dataset(key, shape, "f4", external=[(secret, 0, max(1, 4 * value.size))])
        case "virtual":
            layout = h5py.VirtualLayout(shape or (1,), "f4")
            layout[...] = h5py.VirtualSource(other, "x", shape or (1,))
            group.create_virtual_dataset(key, layout)
        case "soft":
            group[key] = h5py.SoftLink(draw(st.sampled_from(("/layers", "/nowhere", ".", "/"))))
        case "away":
            group[key] = h5py.ExternalLink(other, "/x")
        case "loop":
            group[key] = group
        case "hole":
            group.create_dataset(key, (draw(st.sampled_from((*HUGE[:5], 10**6))), *shape[1:]), "f4")
        case "long hole":
            group.create_dataset(key, (*shape[:1], 10**9), "f4", chunks=(1, 10**8))
        case "packed":
            n = draw(st.sampled_from((10**6, 10**7)))
            group.create_dataset(key, (n,), "u1", chunks=(n,), compression="gzip")[...] = 0
        case "strings":
            texts = group.create_dataset(key, shape=(40,), dtype=h5py.string_dtype())
            texts[...] = "a" * draw(st.sampled_from((0, 9, 10**4)))
        case "vlen":
            group.create_dataset(key, shape or (1,), h5py.vlen_dtype(np.int8))
        case "pairs":
            group[key] = np.zeros(shape, "i4,f8")
        case "null":
            group[key] = h5py.Empty("f4")
        case "scalar":
            group[key] = 1.0
        case "ints":
            group[key] = np.ones(shape, draw(st.sampled_from(("i8", "u1", "?", ">u4"))))
        case "group":
            group.create_group(key)
        case "attribute":
            group[key] = value
            name = draw(st.sampled_from(("dtype", "name")))
            text = draw(st.sampled_from(("bfloat16", "x" * 9999, np.ones(5), h5py.Empty("f4"))))
            group[key].attrs[name] = text
            group.attrs[name] = text
        case "deep":
            inner = group.create_group(key)
            for _ in range(draw(st.sampled_from((3, 400)))):
                inner = inner.create_group("vars" if draw(st.integers(0, 50)) == 0 else "a")
            inner.create_group("vars")["0"] = value
        case "refs":
            group[key] = np.asarray([group.ref], dtype=h5py.ref_dtype)


@st.composite
def keras_h5(draw, whole, elsewhere):
    """A weights file of Keras some of whose arrays are something else."""
    with h5py.File(io.BytesIO(whole), "r+") as file:
        places = []
        file.visititems(lambda name, item: places.append(name))
        bad = draw(st.lists(st.sampled_from(sorted(places)), min_size=1, max_size=3, unique=True))
        # those below first, since what is put in the place of a group may lead elsewhere
        for name in sorted(bad, key=lambda name: -name.count("/")):
            above, _, key = name.rpartition("/")
            held = file[name]
            value = held[()] if isinstance(held, h5py.Dataset) else np.ones((2, 2))
            del file[name]
            spoil(draw, file[above] if above else file, key, value, elsewhere)
        file.flush()
        return Content(file.id.get_file_image())


@st.composite
def course_h5(draw, elsewhere):
    """A data set in the course's layout, some of which is something else."""
    buffer = io.BytesIO()
    rows, labels = np.zeros((6, 4, 4, 3), np.uint8), np.arange(6) % 2
    held = {
        "train_set_x": rows,
        "train_set_y": labels,
        "test_set_x": rows,
        "test_set_y": labels,
        "list_classes": np.asarray([b"a", b"b"]),
    }
    bad = draw(st.lists(st.sampled_from(sorted(held)), min_size=1, max_size=2, unique=True))
    with h5py.File(buffer, "w") as file:
        for key, value in held.items():
            if key not in bad:
                file[key] = value
            elif key.endswith("y") and draw(st.booleans()):
                kind = draw(st.sampled_from(("f8", "f4", "i8", "u8", "i1", "?")))
                strange = (np.inf, np.nan, 1e300, 2**64 - 1, 2**63, -1, 0.5, 10**9, 2**31, 1, 0)
                values = draw(st.lists(st.sampled_from(strange), min_size=6, max_size=6))
                with np.errstate(all="ignore"):
                    file[key] = np.asarray(values, dtype="f8").astype(kind)
            else:
                spoil(draw, file, key, value, elsewhere)
    return Content(buffer.getvalue())


# --- .keras


@functools.cache
def _archive(text, name, held, weights, method, many):
    content = {"whole": weights, "zeros": bytes(10**6), "bomb": bytes(10**8), "none": b""}[held]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("config.json", text)
        archive.writestr(name, content)
        for i in range(12_000 * many):
            archive.writestr(f"{i}", b"")
    return Content(buffer.getvalue())


@st.composite
def keras_archives(draw, weights, config):
    """A ``.keras`` archive that unpacks to more than it holds, climbs, or describes something else."""
    text = draw(
        st.sampled_from(
            (
                json.dumps(config),
                nested(100_000),
                json.dumps({"config": {"layers": [{"config": {"name": [1]}}]}}),
                json.dumps({"config": {"layers": [{"config": {"name": "a", "layers": 3}}]}}),
                '{"config":{"layers":[{"config":{"name":"x",' * 400,
                "null",
                "[" + "{}," * 300_000 + "{}]",
                " " * (3 * 10**6) + "{}",
            )
        )
    )
    held = draw(st.sampled_from(("whole", "zeros", "bomb", "none")))
    name = draw(st.sampled_from(("model.weights.h5",) * 3 + ("../model.weights.h5", "/etc/passwd")))
    method = draw(st.sampled_from((0, 8, 12, 14)) if held == "whole" else st.just(8))
    content = bytearray(_archive(text, name, held, weights, method, draw(st.integers(0, 3)) == 0))
    if draw(st.integers(0, 3)) == 0:
        # a directory that says less or more than there is
        at = content.rindex(b"PK\x01\x02") + draw(st.sampled_from((8, 10, 20, 24, 42)))
        content[at : at + 4] = struct.pack("<I", draw(st.sampled_from((0, 1, 10**9, 2**32 - 1))))
    return Content(content)

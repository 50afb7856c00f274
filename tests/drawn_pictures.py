"""Strategies that draw pictures, and folders of them, made by an enemy."""

import functools
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from drawn_files import Content, damaged
from hypothesis import strategies as st
from PIL import Image


def _chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(width, height, depth=8, color=2, data=b""):
    """Return a PNG file that says so, with these bytes for pixels."""
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    )


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(secret) run\nshowpage\n%%EOF\n"


def _saved(image, kind, **how):
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return Content(buffer.getvalue())


@functools.cache
def _blank(mode, side, kind, **how):
    return _saved(Image.new(mode, (side, side)), kind, **how)


@functools.cache
def pictures():
    """Return whole pictures of several formats by their suffix."""
    levels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image = Image.fromarray(levels)
    return {
        ".png": _saved(image, "PNG"),
        ".jpg": _saved(image, "JPEG"),
        ".jpeg": _saved(image, "JPEG", progressive=True),
        ".gif": _saved(image.convert("P"), "GIF"),
        ".tiff": _saved(image, "TIFF", compression="tiff_lzw"),
        ".tif": _saved(Image.fromarray(np.float32(levels[..., 0] / 255)), "TIFF"),
        ".bmp": _saved(image, "BMP"),
        ".webp": _saved(image, "WEBP"),
        ".ppm": _saved(image, "PPM"),
        ".tga": _saved(image, "TGA", compression="tga_rle"),
        ".jp2": _saved(image, "JPEG2000"),
    }


@st.composite
def strange_pictures(draw, whole):
    """A picture's suffix, and a content that is damaged, lies about its size, or is no picture."""
    suffix = draw(st.sampled_from(sorted(whole)))
    match draw(
        st.sampled_from(("damaged", "damaged", "size", "blank", "other", "program", "list"))
    ):
        case "damaged":
            return suffix, draw(damaged(whole[suffix]))
        case "size":
            width, height = (
                draw(st.sampled_from((0, 1, 2000, 7000, 30_000, 2**31 - 1))) for _ in "wh"
            )
            depth, color = draw(st.sampled_from(((1, 0), (8, 2), (16, 0), (16, 6), (3, 3))))
            return ".png", png(width, height, depth, color, zlib.compress(bytes(999)))
        case "blank":
            side = draw(st.sampled_from((2000, 3000, 7000)))
            mode = draw(st.sampled_from(("1", "L", "RGB", "I;16")))
            kind = {".gif": "GIF", ".tiff": "TIFF"}.get(suffix, "PNG") if mode != "I;16" else "PNG"
            how = {"compression": "tiff_deflate"} if kind == "TIFF" else {}
            return suffix, _blank(mode, side, kind, **how)
        case "other":
            return suffix, whole[draw(st.sampled_from(sorted(whole)))]
        case "program":
            return suffix, EPS
        case _:
            text = zlib.compress(b"a" * 10**7)
            held = png(2, 2, data=zlib.compress(bytes(14)))
            return ".png", Content(held[:33] + _chunk(b"zTXt", b"k\0\0" + text) * 9 + held[33:])


@st.composite
def folders(draw, whole, elsewhere):
    """What to put into a folder of images: by path a content, or a function that makes it there."""
    found = {f"{name}/{i}.png": whole[".png"] for name in "ab" for i in (0, 1)}
    outside = (
        elsewhere / "secret.png",
        elsewhere,
        Path("/dev/zero"),
        Path("/etc/passwd"),
        Path("a"),
    )
    for i in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(("a", "b", "c", ".hidden", "train", "a/deep")))
        match draw(st.sampled_from(("picture", "picture", "link", "pipe", "folder", "class"))):
            case "picture":
                suffix, content = draw(strange_pictures(whole))
                found[f"{name}/x{i}{suffix}"] = content
            case "link":
                target = draw(st.sampled_from((*outside, Path("../../elsewhere/secret.png"))))
                found[f"{name}/x{i}.png"] = lambda path, target=target: path.symlink_to(target)
            case "class":
                target = draw(st.sampled_from(outside))
                found[f"class{i}"] = lambda path, target=target: path.symlink_to(target)
            case "pipe":
                found[f"{name}/x{i}.png"] = os.mkfifo
            case "folder":
                found[f"{name}/x{i}.png"] = Path.mkdir
    return found

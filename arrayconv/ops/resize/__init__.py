"""Resizing: the grid of an image made finer or coarser."""

from __future__ import annotations

from arrayconv.ops.resize.interpolation import resize, resize_vjp

__all__ = ["resize", "resize_vjp"]

"""Keras 3 on JAX, in one dtype throughout: the reference of the layers and models."""

import os
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import pytest
from conftest import missing


@contextmanager
def keras_in(dtype):
    """Yield Keras with `dtype` as its default, or skip where it cannot be had."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    jax = pytest.importorskip("jax")
    with ExitStack() as stack:
        stack.enter_context(jax.enable_x64(dtype == "float64"))
        keras = pytest.importorskip("keras")
        if keras.backend.backend() != "jax":
            missing("Keras on JAX; it runs on another backend here")
        from keras.src.backend.common import dtypes

        # Off TensorFlow, Keras computes means, tanh and normalizations of float64 in float32.
        stack.enter_context(patch.dict(dtypes.BIT64_TO_BIT32_DTYPE, {"float64": dtype}))
        # Keras keeps the first policy that anybody asked for
        stack.callback(keras.config.set_dtype_policy, keras.config.dtype_policy())
        stack.callback(keras.config.set_floatx, keras.config.floatx())
        keras.config.set_floatx(dtype)
        keras.config.set_dtype_policy(dtype)
        yield keras

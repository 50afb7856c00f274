"""Keras's ``saving``: what reads and writes models, by the names that it has there."""

from arrayconv.models.build import load as load_model
from arrayconv.models.files.native import save as save_model

__all__ = ["load_model", "save_model"]

"""Names of Keras's module ``keras.models``: making, saving and loading models."""

from arrayconv.models.build import clone_model
from arrayconv.models.build import load as load_model
from arrayconv.models.files.native import save as save_model
from arrayconv.models.model import Model
from arrayconv.models.sequential import Sequential

__all__ = ["Model", "Sequential", "clone_model", "load_model", "save_model"]

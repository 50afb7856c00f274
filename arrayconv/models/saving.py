"""Names of Keras's module ``keras.saving``: saving and loading models."""

from arrayconv.models.build import load as load_model
from arrayconv.models.files.native import save as save_model

__all__ = ["load_model", "save_model"]

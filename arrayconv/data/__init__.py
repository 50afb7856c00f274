"""Batches of arrays, h5 files and folders of images, and data sets that come with installed packages."""

from arrayconv.data.batches import Batches
from arrayconv.data.datasets import NAMES, digits, fashion, load, mnist5k
from arrayconv.data.folder import open_folder
from arrayconv.data.h5 import open_h5
from arrayconv.data.labels import one_hot
from arrayconv.data.rows import DataError, DataSet, Rows

__all__ = [
    "NAMES",
    "Batches",
    "DataError",
    "DataSet",
    "Rows",
    "digits",
    "fashion",
    "load",
    "mnist5k",
    "one_hot",
    "open_folder",
    "open_h5",
]

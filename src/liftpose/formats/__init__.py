"""Readers and writers, one module per format: bytes on disk on one side, recordings on the other."""

from liftpose.formats.atomic import write_atomically, write_json, write_text
from liftpose.formats.cache import read_h36m_cached
from liftpose.formats.dataset_info import DatasetInfo, read_dataset_info, write_dataset_info
from liftpose.formats.h36m import find_dataset_files, read_h36m
from liftpose.formats.h36m_writer import write_h36m
from liftpose.formats.known_datasets import find_dataset_info, h36m_info, known_info
from liftpose.formats.npz import read_npz, write_npz, write_npz_objects
from liftpose.formats.predictions import Predictions, predictions_file_name, read_predictions, write_predictions

__all__ = [
    "DatasetInfo",
    "Predictions",
    "find_dataset_files",
    "find_dataset_info",
    "h36m_info",
    "known_info",
    "predictions_file_name",
    "read_dataset_info",
    "read_h36m",
    "read_h36m_cached",
    "read_npz",
    "read_predictions",
    "write_atomically",
    "write_dataset_info",
    "write_h36m",
    "write_json",
    "write_npz",
    "write_npz_objects",
    "write_predictions",
    "write_text",
]

"""Looking at a folder of data sets: what its files are, and what is wrong with them."""

from liftpose.formats.check.folder import FolderReport, check_folder

__all__ = ["FolderReport", "check_folder"]

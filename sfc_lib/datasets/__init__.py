"""The datasets: recipes that turn options and source files into codes and labels."""

from sfc_lib.datasets.base import Dataset, Split, load_dataset, make_recipe

__all__ = ["Dataset", "Split", "load_dataset", "make_recipe"]

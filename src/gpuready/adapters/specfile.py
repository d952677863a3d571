"""gpuready.yaml: read and checked with lines and columns, written anew with its evidence, described for editors."""

from gpuready.adapters.specfile_dump import dump
from gpuready.adapters.specfile_load import SpecError, check_names, load, load_file
from gpuready.adapters.specfile_schema import schema
from gpuready.adapters.specfile_write import write_new

__all__ = ["SpecError", "check_names", "dump", "load", "load_file", "schema", "write_new"]

"""A kept kernel whose types are gone is compiled anew instead of ending every start in an error."""

import pickle

from numba.core.caching import IndexDataCacheFile

import cases.compiler.kept  # noqa: F401  (mends numba's reading of its index)


def test_an_index_that_names_a_module_that_is_gone_is_empty(tmp_path):
    """Written as numba writes it: its version, then stamp and overloads, one of which is of a missing module."""
    file = IndexDataCacheFile(str(tmp_path), "kernel", "stamp")
    gone = b"cno_such_module\nNoSuchTuple\n."  # a global of a module that is not there, in pickle's first protocol
    with open(file._index_path, "wb") as index:
        pickle.dump(file._version, index, protocol=-1)
        index.write(gone)
    assert file._load_index() == {}

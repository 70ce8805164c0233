"""Where compiled kernels are kept: beside the sources or in the user's cache, until sources change.

numba looks for a change only in a kernel's own file, and would go on with old parts of another file after an update:
here all sources of kernels count, and the compiler's own. Where nothing can be written there, what was kept is read all
the same, and what is missing is kept in the user's own cache; a disk that takes nothing more costs the next start half
a minute, and this one nothing.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    InTreeCacheLocator,
    UserWideCacheLocator,
)

_COMPILER = Path(__file__).resolve().parent
_KERNEL = re.compile(rb"^@(compiled|_intrinsic)\b|^(from|import) (numba|llvmlite)\b", re.MULTILINE)
_NAMED_TUPLE = re.compile(rb"^class (\w+)\(NamedTuple\)", re.MULTILINE)


_load_index: Callable[[Any], dict[Any, Any]] = IndexDataCacheFile._load_index


def _readable_index(file: Any) -> dict[Any, Any]:
    """What numba has kept of a kernel; nothing where it names a type that is gone, so that it is compiled anew.

    numba's index holds the types of arguments, our named tuples among them, by the names of their modules. After one
    has been renamed, or where a kernel was once called with a tuple of somebody else's, it cannot be read any more,
    and numba would end in an error at every start.
    """
    try:
        return _load_index(file)
    except (ImportError, AttributeError, TypeError, EOFError):
        return {}


setattr(IndexDataCacheFile, "_load_index", _readable_index)  # noqa: B010  numba offers no other way

_save: Callable[[Any, Any, Any], None] = IndexDataCacheFile.save


def _saved_if_there_is_room(file: Any, key: Any, data: Any) -> None:
    """pandapower's kernels are kept if the disk takes them, as ours: they are compiled in any case."""
    with suppress(OSError):
        _save(file, key, data)


setattr(IndexDataCacheFile, "save", _saved_if_there_is_room)  # noqa: B010  likewise


def sources_of_kernels(folders: Iterable[Path]) -> dict[Path, bytes]:
    """Files with compiled functions, of what is taught to numba, and of the named tuples that these speak of, with
    their contents."""
    text = {path: path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.py"))}
    found = {path: code for path, code in text.items() if _KERNEL.search(code)}
    whole = b"\n".join(found.values())
    for path, code in text.items():
        if path not in found and any(name in whole for name in _NAMED_TUPLE.findall(code)):
            found[path] = code
    return found


def stamp_of(contents: Iterable[bytes]) -> str:
    """What sources are like now: what was compiled from others is out of date."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


class Sources:
    """The sources of some kernels, each of which is compiled anew where any of them has changed."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Args: folders: where they stand; the compiler's own is added."""
        self.folders = (_COMPILER, *(folder.resolve() for folder in folders))

    @cached_property
    def stamp(self) -> str:
        """What all of them are like now."""
        found = sources_of_kernels(self.folders)
        return stamp_of(content for _, content in sorted(found.items()))

    def stamp_of_kernel(self, file: Path) -> str:
        """What a kernel of this file depends on: all sources, and its own file where somebody else wrote it."""
        if any(file.is_relative_to(folder) for folder in self.folders):
            return self.stamp
        return stamp_of([self.stamp.encode(), file.read_bytes()])


class _UnwritableLocator(InTreeCacheLocator):
    """Beside the sources though nothing can be written there: the last resort, for who has no cache of their own."""

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Any:
        return cls(py_func, py_file)


class _KeptImpl(CompileResultCacheImpl):
    _locator_classes = [*CompileResultCacheImpl._locator_classes, _UnwritableLocator]  # noqa: RUF012  as numba has it


class Kept(FunctionCache):
    """What is kept of a kernel.

    numba alone passes over kernels beside the sources where it may not write: of an installation that others made,
    every user, and every container with a home of its own, would compile all of them anew.
    """

    _impl_class = _KeptImpl

    def __init__(self, function: Any, sources: Sources) -> None:
        cast(Any, super()).__init__(function)
        file, index_file = inspect.getfile(function), cast(Any, IndexDataCacheFile)
        base, stamp = self._impl.filename_base, sources.stamp_of_kernel(Path(file).resolve())
        self._cache_file = index_file(self._cache_path, base, stamp)
        beside = _UnwritableLocator.from_function(function, file).get_cache_path()
        self._beside: Any = None
        if isinstance(self._impl.locator, UserWideCacheLocator):
            self._beside = index_file(beside, base, stamp)

    def _load_overload(self, sig: Any, target_context: Any) -> Any:
        cache = cast(Any, super())
        found = cache._load_overload(sig, target_context)
        if found is None and self._beside is not None:
            with suppress(OSError):  # not even read
                data = self._beside.load(cache._index_key(sig, target_context.codegen()))
                found = None if data is None else self._impl.rebuild(target_context, data)
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keeps it where there is a place: the kernel is compiled in any case."""
        with suppress(OSError):
            cast(Any, super()).save_overload(sig, data)

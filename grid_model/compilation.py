"""How kernels are compiled, and how a user hears of it: once for a machine and a version of the sources.

numba keeps what it has compiled beside the sources. It looks for a change only in a kernel's own file, and would go on
with old parts of another file after an update: here all sources of kernels count. Where nothing can be written there,
what was kept is read all the same, and what is missing is kept in the user's own cache; a disk that takes nothing more
costs the next start a minute, and this one nothing.

What costs time at the first start is the number and the size of compiled functions. A kernel that others call would be
compiled twice, into their machine code and into its own: here the second happens only where Python calls it too. numba
would also optimise each part by itself, and once more within each function on the way to the kernel that Python calls:
here that kernel is optimised once, with all that it is made of (`kernel_compiler`). None gets the way in for C that
nobody takes. Division by zero gives infinity or NaN, as in numpy, instead of a check and an exception.
"""

from __future__ import annotations

import gc
import hashlib
import inspect
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numba.core import event
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    InTreeCacheLocator,
    UserWideCacheLocator,
)
from numba.core.registry import CPUDispatcher

from grid_model.kernel_compiler import KernelPipeline, PartPipeline

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

OWN_PACKAGES = ("grid_model.", "control.")
SECONDS_PER_KERNEL = 0.3  # of a processor of 2023
_ROOT = Path(__file__).resolve().parent.parent
_SOURCE_FOLDERS = ("cases", "grid_model", "control")
_KERNEL = re.compile(rb"^@(compiled|_intrinsic)\b", re.MULTILINE)
_NAMED_TUPLE = re.compile(rb"^class (\w+)\(NamedTuple\)", re.MULTILINE)
_OPTIONS = {"nopython": True, "boundscheck": None, "error_model": "numpy", "no_cfunc_wrapper": True}


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


def sources_of_kernels(folders: tuple[Path, ...]) -> dict[Path, bytes]:
    """Files with compiled functions, and those of the named tuples that these speak of, with their contents."""
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


@cache
def _stamp_of_kernels() -> str:
    sources = sources_of_kernels(tuple(_ROOT / name for name in _SOURCE_FOLDERS))
    return stamp_of(content for _, content in sorted(sources.items()))


def _stamp(file: Path) -> str:
    """All sources of kernels are a kernel's, and its own file where somebody else wrote it."""
    if any(file.is_relative_to(_ROOT / name) for name in _SOURCE_FOLDERS):
        return _stamp_of_kernels()
    return stamp_of([_stamp_of_kernels().encode(), file.read_bytes()])


class _UnwritableLocator(InTreeCacheLocator):
    """Beside the sources though nothing can be written there: the last resort, for who has no cache of their own."""

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Any:
        return cls(py_func, py_file)


class _KeptImpl(CompileResultCacheImpl):
    _locator_classes = [*CompileResultCacheImpl._locator_classes, _UnwritableLocator]  # noqa: RUF012  as numba has it


class _Kept(FunctionCache):
    """What is kept of a kernel.

    numba alone passes over kernels beside the sources where it may not write: of an installation that others made,
    every user, and every container with a home of its own, would compile all of them anew.
    """

    _impl_class = _KeptImpl

    def __init__(self, function: Any) -> None:
        cast(Any, super()).__init__(function)
        file, index_file = inspect.getfile(function), cast(Any, IndexDataCacheFile)
        base, stamp = self._impl.filename_base, _stamp(Path(file).resolve())
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


class _Part(CPUDispatcher):
    """A kernel inside other kernels: it ends up in their machine code and gets neither code of its own nor a file."""

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        super().__init__(function, targetoptions=options, pipeline_class=PartPipeline)
        compiler = vars(self)["_compiler"]
        self._compile_whole = compiler._compile_core
        compiler._customize_flags = self._without_entry
        compiler._compile_core = self._compile_part

    def add_overload(self, cres: Any) -> None:
        """Kept for the kernels that call this one; Python never does."""
        self.overloads[tuple(cres.signature.args)] = cres

    def _without_entry(self, flags: Any) -> Any:
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        return flags

    def _compile_part(self, args: Any, return_type: Any) -> Any:
        result = self._compile_whole(args, return_type)
        name = object()  # numba tells functions apart by their entry for Python
        context: Any = self.targetctx
        context.insert_user_function(name, result.fndesc, [result.library])
        return result._replace(entry_point=name)


class _Kernel(CPUDispatcher):
    """A kernel that Python calls; where other kernels call it, its part is compiled into them."""

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        super().__init__(function, targetoptions=options, pipeline_class=KernelPipeline)
        self.part = _Part(function, options)
        self._cache = _Kept(function)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """How a kernel that calls this one sees it."""
        return self.part.get_call_template(args, kws)

    def get_overload(self, signature: Any) -> Any:
        """What such a kernel links."""
        return self.part.get_overload(signature)


def compiled(function: Kernel) -> Kernel:
    """A kernel, called by Python or by other kernels.

    Args:
        function: its source.
    """
    return cast(Kernel, _Kernel(function, _OPTIONS))


class Announcement(event.Listener):
    """Tells of compilation when it begins: a bar at a terminal, else a line at the beginning and one at the end."""

    def __init__(self, packages: tuple[str, ...]) -> None:
        self.n_compiled = 0
        self._packages = packages
        self._began_s = 0.0
        self._bar: Any = None
        self._collects = True  # whether there was a collector at work before

    def on_start(self, event: Any) -> None:
        """The first kernel that was not kept from an earlier run."""
        if self._began_s or not _is_of(event, self._packages):
            return
        self._began_s = time.monotonic()
        n = len(kernels(self._packages))
        text = f"compiling up to {n} kernels, about {n * SECONDS_PER_KERNEL:.0f} s (once)"
        # A compiler makes the collector run all the time, over much that stays and little that goes.
        self._collects = gc.isenabled()
        gc.disable()
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=n, desc=text, leave=False, bar_format="{desc} |{bar}| {elapsed}")
        else:
            print(text, file=sys.stderr, flush=True)

    def on_end(self, event: Any) -> None:
        """One kernel more."""
        if _is_of(event, self._packages):
            self.n_compiled += 1
            if self._bar is not None:
                self._bar.update()

    def close(self) -> None:
        """The end, where anything was compiled."""
        if not self._began_s:
            return
        if self._collects:
            # To the old ones, which the collector looks at in its own time: looking at all at once takes a second.
            gc.freeze()
            gc.unfreeze()
            gc.enable()
        if self._bar is not None:
            self._bar.close()
        else:
            took_s = time.monotonic() - self._began_s
            print(f"compiled {self.n_compiled} kernels in {took_s:.0f} s", file=sys.stderr, flush=True)


@contextmanager
def announced(packages: tuple[str, ...] = OWN_PACKAGES) -> Iterator[Announcement]:
    """Whatever is compiled meanwhile is told of on stderr; where everything is kept from before, nothing is.

    Args:
        packages: whose kernels count, by the beginning of their modules' names.
    """
    told = Announcement(packages)
    with event.install_listener("numba:compile", told):
        try:
            yield told
        finally:
            told.close()


def kernels(packages: tuple[str, ...] = OWN_PACKAGES) -> set[Any]:
    """All kernels of the packages' modules imported so far."""
    return {
        found
        for name, module in list(sys.modules.items())
        if name.startswith(packages)
        for found in vars(module).values()
        if isinstance(found, CPUDispatcher)
    }


def _is_of(event: Any, packages: tuple[str, ...]) -> bool:
    # Functions that numba makes for its own types, such as constructors of structs, have no module.
    name: str | None = event.data["dispatcher"].py_func.__module__
    return name is not None and name.startswith(packages)

"""How the learner's kernels are compiled: as the grid's are, which the learner does not know.

numba keeps what it has compiled beside the sources, here until any source of kernels changes. What
costs time at the first start is the number and the size of compiled functions, so no kernel gets the way in for C that
nobody takes, and those that only other kernels call get none for Python either, nor machine code: they are optimised
once, as parts of the kernels that call them. Vectors are spelled out (`lanes`), so that nobody looks for more of them.
Division by zero gives infinity or NaN, as in numpy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import IndexDataCacheFile
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_machinery import PassManager
from numba.core.typed_passes import AnnotateTypes, InlineOverloads, NopythonRewrites
from numba.core.untyped_passes import (
    FindLiterallyCalls,
    InlineClosureLikes,
    InlineInlinables,
    LiteralPropagationSubPipelinePass,
    LiteralUnroll,
    MakeFunctionToJitFunction,
    WithLifting,
)

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_OPTIONS = {"error_model": "numpy", "no_cfunc_wrapper": True}
# numba's type information leaves out an option, and what goes on within numba.
_njit: Any = numba.njit
_CodeLibrary: Any = JITCodeLibrary
_IndexFile: Any = IndexDataCacheFile
_Compiler: Any = Compiler
_PassManager: Any = PassManager

# What kernels have none of: closures, literals to count with, expressions of whole arrays, and readers of annotations.
_LEFT_OUT = frozenset(
    (
        AnnotateTypes,
        FindLiterallyCalls,
        InlineClosureLikes,
        InlineInlinables,
        InlineOverloads,
        LiteralPropagationSubPipelinePass,
        LiteralUnroll,
        MakeFunctionToJitFunction,
        NopythonRewrites,
        WithLifting,
    )
)


class _Nowhere:
    """Where a part's machine code would be, of which there is none."""

    def set_env(self, name: str, environment: Any) -> None:
        """What a function that stands somewhere is told of its surroundings."""


class _PartLibrary(_CodeLibrary):  # type: ignore[misc]
    """Code of a part, as it was written down."""

    codegen: Any = _Nowhere()

    def add_llvm_module(self, module: Any) -> None:
        """One function's code."""
        module.data_layout = self._codegen._data_layout
        self._final_module.link_in(module)

    def finalize(self) -> None:
        """Nothing is added any more."""
        self._finalize_dynamic_globals()
        self._finalized = True

    def with_parts(self) -> Iterator[Any]:
        """Whatever it calls, and what that calls."""
        for library in self._linking_libraries:
            yield library
            if isinstance(library, _PartLibrary):
                yield from library.with_parts()


class _KernelLibrary(_PartLibrary):
    """Code of a kernel with all of its parts."""

    codegen: Any = property(lambda library: library._codegen)

    def finalize(self) -> None:
        """Brings the parts in, and makes machine code of all together."""
        for library in dict.fromkeys(self.with_parts()):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        manager, builder = self._codegen._module_pass_manager(loop_vectorize=False, slp_vectorize=False)
        manager.run(self._final_module, builder)
        self._finalize_final_module()


class _KernelPipeline(_Compiler):  # type: ignore[misc]
    """numba's compiler, with a library of our own."""

    library: type[_PartLibrary] = _KernelLibrary

    def compile_extra(self, function: Any) -> Any:
        """Compiles a function."""
        library = self.library(self.state.targetctx.codegen(), function.__qualname__)
        library.enable_object_caching()
        self.state.library = library
        return super().compile_extra(function)

    def define_pipelines(self) -> list[Any]:
        """numba's passes without those that look for what is not there."""
        (whole,) = super().define_pipelines()
        passes = _PassManager(whole.pipeline_name)
        for found, description in whole.passes:
            if found not in _LEFT_OUT:
                passes.add_pass(found, description)
        passes.finalize()
        return [passes]


class _PartPipeline(_KernelPipeline):
    library = _PartLibrary


@cache
def _stamp() -> str:
    """What the sources of the learner's kernels are like now."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def compiled(function: Kernel) -> Kernel:
    """A kernel, called by Python.

    Args:
        function: its source.
    """
    # Python may go on meanwhile: threads of an update work side by side.
    dispatcher = _njit(cache=True, nogil=True, pipeline_class=_KernelPipeline, **_OPTIONS)(function)
    kept = vars(dispatcher)["_cache"]
    # numba itself looks for a change in the file of this one function alone.
    kept._cache_file = _IndexFile(kept._cache_path, kept._impl.filename_base, _stamp())
    return cast(Kernel, dispatcher)


def compiled_part(function: Kernel) -> Kernel:
    """A part of kernels, called by them alone.

    Args:
        function: its source.
    """
    part: Kernel = _njit(pipeline_class=_PartPipeline, no_cpython_wrapper=True, **_OPTIONS)(function)
    return part

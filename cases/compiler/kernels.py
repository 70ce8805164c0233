"""What makes a Python function a kernel, called by Python or by other kernels.

What costs time at the first start is the number and the size of compiled functions. A kernel that others call would be
compiled twice, into their machine code and into its own: here the second happens only where Python calls it too. numba
would also optimise each part by itself, and once more within each function on the way to the kernel that Python calls:
here that kernel is optimised once, with all that it is made of (`pipeline`). None gets the way in for C that nobody
takes. Division by zero gives infinity or NaN, as in numpy, instead of a check and an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba.core import types
from numba.core.registry import CPUDispatcher

from cases.compiler.calls import call_of
from cases.compiler.kept import Kept, Sources
from cases.compiler.pipeline import KernelPipeline, PartPipeline

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_OPTIONS = {"nopython": True, "boundscheck": None, "error_model": "numpy", "no_cfunc_wrapper": True}


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
        call = call_of(result.fndesc, result.library)
        context._defns[name].append(call, call.signature)
        return result._replace(entry_point=name)


class _Kernel(CPUDispatcher):
    """A kernel that Python calls; where other kernels call it, its part is compiled into them."""

    def __init__(self, function: Any, options: dict[str, Any], sources: Sources) -> None:
        super().__init__(function, targetoptions=options, pipeline_class=KernelPipeline)
        self.part = _Part(function, options)
        self._cache = Kept(function, sources)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """How a kernel that calls this one sees it: one for all numbers that it may be called with."""
        return self.part.get_call_template(
            tuple(_any_number(kind) for kind in args), {name: _any_number(kind) for name, kind in kws.items()}
        )

    def get_overload(self, signature: Any) -> Any:
        """What such a kernel links."""
        return self.part.get_overload(signature)


def _any_number(kind: Any) -> Any:
    """numba would compile a part anew for every integer that stands in a call of it."""
    if isinstance(kind, types.IntegerLiteral) or type(kind) in (types.Tuple, types.UniTuple):
        return types.unliteral(kind)
    return kind


class Compiler:
    """Makes functions kernels."""

    def __init__(self, folders: Iterable[Path], *, nogil: bool = False) -> None:
        """Args:
        folders: where the sources of its kernels stand.
        nogil: whether other threads of Python go on while a kernel runs.
        """
        self.sources = Sources(folders)
        self._options = _OPTIONS | {"nogil": nogil}

    def __call__(self, function: Kernel) -> Kernel:
        """A kernel, called by Python or by other kernels.

        Args:
            function: its source.
        """
        return cast(Kernel, _Kernel(function, self._options, self.sources))

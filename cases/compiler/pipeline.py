"""numba's compiler without what the kernels of this project do not need.

A kernel is compiled with all of its parts and optimised once (`kernels`). What is left is numba's own work on each
of them, in Python, and most of that is done again and again for the same, or for nothing:

* what `a + b` or `a[i]` means for given types is asked hundreds of times, and many meanings are tried each time: here
  the answer is kept;
* what numba itself has written in Python (`np.zeros`, `min`, ..) is compiled anew for every set of options of a
  function that calls it, and even options that say nothing about it count: here all kernels have the same;
* passes look for closures, literals, generators and expressions of whole arrays, of which there are none, and lifetimes
  of all variables are found out after each: here only what is needed is done, and once;
* users of every array are counted up and down wherever it is handed on: here only in functions that make arrays or
  return some. Elsewhere who calls has them and keeps them;
* much is written down for LLVM that it takes out again (`lowering`), and calls above all (`calls`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llvmlite import binding as llvm
from numba.core import analysis, errors, ir, ir_utils, transforms, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, Flags
from numba.core.ssa import reconstruct_ssa
from numba.core.targetconfig import ConfigStack
from numba.core.typed_passes import (
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.typing.templates import signature as signature_of
from numba.core.untyped_passes import (
    FixupArgs,
    GenericRewrites,
    RewriteDynamicRaises,
    RewriteSemanticConstants,
    TranslateByteCode,
)

from cases.compiler.lowering import KernelLower, numbers_to_compare

_CodeLibrary: Any = JITCodeLibrary  # of its own workings numba gives no types
_Compiler: Any = Compiler
_Flags: Any = Flags
_NativeLowering: Any = NativeLowering
_BaseFunction: Any = types.functions.BaseFunction


class _PartLibrary(_CodeLibrary):
    """Code of a part, as it was written down: it is optimised with the kernels that it ends up in, and only there."""

    is_part = True

    def add_llvm_module(self, module: Any) -> None:
        """One function's code."""
        module.data_layout = self._codegen._data_layout
        self._final_module.link_in(module)

    def finalize(self) -> None:
        """Nothing is added any more."""
        self._raise_if_finalized()
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

    is_part = False

    def finalize(self) -> None:
        """Brings the parts in, and makes machine code of all together."""
        self._raise_if_finalized()
        for library in dict.fromkeys(self.with_parts()):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        # numba optimises twice, which helps it to count fewer users of arrays; these kernels count hardly any.
        # Where vectors matter they are spelled out: to look for more takes a sixth longer, and no step gets faster.
        manager, builder = self._codegen._module_pass_manager(loop_vectorize=False, slp_vectorize=False)
        manager.run(self._final_module, builder)
        self._final_module.verify()
        self._finalize_final_module()

    def serialize_using_object_code(self) -> Any:
        """What is kept: machine code, and the names that it defines; numba keeps what it was made from as well."""
        defined = [
            *(f'define void @"{found.name}"() {{ ret void }}' for found in self.get_defined_functions()),
            *(
                f'@"{found.name}" = global i8 0'
                for found in self._final_module.global_variables
                if not found.is_declaration
            ),
        ]
        return (
            self.name,
            "object",
            (self._get_compiled_object(), llvm.parse_assembly("\n".join(defined)).as_bitcode()),
        )


def _as_it_is(scheme: Any, message: str, *how: Any) -> str:
    """numba writes an error for every meaning that does not fit, throws it away, and takes long to colour it before."""
    return message


if hasattr(errors, "HighlightColorScheme"):  # colorama is there
    setattr(errors.HighlightColorScheme, "_markup", _as_it_is)  # noqa: B010  numba offers no other way


class _CommonFlags(_Flags):
    """Options that count where a kernel calls what numba has written in Python: the same for all kernels."""

    __slots__ = ()

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


_COMMON = _CommonFlags()
_COMMON.nrt = True
_COMMON.error_model = "numpy"


class _KernelFlags(_Flags):
    """A kernel's own options."""

    __slots__ = ()

    def copy(self) -> Any:
        """What the functions that it calls see of them."""
        return _COMMON


_resolve: Any = _BaseFunction.get_call_type


def _resolved(function: Any, context: Any, args: Any, kws: Any) -> Any:
    """Signature of a call of one of numba's own functions; within kernels each is found out once."""
    if kws or ConfigStack.top_or_none() is not _COMMON:
        return _resolve(function, context, args, kws)
    if numbers_to_compare(function, args):
        kinds = [types.unliteral(kind) for kind in args]
        return signature_of(context.unify_types(*kinds), *kinds)
    known = vars(function).setdefault("_of_kernels", {})
    if (context, args) not in known:
        signature = _resolve(function, context, args, kws)
        known[context, args] = signature, function._impl_keys[signature.args]
    signature, implementation = known[context, args]
    function._impl_keys[signature.args] = implementation
    return signature


setattr(_BaseFunction, "get_call_type", _resolved)  # noqa: B010  likewise


class _Passes:
    """What is done with a function, from its bytes to LLVM's."""

    pipeline_name = "kernel"

    def __init__(self) -> None:
        self.exec_times: dict[str, Any] = {}  # numba writes them down, and nobody reads them

    def run(self, state: Any) -> None:
        """Compiles a function."""
        TranslateByteCode().run_pass(state)
        FixupArgs().run_pass(state)
        state.func_ir.generator_info = None
        _tidy(state)
        RewriteSemanticConstants().run_pass(state)
        _prune(state)
        GenericRewrites().run_pass(state)
        RewriteDynamicRaises().run_pass(state)
        state.func_ir = reconstruct_ssa(state.func_ir)
        state.func_ir._definitions = ir_utils.build_definitions(state.func_ir.blocks)
        _prune(state)
        NopythonTypeInference().run_pass(state)
        state.func_ir = PreLowerStripPhis()._strip_phi_nodes(state.func_ir)
        if _makes_arrays(state):
            IRLegalization().run_pass(state)
        else:
            state.targetctx = state.targetctx.subtarget(enable_nrt=False)
            vars(state.targetctx).pop("nrt", None)  # what counted users before
        _KernelLowering().run_pass(state)
        NoPythonBackend().run_pass(state)


def _tidy(state: Any) -> None:
    state.func_ir.blocks = transforms.canonicalize_cfg(state.func_ir.blocks)


def _prune(state: Any) -> None:
    """Branches that are never taken, as an argument is None, need not make sense."""
    analysis.dead_branch_prune(state.func_ir, state.args)
    _tidy(state)


def _makes_arrays(state: Any) -> bool:
    """Whether a function makes an array, gets one from a function that it calls, or returns one.

    A view of an array that somebody else keeps is none of its own.
    """
    kinds, counted = state.typemap, _Counted(state.targetctx)
    if counted(state.return_type):
        return True
    for block in state.func_ir.blocks.values():
        for assignment in block.find_insts(ir.Assign):
            made = assignment.value
            if not (isinstance(made, ir.Expr) and counted(kinds[assignment.target.name])):
                continue
            if made.op == "call":
                if not isinstance(kinds[made.func.name], types.NamedTupleClass):
                    return True
            elif made.op in ("getitem", "static_getitem"):
                index = made.index if made.op == "getitem" else made.index_var
                if index is not None and counted(kinds[index.name]):  # by an array, which makes another one
                    return True
            elif made.op not in _BORROWING:
                return True
    return False


_BORROWING = frozenset(
    ("build_tuple", "cast", "exhaust_iter", "getattr", "getiter", "iternext", "null", "pair_first", "phi")
)


class _Counted:
    """Whether the users of a type's values are counted."""

    def __init__(self, context: Any) -> None:
        self._models = context.data_model_manager

    def __call__(self, kind: Any) -> bool:
        return bool(self._models[kind].contains_nrt_meminfo())


class _KernelLowering(_NativeLowering):
    """What has it written."""

    @property
    def lowering_class(self) -> type[KernelLower]:
        """By whom."""
        return KernelLower


class KernelPipeline(_Compiler):
    """The compiler of a kernel with its parts."""

    library: type[_PartLibrary] = _KernelLibrary

    def compile_extra(self, function: Any) -> Any:
        """Compiles a function."""
        library = self.library(self.state.targetctx.codegen(), function.__qualname__)
        library.enable_object_caching()
        self.state.library = library
        self.state.flags = _KernelFlags(self.state.flags)
        return super().compile_extra(function)

    def define_pipelines(self) -> list[Any]:
        """What it does."""
        return [_Passes()]


class PartPipeline(KernelPipeline):
    """The compiler of a part."""

    library = _PartLibrary

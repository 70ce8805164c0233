"""How a kernel is written down for LLVM: as numba does, without what LLVM would have to take out again.

A kernel starts at once when little is written, read and optimised:

* a variable that is set once, before all of its uses, is the value itself, wherever it is used; numba gives a place in
  memory to all but those of a single block. Others get a place that holds nothing before it is written;
* an array's number, shape or size is read by what is needed of all that is known of the array, and nothing is taken
  apart that was just put together;
* a loop over a range counts in one variable, and its count is no index from the end;
* the least and the greatest of some numbers are found where they are asked for.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

from llvmlite import ir as llvm
from numba.core import analysis, cgutils, ir, types
from numba.core.lowering import Lower
from numba.cpython.builtins import do_minmax
from numba.np.arrayobj import fix_integer_index, load_item, store_item

from cases.compiler.calls import PartCallConv, declared, note_whether_it_fails

_Lower: Any = Lower  # of its own workings numba gives no types
_compute_use_defs: Any = analysis.compute_use_defs
_compute_cfg: Any = analysis.compute_cfg_from_blocks
_must_use_alloca: Any = analysis.must_use_alloca
_do_minmax: Any = do_minmax

# Where numba has what it knows of an array, of a range, and of a range on its way.
_, _, _N_ITEMS, _, _DATA, _SHAPE, _STRIDES = range(7)
_NEXT, _STOP, _STEP, _ = range(4)
# Expressions that are not done with a range on its way, or only ask it for the next number.
_READ_NO_RANGE = frozenset(
    (
        "binop",
        "inplace_binop",
        "getattr",
        "getitem",
        "getiter",
        "iternext",
        "pair_first",
        "pair_second",
        "static_getitem",
    )
)
_EXTREMES = {min: operator.lt, max: operator.gt}


def numbers_to_compare(function: Any, kinds: Any) -> bool:
    """Whether a call of a function with arguments of these types is the least or the greatest of some numbers."""
    key = getattr(function, "typing_key", None)
    return key in (min, max) and len(kinds) > 1 and all(isinstance(kind, types.Number) for kind in kinds)


def _part(builder: Any, whole: Any, position: int) -> Any:
    """A part of a struct; one that was just put in is at hand."""
    made = whole
    while isinstance(made, llvm.instructions.InsertValue):
        into, put = made.operands
        if made.indices[0] == position:
            if len(made.indices) == 1:
                return put
            break
        made = into
    return builder.extract_value(whole, position)


def _parts(builder: Any, whole: Any, position: int, count: int) -> list[Any]:
    """The numbers of a struct's part, such as an array's shape."""
    found: dict[int, Any] = {}
    made = whole
    while isinstance(made, llvm.instructions.InsertValue) and len(found) < count:
        into, put = made.operands
        if made.indices[0] == position:
            if len(made.indices) == 1:
                return [found.get(k) or _part(builder, put, k) for k in range(count)]
            found.setdefault(made.indices[1], put)
        made = into
    if len(found) == count:
        return [found[k] for k in range(count)]
    return [builder.extract_value(whole, (position, k)) for k in range(count)]


class KernelLower(_Lower):
    """Writes a function down for LLVM."""

    @property
    def call_conv(self) -> Any:
        """How it is called."""
        return PartCallConv(self.context) if self.library.is_part else self.context.call_conv

    def setup_function(self, description: Any) -> None:
        """Begins a function."""
        if not self.library.is_part:
            super().setup_function(description)
            return
        self.function = declared(self.context, self.module, description)
        self.entry_block = self.function.append_basic_block("entry")
        self.builder = llvm.IRBuilder(self.entry_block)
        self.call_helper = self.call_conv.init_call_helper(self.builder)

    def lower_normal_function(self, description: Any) -> None:
        """Writes down a function."""
        super().lower_normal_function(description)
        if self.library.is_part:
            note_whether_it_fails(description, self.function)

    def _find_singly_assigned_variable(self) -> None:
        """Which variables need no place in memory: they are set once, before all uses, in blocks written earlier."""
        blocks = self.func_ir.blocks
        n_set: dict[str, int] = {}
        where: dict[str, int] = {}
        needed: dict[int, set[str]] = {
            label: set(names) for label, names in _compute_use_defs(blocks).usemap.items()
        }
        for label, block in blocks.items():
            for statement in block.body:
                if isinstance(statement, ir.Assign):
                    name = statement.target.name
                    n_set[name] = n_set.get(name, 0) + 1
                    where[name] = label
                elif isinstance(statement, ir.Del) and where.get(statement.value) != label:
                    needed[label].add(statement.value)
        before = _compute_cfg(blocks).dominators()
        in_memory = _must_use_alloca(blocks)
        for label, names in needed.items():
            for name in names:
                at = where.get(name)
                # Those that count as users of an array are let go of at more than one place, and forget it at the
                # first.
                if at is None or not (at < label and at in before[label]) or self._counts_users(name):
                    in_memory.add(name)
        self._values = self._singly_assigned_vars = {
            name for name, count in n_set.items() if count == 1 and name not in in_memory
        }
        self._blk_local_varmap: dict[str, Any] = {}
        self._counts_simply = self._ranges_are_only_counted(n_set)

    def _counts_users(self, name: str) -> bool:
        if not self.context.enable_nrt:
            return False
        return bool(self.context.data_model_manager[self.typeof(name)].contains_nrt_meminfo())

    def _ranges_are_only_counted(self, set_there: Iterable[str]) -> bool:
        """Whether all that is done with ranges on their way is to ask for the next number."""
        kinds = self.fndesc.typemap
        ways = {name for name in set_there if kinds[name] == types.range_iter64_type}
        if not ways <= self._values:
            return False
        for block in self.func_ir.blocks.values() if ways else ():
            for statement in block.body:
                value: Any = statement.value if isinstance(statement, ir.Assign) else statement
                if isinstance(value, ir.Var | ir.Const | ir.Global | ir.FreeVar | ir.Arg | ir.Del | ir.Jump):
                    continue
                if isinstance(value, ir.Expr) and value.op in _READ_NO_RANGE:
                    continue
                if not ways.isdisjoint(variable.name for variable in value.list_vars()):
                    return False
        return True

    def alloca_lltype(self, name: str, lltype: Any, datamodel: Any = None) -> Any:
        """A place for a variable; only where users of arrays are counted it has to be empty at first."""
        if self.context.enable_nrt:
            return super().alloca_lltype(name, lltype, datamodel)
        return self._room(lltype, name)

    def _room(self, kind: Any, name: str = "") -> Any:
        with self.builder.goto_entry_block():
            return self.builder.alloca(kind, name=name)

    def storevar(self, value: Any, name: str, argidx: Any = None) -> None:
        """Sets a variable; nobody needs to know what it was where no users of arrays are counted."""
        if self.context.enable_nrt or name in self._values:
            super().storevar(value, name, argidx)
            return
        self._alloca_var(name, self.typeof(name))
        self.builder.store(value, self.getvar(name))

    def lower_expr(self, kind: Any, expression: Any) -> Any:
        """An expression; an array's shape and size are read where they stand."""
        op = expression.op
        if op == "getattr" and expression.attr in ("shape", "size"):
            name = expression.value.name
            of = self.typeof(name)
            if isinstance(of, types.Array) and of.ndim > 0:
                if expression.attr == "size":
                    return self._known_of(name, _N_ITEMS)
                return cgutils.pack_array(self.builder, self._all_known_of(name, _SHAPE))
        elif op == "static_getitem" and isinstance(self.typeof(expression.value.name), types.Array):
            if expression.index_var is not None:
                signature = self.fndesc.calltypes[expression]
                return self.lower_getitem(kind, expression, expression.value, expression.index_var, signature)
        elif op == "static_getitem" and isinstance(self.typeof(expression.value.name), types.UniTuple):
            of = self.typeof(expression.value.name)
            if isinstance(expression.index, int) and not self.context.enable_nrt:
                index = expression.index % of.count if -of.count <= expression.index < of.count else None
                if index is not None:
                    number = _part(self.builder, self.loadvar(expression.value.name), index)
                    return self.context.cast(self.builder, number, of.dtype, kind)
        elif op == "call":
            found = self._simple_call(kind, expression)
            if found is not None:
                return found
        elif op in ("getiter", "iternext") and self._counts_simply:
            step = self._begin_count if op == "getiter" else self._count
            found = step(self.loadvar(expression.value.name), self.typeof(expression.value.name))
            if found is not None:
                return found
        elif op in ("pair_first", "pair_second") and not self.context.enable_nrt:
            return _part(self.builder, self.loadvar(expression.value.name), int(op == "pair_second"))
        return super().lower_expr(kind, expression)

    def lower_inst(self, statement: Any) -> Any:
        """A statement; a number of an array is set the same way whether its index is known or not."""
        if isinstance(statement, ir.StaticSetItem) and isinstance(
            self.typeof(statement.target.name), types.Array
        ):
            signature = self.fndesc.calltypes[statement]
            return self.lower_setitem(statement.target, statement.index_var, statement.value, signature)
        return super().lower_inst(statement)

    def _simple_call(self, kind: Any, call: Any) -> Any:
        """A range, or the least or greatest of some numbers; None for any other call."""
        if call.kws or call.vararg is not None:
            return None
        signature, function = self.fndesc.calltypes[call], self.typeof(call.func.name)
        given = [self.typeof(argument.name) for argument in call.args]
        context, builder = self.context, self.builder
        if numbers_to_compare(function, given):
            values = [self.loadvar(argument.name) for argument in call.args]
            plain = [types.unliteral(of) for of in given]
            values = [context.cast(builder, *value) for value in zip(values, given, plain, strict=True)]
            found = _do_minmax(context, builder, plain, values, _EXTREMES[function.typing_key])
            return context.cast(builder, found, signature.return_type, kind)
        if signature.return_type != types.range_state64_type or kind != types.range_state64_type:
            return None
        if getattr(function, "typing_key", None) is not range:
            return None
        ends = [
            context.cast(builder, self.loadvar(argument.name), self.typeof(argument.name), types.int64)
            for argument in call.args
        ]
        number = llvm.IntType(64)
        if len(ends) == 1:
            ends.insert(0, number(0))
        if len(ends) == 2:
            ends.append(number(1))
        return cgutils.pack_struct(builder, ends)

    def _begin_count(self, state: Any, of: Any) -> Any:
        """A range on its way, if it is known to count up; None for anything else."""
        if of != types.range_state64_type:
            return None
        builder = self.builder
        start, stop, step = (_part(builder, state, k) for k in range(3))
        if not (isinstance(step, llvm.Constant) and step.constant > 0):
            return None
        place = self._room(start.type)
        builder.store(start, place)
        place.counts_up_from_zero = isinstance(start, llvm.Constant) and start.constant >= 0
        way = self.context.get_value_type(types.range_iter64_type)(None)
        for at, value in ((_NEXT, place), (_STOP, stop), (_STEP, step)):
            way = builder.insert_value(way, value, at)
        return way

    def _count(self, way: Any, of: Any) -> Any:
        """The next number of such a range, and whether there is one; None for anything else."""
        if of != types.range_iter64_type:
            return None
        builder = self.builder
        place, stop, step = (_part(builder, way, k) for k in (_NEXT, _STOP, _STEP))
        if not hasattr(place, "counts_up_from_zero"):
            return None
        number = builder.load(place)
        number.is_count = place.counts_up_from_zero
        there_is = builder.icmp_signed("<", number, stop)
        builder.store(builder.add(number, step, flags=["nsw"]), place)
        return cgutils.pack_struct(builder, [number, there_is])

    def lower_getitem(self, kind: Any, expression: Any, array: Any, index: Any, signature: Any) -> Any:
        """A number of an array, or anything else within something."""
        place = self._place(array.name, index.name)
        if place is None:
            return super().lower_getitem(kind, expression, array, index, signature)
        of = self.typeof(array.name)
        number = load_item(self.context, self.builder, of, place)
        number = self.context.cast(self.builder, number, of.dtype, signature.return_type)
        return self.context.cast(self.builder, number, signature.return_type, kind)

    def lower_setitem(self, array: Any, index: Any, value: Any, signature: Any) -> Any:
        """The same the other way."""
        place = self._place(array.name, index.name)
        if place is None:
            return super().lower_setitem(array, index, value, signature)
        of, given = self.typeof(array.name), signature.args[2]
        number = self.context.cast(self.builder, self.loadvar(value.name), self.typeof(value.name), given)
        number = self.context.cast(self.builder, number, given, of.dtype)
        return store_item(self.context, self.builder, of, number, place)

    def _known_of(self, name: str, field: int) -> Any:
        """One of the things that are known of an array."""
        if name in self._blk_local_varmap:
            return _part(self.builder, self.loadvar(name), field)
        return self.builder.load(cgutils.gep_inbounds(self.builder, self.getvar(name), 0, field))

    def _all_known_of(self, name: str, field: int) -> list[Any]:
        """Its shape or strides."""
        n_axis = self.typeof(name).ndim
        if name in self._blk_local_varmap:
            return _parts(self.builder, self.loadvar(name), field, n_axis)
        return cgutils.unpack_tuple(self.builder, self._known_of(name, field), n_axis)

    def _place(self, name: str, index_name: str) -> Any:
        """Where a number of an array is; None if not one is asked for."""
        array, index = self.typeof(name), self.typeof(index_name)
        several = isinstance(index, types.BaseTuple)
        kinds = index.types if several else (index,)
        if not (
            isinstance(array, types.Array)
            and isinstance(array.dtype, types.Number | types.Boolean)
            and len(kinds) == array.ndim
            and all(isinstance(kind, types.Integer) for kind in kinds)
        ):
            return None
        context, builder = self.context, self.builder
        value = self.loadvar(index_name)
        given = [_part(builder, value, k) for k in range(len(kinds))] if several else [value]
        shape = self._all_known_of(name, _SHAPE)
        strides = None if array.layout in "CF" else self._all_known_of(name, _STRIDES)
        indices = [
            at if _is_count(at) else fix_integer_index(context, builder, kind, at, size)
            for kind, at, size in zip(kinds, given, shape, strict=True)
        ]
        data = self._known_of(name, _DATA)
        return cgutils.get_item_pointer2(context, builder, data, shape, strides, array.layout, indices)


def _is_count(index: Any) -> bool:
    """Whether an index is known to count from the beginning."""
    if isinstance(index, llvm.Constant):
        return index.type == llvm.IntType(64) and index.constant >= 0
    return getattr(index, "is_count", False)

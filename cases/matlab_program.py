"""Carries out a MATPOWER case file: it is a program, and what it computes is the case.

Understood is the MATLAB that case files are written in: matrices and cells, fields, ranges and `end`, entries,
rows and columns read, written, appended and taken out, arithmetic, the functions of `matlab_functions`, and
MATPOWER's names of columns. Each statement is carried out as it is read, in order, with no loops, branches or
calls of other files. Anything else is refused with its line, because a statement read past is a wrong grid.

The package `matpowercaseframes` 2.1.1 does not serve: it searches the text by regular expressions, as this
project did before. Tried on eleven small files it read rightly the six that hold nothing but literal matrices;
of the five with an appended row, a block comment, joined lines, a second assignment or a statement on a whole
matrix it read none, and said so of none.

Source: MathWorks, MATLAB Programming Fundamentals, "Operator Precedence"; MATPOWER User's Manual 7.1, app. B.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np

from cases.arrays import CaseDataError
from cases.matlab_functions import COLUMN_NAMES, CONSTANTS, FUNCTIONS, call
from cases.matlab_matrix import (
    Colon,
    Index,
    Matrix,
    Work,
    colon_range,
    concatenate,
    delete,
    operate,
    pick,
    place,
    scalar,
    transpose,
)
from cases.matlab_tokens import MatlabSyntaxError, Token, Unsupported, tokenize

MAX_NESTING = 30  # brackets within brackets; each costs about ten frames of Python's stack
MAX_FIELDS = 8  # a.b.c...

_KEYWORDS = frozenset(
    ("if", "else", "elseif", "for", "parfor", "while", "switch", "case", "otherwise", "try", "catch", "break")
    + ("continue", "global", "persistent", "classdef", "function")
)
# From the loosest to the tightest binding; a sign, a power and a transpose bind tighter still.
_LEVELS = ("||", "&&", "|", "&", "== ~= < <= > >=", ":", "+ -", "* / \\ .* ./ .\\")
_LEVEL_OF = {operator: level for level, operators in enumerate(_LEVELS) for operator in operators.split()}
_RANGE_LEVEL = _LEVEL_OF[":"]
# What a case of MATPOWER's first version returned, in order.
_VERSION_1_OUTPUTS = ("baseMVA", "bus", "gen", "branch", "areas", "gencost")


class Cell:
    """A cell array: names and the like, which no table of a grid needs."""


Value: TypeAlias = "Matrix | str | Cell | dict[str, Value]"
Struct: TypeAlias = dict[str, "Value"]


def run_case_file(file: str, text: str) -> Struct:
    """Carry out a case file and give the fields of the case it returns.

    Args:
        file: name of the file, for messages.
        text: what stands in it.

    Returns:
        Value by field: baseMVA, bus, gen, branch and whatever else the file sets. Numbers and matrices are
        two-dimensional arrays.

    Raises:
        CaseDataError: something in the file is not understood; the message says in which line, and what to do.
    """
    line = 1
    try:
        program = _Program(tokenize(text))
        try:
            return program.run()
        finally:
            line = program.line
    except Unsupported as error:
        at = error.line if isinstance(error, MatlabSyntaxError) else line
        raise CaseDataError(
            f"{file}, line {at}: {error} is not carried out here, expected matrices and plain arithmetic. "
            "Correct the line, or load the case in MATPOWER, write it out with savecase and open that file."
        ) from None


class _Program:
    """Reads the tokens once from first to last and keeps the values of the variables."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = [*tokens, tokens[-1]]  # one may look a token ahead, also at the end
        self._at = 0
        self._variables: Struct = {}
        self._work = Work()
        self._in_matrix = False  # blanks separate entries
        self._nesting = 0
        self._ends: list[
            tuple[Matrix, int, int]
        ] = []  # matrix, argument and number of arguments of open indices
        self.line = 1

    def run(self) -> Struct:
        """Carry out all statements."""
        outputs = self._header()
        while self._peek().kind != "end":
            if self._peek().kind == "newline" or self._is(";", ","):
                self._next()
            elif self._peek().text == "return" and self._peek().kind == "name":
                self._next()
                break
            elif self._peek().text == "end" and self._peek().kind == "name":
                self._next()
                self._require_nothing_more()
            else:
                self._statement()
        return self._result(outputs)

    def _result(self, outputs: list[str]) -> Struct:
        """The case among the variables."""
        if len(outputs) > 1:
            named = zip(_VERSION_1_OUTPUTS, outputs, strict=False)
            return {field: self._variables[name] for field, name in named if name in self._variables}
        case = self._variables.get(outputs[0]) if outputs else None
        if not isinstance(case, dict):
            raise Unsupported("a file that returns no case (expected function mpc = name, and fields of mpc)")
        return case

    # Tokens

    def _peek(self, ahead: int = 0) -> Token:
        return self._tokens[self._at + ahead]

    def _next(self) -> Token:
        token = self._peek()
        self.line = token.line
        self._at += token.kind != "end"
        return token

    def _is(self, *texts: str) -> bool:
        """The next token is one of these operators."""
        token = self._peek()
        return token.kind == "op" and token.text in texts

    def _take(self, *texts: str) -> bool:
        """Take one of these operators if it comes next."""
        if self._is(*texts):
            self._next()
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._unexpected(f" where {text} belongs")

    def _name(self) -> str:
        token = self._peek()
        if token.kind != "name" or token.text in _KEYWORDS:
            raise self._unexpected(" where a name belongs")
        return self._next().text

    def _unexpected(self, where: str = "") -> Unsupported:
        """What stands next, as an error."""
        token = self._next()
        text = "the end of the line" if token.kind == "newline" else token.text[:40]
        return Unsupported(f"{text}{where}")

    def _ends_statement(self) -> bool:
        return self._peek().kind in ("newline", "end") or self._is(";", ",")

    def _require_nothing_more(self) -> None:
        """After the end of the function the file ends; a further function would be called by nothing here."""
        while self._peek().kind == "newline" or self._is(";", ","):
            self._next()
        if self._peek().kind != "end":
            raise self._unexpected(" after the end of the function")

    # Statements

    def _header(self) -> list[str]:
        """function mpc = name, or of the first version function [baseMVA, bus, ...] = name; names of the outputs."""
        while self._peek().kind == "newline":
            self._next()
        if not (self._peek().kind == "name" and self._peek().text == "function"):
            return ["mpc"]
        self._next()
        outputs = self._output_names() if self._is("[") else [self._name()]
        if not self._take("="):
            return []
        self._name()
        if self._take("("):
            while not self._take(")"):
                self._name()
                self._take(",")
        if not self._ends_statement():
            raise self._unexpected(" after the head of the function")
        return outputs

    def _output_names(self) -> list[str]:
        """[a, b, ~]"""
        self._expect("[")
        names = []
        while not self._take("]"):
            names.append("~" if self._take("~") else self._name())
            self._take(",")
        return names

    def _statement(self) -> None:
        token = self._peek()
        if token.kind == "name" and token.text in _KEYWORDS:
            self._next()
            raise Unsupported(f"the statement {token.text}")
        if self._is("["):
            self._name_columns()
        elif token.kind == "name" and token.text == "define_constants":
            self._next()
            for names in COLUMN_NAMES.values():
                self._variables.update((name, scalar(float(column))) for name, column in names.items())
        else:
            self._assign()
        if not self._ends_statement():
            raise self._unexpected(" after a statement")

    def _name_columns(self) -> None:
        """[PQ, PV, REF] = idx_bus;"""
        names = self._output_names()
        if not self._take("="):
            raise Unsupported("a statement that assigns nothing")
        function = self._name()
        if function not in COLUMN_NAMES:
            raise Unsupported(f"several values from {function[:40]}")
        if self._take("("):
            self._expect(")")
        columns = list(COLUMN_NAMES[function].values())
        if len(names) > len(columns):
            raise Unsupported(f"{len(names)} values from {function}, which has {len(columns)}")
        for name, column in zip(names, columns, strict=False):
            if name != "~":
                self._require_free(name)
                self._variables[name] = scalar(float(column))

    def _assign(self) -> None:
        """a = ..., a.b = ..., a.b(i, j) = ..., a.b(i, :) = []"""
        path = [self._name()]
        while self._take("."):
            path.append(self._name())
        shown = ".".join(path)[:40]
        if not self._is("=", "("):
            if self._ends_statement():
                raise Unsupported(f"{shown}, which assigns nothing,")
            raise self._unexpected(f" after {shown}")
        if self._is("(") and self._tokens[self._arguments(self._at + 1)[1] + 1].text != "=":
            raise Unsupported(f"{shown}(...), which assigns nothing,")
        self._require_free(path[0])
        if len(path) > MAX_FIELDS:
            raise Unsupported(f"{shown}..., a field within {len(path) - 1} others,")
        holder = self._variables
        for name in path[:-1]:
            inner = holder.setdefault(name, {})
            if not isinstance(inner, dict):
                raise Unsupported(f"a field of {name[:40]}, which has none,")
            holder = inner
        if not self._is("("):
            self._expect("=")
            value = self._expression()
            if isinstance(value, dict):
                raise Unsupported("a copy of a whole structure")
            holder[path[-1]] = value
            return
        before = holder.get(path[-1], np.zeros((0, 0)))
        if not isinstance(before, np.ndarray):
            raise Unsupported(f"an entry written into {shown}, which is no matrix,")
        index = self._index(before)
        self._expect("=")
        if self._is("[") and self._peek(1).text == "]":
            self._next()
            self._next()
            if not self._ends_statement():
                raise self._unexpected(" after []")
            holder[path[-1]] = delete(before, index)
        else:
            holder[path[-1]] = place(before, index, self._matrix(), self._work)

    def _require_free(self, name: str) -> None:
        """A name that means something here cannot be given another meaning."""
        if name in FUNCTIONS or name in CONSTANTS or name in COLUMN_NAMES or name in ("end", "return"):
            raise Unsupported(f"a variable with the name of the function {name}")

    # Expressions

    def _expression(self) -> Value:
        return self._binary(0)

    def _matrix(self) -> Matrix:
        """An expression that has to be a matrix."""
        return _require_matrix(self._expression())

    def _binary(self, loosest: int) -> Value:
        """Operators of this level and of all that bind tighter; those of one level from left to right."""
        left = self._signed()
        while True:
            token = self._peek()
            level = _LEVEL_OF.get(token.text, -1) if token.kind == "op" else -1
            if level < loosest or self._begins_entry():
                return left
            if level == _RANGE_LEVEL:
                left = self._range(left)
                continue
            self._next()
            right = self._binary(level + 1)
            left = operate(token.text, _require_matrix(left), _require_matrix(right), self._work)

    def _begins_entry(self) -> bool:
        """In [a -b] the sign belongs to a second entry, in [a - b] and [a-b] it subtracts."""
        token = self._peek()
        return self._in_matrix and token.text in "+-" and token.spaced and not self._peek(1).spaced

    def _range(self, first: Value) -> Matrix:
        """first:last or first:step:last"""
        self._next()
        middle = _require_matrix(self._binary(_RANGE_LEVEL + 1))
        if not self._take(":"):
            return colon_range(_require_matrix(first), scalar(1.0), middle)
        last = _require_matrix(self._binary(_RANGE_LEVEL + 1))
        return colon_range(_require_matrix(first), middle, last)

    def _signs(self) -> list[str]:
        signs = []
        while self._is("+", "-", "~"):
            signs.append(self._next().text)
        return signs

    def _signed(self) -> Value:
        """-a^2 is -(a^2)."""
        signs = self._signs()
        value = self._transposed()
        while self._is("^", ".^"):
            operator = self._next().text
            inner = self._signs()
            exponent = self._apply_signs(inner, self._transposed())
            value = operate(operator, _require_matrix(value), _require_matrix(exponent), self._work)
        return self._apply_signs(signs, value)

    def _apply_signs(self, signs: list[str], value: Value) -> Value:
        for sign in reversed(signs):
            matrix = _require_matrix(value)
            if sign == "~":
                value = operate("==", matrix, scalar(0.0), self._work)
                if np.isnan(matrix).any():
                    raise Unsupported("NaN taken as true or false")
            else:
                value = operate(".*", matrix, scalar(-1.0 if sign == "-" else 1.0), self._work)
        return value

    def _transposed(self) -> Value:
        value = self._primary()
        while self._is("'", ".'"):
            self._next()
            matrix = _require_matrix(value)
            self._work.spend(matrix.size)
            value = transpose(matrix)
        return value

    def _primary(self) -> Value:
        token = self._peek()
        if token.kind == "number":
            self._next()
            return scalar(float(token.text.replace("d", "e").replace("D", "e")))
        if token.kind == "string":
            self._next()
            return token.text
        if self._is("("):
            self._next()
            with self._nested(in_matrix=False):
                value = self._expression()
                self._expect(")")
            return value
        if self._is("["):
            return self._brackets()
        if self._is("{"):
            self._next()
            self._rows("}")
            return Cell()
        if token.kind == "name" and token.text not in _KEYWORDS:
            return self._named()
        raise self._unexpected(" where a value belongs")

    @contextmanager
    def _nested(self, in_matrix: bool) -> Iterator[None]:
        """Inside of a bracket."""
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise Unsupported(f"more than {MAX_NESTING} brackets within each other")
        outside, self._in_matrix = self._in_matrix, in_matrix
        yield
        self._in_matrix = outside
        self._nesting -= 1

    def _brackets(self) -> Value:
        """[a b; c d]"""
        self._next()
        rows, lines = self._rows("]")
        if len(rows) == 1 and len(rows[0]) == 1 and isinstance(rows[0][0], str):
            return rows[0][0]
        matrices = [[_require_matrix(entry) for entry in row] for row in rows]
        widths = [sum(entry.shape[1] for entry in row) for row in matrices]
        expected = next((width for width in widths if width), 0)
        for width, line in zip(widths, lines, strict=True):
            if width not in (0, expected):
                self.line = line
                raise Unsupported(f"a row of {width} entries after rows of {expected}")
        return concatenate(matrices, self._work)

    def _rows(self, closing: str) -> tuple[list[list[Value]], list[int]]:
        """Entries of [ ] or { } by row, and the line of each row."""
        rows: list[list[Value]] = []
        lines: list[int] = []
        row: list[Value] = []
        separated = True
        with self._nested(in_matrix=True):
            while not self._take(closing):
                token = self._peek()
                if token.kind == "newline" or self._is(";"):
                    self._next()
                    row, separated = [], True
                    continue
                if self._is(","):
                    if not row or separated:
                        raise self._unexpected(" without an entry before it")
                    self._next()
                    separated = True
                    continue
                if not (separated or token.spaced):
                    raise self._unexpected(" after an entry without a blank or comma between")
                if not row:
                    rows.append(row)
                    lines.append(token.line)
                if token.row is not None:
                    self._next()
                    row.append(token.row[None, :])
                else:
                    row.append(self._expression())
                separated = False
        return rows, lines

    def _named(self) -> Value:
        """A variable with fields and index, a function, a constant, or the end of an index."""
        name = self._next().text
        if name == "end":
            if not self._ends:
                raise Unsupported("end outside of an index")
            matrix, argument, arguments = self._ends[-1]
            return scalar(float(matrix.size if arguments == 1 else matrix.shape[argument]))
        if name not in self._variables:
            return self._known(name)
        value = self._variables[name]
        while self._is(".") and not self._apart():
            self._next()
            field = self._name()
            name += "." + field
            if not isinstance(value, dict) or field not in value:
                raise Unsupported(f"{name[:40]}, which nothing above has set,")
            value = value[field]
        if self._is("{"):
            if not self._apart():
                raise Unsupported(f"an entry of the cells {name[:40]}")
            return value
        if self._is("(") and not self._apart():
            matrix = _require_matrix(value)
            return pick(matrix, self._index(matrix), self._work)
        return value

    def _known(self, name: str) -> Matrix:
        """Value of a function or constant."""
        if name in COLUMN_NAMES:
            if self._is("("):
                raise Unsupported(f"{name} with an argument")
            return scalar(float(next(iter(COLUMN_NAMES[name].values()))))
        called = self._is("(") and not self._apart()
        if name in CONSTANTS:
            if called:
                raise Unsupported(f"{name} with an argument")
            return CONSTANTS[name]
        if name not in FUNCTIONS:
            what = "the function" if called else "the name"
            raise Unsupported(f"{what} {name[:40]}, which nothing above has set,")
        arguments: list[Matrix] = []
        if called:
            self._next()
            with self._nested(in_matrix=False):
                while not self._take(")"):
                    if arguments:
                        self._expect(",")
                    arguments.append(self._matrix())
        return call(name, arguments, self._work)

    def _apart(self) -> bool:
        """Within brackets a blank before ( or . begins another entry."""
        return self._in_matrix and self._peek().spaced

    def _index(self, matrix: Matrix) -> list[Index]:
        """(i), (i, j), with : and end."""
        self._next()
        arguments, _ = self._arguments(self._at)
        if arguments > 2:
            raise Unsupported(f"an index of {arguments} parts")
        index: list[Index] = []
        with self._nested(in_matrix=False):
            for argument in range(arguments):
                if argument:
                    self._expect(",")
                if self._is(":") and self._peek(1).kind == "op" and self._peek(1).text in ",)":
                    self._next()
                    index.append(Colon())
                    continue
                self._ends.append((matrix, argument, arguments))
                index.append(self._matrix())
                self._ends.pop()
            self._expect(")")
        return index

    def _arguments(self, at: int) -> tuple[int, int]:
        """Number of arguments from here to the bracket that closes, which the tokenizer saw, and its place."""
        depth, count = 0, 1
        while True:
            token = self._tokens[at]
            if token.kind == "op":
                if token.text in "([{":
                    depth += 1
                elif token.text in ")]}":
                    if depth == 0:
                        return count, at
                    depth -= 1
                elif token.text == "," and depth == 0:
                    count += 1
            at += 1


def _require_matrix(value: Value) -> Matrix:
    """A value to reckon with."""
    if isinstance(value, np.ndarray):
        return value
    kind = {str: "a text", Cell: "a cell array"}.get(type(value), "a whole structure")
    raise Unsupported(f"{kind} where a number or matrix belongs")

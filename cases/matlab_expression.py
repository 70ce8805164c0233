"""Reads and evaluates the expressions of a case file, token by token, as `matlab_program` reaches them.

There is no syntax tree between reading and evaluating: a file has no loops, so each value is computed once, where
it stands, and a chain of a thousand operators needs no deep stack.

Source: MathWorks, MATLAB Programming Fundamentals, "Operator Precedence".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np

from cases.matlab_functions import COLUMN_NAMES, CONSTANTS, FUNCTIONS, call
from cases.matlab_matrix import (
    Colon,
    Index,
    Matrix,
    Work,
    colon_range,
    concatenate,
    operate,
    pick,
    scalar,
    transpose,
)
from cases.matlab_reader import KEYWORDS, TokenReader
from cases.matlab_tokens import Token, Unsupported

MAX_NESTING = 30  # brackets within brackets; each costs about ten frames of Python's stack

# From the loosest to the tightest binding; a sign, a power and a transpose bind tighter still.
_LEVELS = ("||", "&&", "|", "&", "== ~= < <= > >=", ":", "+ -", "* / \\ .* ./ .\\")
_LEVEL_OF = {operator: level for level, operators in enumerate(_LEVELS) for operator in operators.split()}
_RANGE_LEVEL = _LEVEL_OF[":"]


class Cell:
    """A cell array: names and the like, which no table of a grid needs."""


Value: TypeAlias = "Matrix | str | Cell | dict[str, Value]"
Struct: TypeAlias = dict[str, "Value"]


class ExpressionReader(TokenReader):
    """Values of the expressions of a file, and those of the variables so far."""

    def __init__(self, tokens: list[Token]) -> None:
        super().__init__(tokens)
        self.variables: Struct = {}
        self.work = Work()
        self._in_matrix = False  # blanks separate entries
        self._nesting = 0
        self._ends: list[
            tuple[Matrix, int, int]
        ] = []  # matrix, argument and number of arguments of open indices

    def expression(self) -> Value:
        """Read the expression that starts here and compute its value.

        Raises:
            Unsupported: it is no expression of MATLAB, or asks for more than this reader computes.
        """
        return self._binary(0)

    def matrix(self) -> Matrix:
        """An expression that has to be a matrix."""
        return require_matrix(self.expression())

    def _binary(self, loosest: int) -> Value:
        """Operators of this level and of all that bind tighter; those of one level from left to right."""
        left = self._signed()
        while True:
            token = self.peek()
            level = _LEVEL_OF.get(token.text, -1) if token.kind == "op" else -1
            if level < loosest or self._begins_entry():
                return left
            if level == _RANGE_LEVEL:
                left = self._range(left)
                continue
            self.next()
            right = self._binary(level + 1)
            left = operate(token.text, require_matrix(left), require_matrix(right), self.work)

    def _begins_entry(self) -> bool:
        """In [a -b] the sign belongs to a second entry, in [a - b] and [a-b] it subtracts."""
        token = self.peek()
        return self._in_matrix and token.text in "+-" and token.spaced and not self.peek(1).spaced

    def _range(self, first: Value) -> Matrix:
        """first:last or first:step:last"""
        self.next()
        middle = require_matrix(self._binary(_RANGE_LEVEL + 1))
        if not self.take(":"):
            return colon_range(require_matrix(first), scalar(1.0), middle)
        last = require_matrix(self._binary(_RANGE_LEVEL + 1))
        return colon_range(require_matrix(first), middle, last)

    def _signs(self) -> list[str]:
        signs = []
        while self.comes("+", "-", "~"):
            signs.append(self.next().text)
        return signs

    def _signed(self) -> Value:
        """-a^2 is -(a^2)."""
        signs = self._signs()
        value = self._transposed()
        while self.comes("^", ".^"):
            operator = self.next().text
            inner = self._signs()
            exponent = self._apply_signs(inner, self._transposed())
            value = operate(operator, require_matrix(value), require_matrix(exponent), self.work)
        return self._apply_signs(signs, value)

    def _apply_signs(self, signs: list[str], value: Value) -> Value:
        for sign in reversed(signs):
            matrix = require_matrix(value)
            if sign == "~":
                value = operate("==", matrix, scalar(0.0), self.work)
                if np.isnan(matrix).any():
                    raise Unsupported("NaN taken as true or false")
            else:
                value = operate(".*", matrix, scalar(-1.0 if sign == "-" else 1.0), self.work)
        return value

    def _transposed(self) -> Value:
        value = self._primary()
        while self.comes("'", ".'"):
            self.next()
            matrix = require_matrix(value)
            self.work.spend(matrix.size)
            value = transpose(matrix)
        return value

    def _primary(self) -> Value:
        token = self.peek()
        if token.kind == "number":
            self.next()
            return scalar(float(token.text.replace("d", "e").replace("D", "e")))
        if token.kind == "string":
            self.next()
            return token.text
        if self.comes("("):
            self.next()
            with self._nested(in_matrix=False):
                value = self.expression()
                self.expect(")")
            return value
        if self.comes("["):
            return self._brackets()
        if self.comes("{"):
            self.next()
            self._rows("}")
            return Cell()
        if token.kind == "name" and token.text not in KEYWORDS:
            return self._named()
        raise self.unexpected(" where a value belongs")

    @contextmanager
    def _nested(self, in_matrix: bool) -> Iterator[None]:
        """Inside of a bracket.

        Raises:
            Unsupported: brackets are nested deeper than MAX_NESTING.
        """
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise Unsupported(f"more than {MAX_NESTING} brackets within each other")
        outside, self._in_matrix = self._in_matrix, in_matrix
        yield
        self._in_matrix = outside
        self._nesting -= 1

    def _brackets(self) -> Value:
        """A matrix between brackets, [a b; c d], or a text alone between them.

        Raises:
            Unsupported: an entry is no matrix, or the rows differ in length.
        """
        self.next()
        rows, lines = self._rows("]")
        if len(rows) == 1 and len(rows[0]) == 1 and isinstance(rows[0][0], str):
            return rows[0][0]
        matrices = [[require_matrix(entry) for entry in row] for row in rows]
        widths = [sum(entry.shape[1] for entry in row) for row in matrices]
        expected = next((width for width in widths if width), 0)
        for width, line in zip(widths, lines, strict=True):
            if width not in (0, expected):
                self.line = line
                raise Unsupported(f"a row of {width} entries after rows of {expected}")
        return concatenate(matrices, self.work)

    def _rows(self, closing: str) -> tuple[list[list[Value]], list[int]]:
        """Entries of [ ] or { } by row, and the line of each row."""
        rows: list[list[Value]] = []
        lines: list[int] = []
        row: list[Value] = []
        separated = True
        with self._nested(in_matrix=True):
            while not self.take(closing):
                token = self.peek()
                if token.kind == "newline" or self.comes(";"):
                    self.next()
                    row, separated = [], True
                    continue
                if self.comes(","):
                    if not row or separated:
                        raise self.unexpected(" without an entry before it")
                    self.next()
                    separated = True
                    continue
                if not (separated or token.spaced):
                    raise self.unexpected(" after an entry without a blank or comma between")
                if not row:
                    rows.append(row)
                    lines.append(token.line)
                if token.row is not None:
                    self.next()
                    row.append(token.row[None, :])
                else:
                    row.append(self.expression())
                separated = False
        return rows, lines

    def _named(self) -> Value:
        """A variable with fields and index, a function, a constant, or the end of an index.

        Raises:
            Unsupported: the name, a field or `end` means nothing here.
        """
        name = self.next().text
        if name == "end":
            if not self._ends:
                raise Unsupported("end outside of an index")
            matrix, argument, arguments = self._ends[-1]
            return scalar(float(matrix.size if arguments == 1 else matrix.shape[argument]))
        if name not in self.variables:
            return self._known(name)
        value = self.variables[name]
        while self.comes(".") and not self._apart():
            self.next()
            field = self.name()
            name += "." + field
            if not isinstance(value, dict) or field not in value:
                raise Unsupported(f"{name[:40]}, which nothing above has set,")
            value = value[field]
        if self.comes("{"):
            if not self._apart():
                raise Unsupported(f"an entry of the cells {name[:40]}")
            return value
        if self.comes("(") and not self._apart():
            matrix = require_matrix(value)
            return pick(matrix, self.index(matrix), self.work)
        return value

    def _known(self, name: str) -> Matrix:
        """Value of a function or constant.

        Raises:
            Unsupported: no such function or constant is known, or a constant is given an argument.
        """
        if name in COLUMN_NAMES:
            if self.comes("("):
                raise Unsupported(f"{name} with an argument")
            return scalar(float(next(iter(COLUMN_NAMES[name].values()))))
        called = self.comes("(") and not self._apart()
        if name in CONSTANTS:
            if called:
                raise Unsupported(f"{name} with an argument")
            return CONSTANTS[name]
        if name not in FUNCTIONS:
            what = "the function" if called else "the name"
            raise Unsupported(f"{what} {name[:40]}, which nothing above has set,")
        arguments: list[Matrix] = []
        if called:
            self.next()
            with self._nested(in_matrix=False):
                while not self.take(")"):
                    if arguments:
                        self.expect(",")
                    arguments.append(self.matrix())
        return call(name, arguments, self.work)

    def _apart(self) -> bool:
        """Within brackets a blank before ( or . begins another entry."""
        return self._in_matrix and self.peek().spaced

    def index(self, matrix: Matrix) -> list[Index]:
        """An index in parentheses, (i) or (i, j), where a part may be : or hold end.

        Raises:
            Unsupported: it has more than two parts.
        """
        self.next()
        arguments, _ = self.arguments(self.at)
        if arguments > 2:
            raise Unsupported(f"an index of {arguments} parts")
        index: list[Index] = []
        with self._nested(in_matrix=False):
            for argument in range(arguments):
                if argument:
                    self.expect(",")
                if self.comes(":") and self.peek(1).kind == "op" and self.peek(1).text in ",)":
                    self.next()
                    index.append(Colon())
                    continue
                self._ends.append((matrix, argument, arguments))
                index.append(self.matrix())
                self._ends.pop()
            self.expect(")")
        return index

    def arguments(self, at: int) -> tuple[int, int]:
        """Number of arguments from here to the bracket that closes, which the tokenizer saw, and its place."""
        depth, count = 0, 1
        while True:
            token = self.tokens[at]
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


def require_matrix(value: Value) -> Matrix:
    """The value, if it is a matrix or number that can be computed with.

    Raises:
        Unsupported: it is a text, a cell array or a structure.
    """
    if isinstance(value, np.ndarray):
        return value
    kind = {str: "a text", Cell: "a cell array"}.get(type(value), "a whole structure")
    raise Unsupported(f"{kind} where a number or matrix belongs")

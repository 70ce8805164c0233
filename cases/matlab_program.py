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

import numpy as np

from cases.arrays import CaseDataError
from cases.matlab_expression import ExpressionReader, Struct
from cases.matlab_functions import COLUMN_NAMES, CONSTANTS, FUNCTIONS
from cases.matlab_matrix import delete, place, scalar
from cases.matlab_reader import KEYWORDS
from cases.matlab_tokens import MatlabSyntaxError, Unsupported, tokenize

MAX_FIELDS = 8  # a.b.c...

# What a case of MATPOWER's first version returned, in order.
_VERSION_1_OUTPUTS = ("baseMVA", "bus", "gen", "branch", "areas", "gencost")


def run_case_file(file: str, text: str) -> Struct:
    """Carry out a case file and give the fields of the case it returns.

    Args:
        file: name of the file, for messages.
        text: its contents.

    Returns:
        Value by field: baseMVA, bus, gen, branch and whatever else the file sets. Numbers and matrices are
        two-dimensional arrays.

    Raises:
        CaseDataError: something in the file is not understood; the message says in which line, and what to do.
    """
    line = 1
    try:
        read = ExpressionReader(tokenize(text))
        try:
            return _Program(read).run()
        finally:
            line = read.line
    except Unsupported as error:
        at = error.line if isinstance(error, MatlabSyntaxError) else line
        raise CaseDataError(
            f"{file}, line {at}: {error} is not carried out here, expected matrices and plain arithmetic. "
            "Correct the line, or load the case in MATPOWER, write it out with savecase and open that file."
        ) from None


class _Program:
    """Carries out the statements, in order."""

    def __init__(self, read: ExpressionReader) -> None:
        self._read = read

    def run(self) -> Struct:
        """Carry out all statements."""
        outputs = self._header()
        while self._read.peek().kind != "end":
            if self._read.peek().kind == "newline" or self._read.comes(";", ","):
                self._read.next()
            elif self._read.peek().text == "return" and self._read.peek().kind == "name":
                self._read.next()
                break
            elif self._read.peek().text == "end" and self._read.peek().kind == "name":
                self._read.next()
                self._require_nothing_more()
            else:
                self._statement()
        return self._result(outputs)

    def _result(self, outputs: list[str]) -> Struct:
        """The case among the variables.

        Raises:
            Unsupported: the file returns no case.
        """
        if len(outputs) > 1:
            named = zip(_VERSION_1_OUTPUTS, outputs, strict=False)
            return {
                field: self._read.variables[name] for field, name in named if name in self._read.variables
            }
        case = self._read.variables.get(outputs[0]) if outputs else None
        if not isinstance(case, dict):
            raise Unsupported("a file that returns no case (expected function mpc = name, and fields of mpc)")
        return case

    def _require_nothing_more(self) -> None:
        """After the end of the function the file ends; a further function would be called by nothing here."""
        while self._read.peek().kind == "newline" or self._read.comes(";", ","):
            self._read.next()
        if self._read.peek().kind != "end":
            raise self._read.unexpected(" after the end of the function")

    def _header(self) -> list[str]:
        """function mpc = name, or of the first version function [baseMVA, bus, ...] = name; names of the outputs."""
        while self._read.peek().kind == "newline":
            self._read.next()
        if not (self._read.peek().kind == "name" and self._read.peek().text == "function"):
            return ["mpc"]
        self._read.next()
        outputs = self._output_names() if self._read.comes("[") else [self._read.name()]
        if not self._read.take("="):
            return []
        self._read.name()
        if self._read.take("("):
            while not self._read.take(")"):
                self._read.name()
                self._read.take(",")
        if not self._read.ends_statement():
            raise self._read.unexpected(" after the head of the function")
        return outputs

    def _output_names(self) -> list[str]:
        """[a, b, ~]"""
        self._read.expect("[")
        names = []
        while not self._read.take("]"):
            names.append("~" if self._read.take("~") else self._read.name())
            self._read.take(",")
        return names

    def _statement(self) -> None:
        token = self._read.peek()
        if token.kind == "name" and token.text in KEYWORDS:
            self._read.next()
            raise Unsupported(f"the statement {token.text}")
        if self._read.comes("["):
            self._name_columns()
        elif token.kind == "name" and token.text == "define_constants":
            self._read.next()
            for names in COLUMN_NAMES.values():
                self._read.variables.update((name, scalar(float(column))) for name, column in names.items())
        else:
            self._assign()
        if not self._read.ends_statement():
            raise self._read.unexpected(" after a statement")

    def _name_columns(self) -> None:
        """A statement such as [PQ, PV, REF] = idx_bus; that names columns of MATPOWER's matrices.

        Raises:
            Unsupported: another function is called, or it has fewer values than names are given.
        """
        names = self._output_names()
        if not self._read.take("="):
            raise Unsupported("a statement that assigns nothing")
        function = self._read.name()
        if function not in COLUMN_NAMES:
            raise Unsupported(f"several values from {function[:40]}")
        if self._read.take("("):
            self._read.expect(")")
        columns = list(COLUMN_NAMES[function].values())
        if len(names) > len(columns):
            raise Unsupported(f"{len(names)} values from {function}, which has {len(columns)}")
        for name, column in zip(names, columns, strict=False):
            if name != "~":
                self._require_free(name)
                self._read.variables[name] = scalar(float(column))

    def _assign(self) -> None:
        """An assignment: a = ..., a.b = ..., a.b(i, j) = ..., or a.b(i, :) = [], which deletes rows.

        Raises:
            Unsupported: nothing is assigned, or to a place that cannot hold it.
        """
        path = [self._read.name()]
        while self._read.take("."):
            path.append(self._read.name())
        shown = ".".join(path)[:40]
        if not self._read.comes("=", "("):
            if self._read.ends_statement():
                raise Unsupported(f"{shown}, which assigns nothing,")
            raise self._read.unexpected(f" after {shown}")
        if (
            self._read.comes("(")
            and self._read.tokens[self._read.arguments(self._read.at + 1)[1] + 1].text != "="
        ):
            raise Unsupported(f"{shown}(...), which assigns nothing,")
        self._require_free(path[0])
        if len(path) > MAX_FIELDS:
            raise Unsupported(f"{shown}..., a field within {len(path) - 1} others,")
        holder = self._read.variables
        for name in path[:-1]:
            inner = holder.setdefault(name, {})
            if not isinstance(inner, dict):
                raise Unsupported(f"a field of {name[:40]}, which has none,")
            holder = inner
        if not self._read.comes("("):
            self._read.expect("=")
            value = self._read.expression()
            if isinstance(value, dict):
                raise Unsupported("a copy of a whole structure")
            holder[path[-1]] = value
            return
        before = holder.get(path[-1], np.zeros((0, 0)))
        if not isinstance(before, np.ndarray):
            raise Unsupported(f"an entry written into {shown}, which is no matrix,")
        index = self._read.index(before)
        self._read.expect("=")
        if self._read.comes("[") and self._read.peek(1).text == "]":
            self._read.next()
            self._read.next()
            if not self._read.ends_statement():
                raise self._read.unexpected(" after []")
            holder[path[-1]] = delete(before, index)
        else:
            holder[path[-1]] = place(before, index, self._read.matrix(), self._read.work)

    def _require_free(self, name: str) -> None:
        """Refuse to assign to a name that means a function or constant.

        Raises:
            Unsupported: it does.
        """
        if name in FUNCTIONS or name in CONSTANTS or name in COLUMN_NAMES or name in ("end", "return"):
            raise Unsupported(f"a variable with the name of the function {name}")

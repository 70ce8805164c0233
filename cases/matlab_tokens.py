"""Text of a MATLAB file -> tokens, for `matlab_program`.

Three things of the language depend on what stands around them and are settled here: a quote opens a string or
transposes what stands before it; `%{` and `%}` alone on their lines comment out what is between; `...` joins
two lines. Inside brackets a line end separates rows and a blank separates entries, so every token says whether a
blank stood before it. A row of plain numbers, which is nearly all of a large case file, is one token.

Source: MathWorks, MATLAB Programming Fundamentals, "Special Characters" and "Add Comments to Code".
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from cases.arrays import FloatArray

# A file of 80,000 buses has 40 MB and, with its rows as one token each, fewer than a million tokens.
MAX_TOKENS = 2_000_000

_NUMBER = r"(?:\d+(?:\.(?![.*/\\^'])\d*)?|\.\d+)(?:[eEdD][+-]?\d+)?"
_ENTRY = rf"[+-]?(?:{_NUMBER}|Inf|NaN|inf|nan)"
# Possessive, so that a line which is no row of numbers is given up at once.
_ROW = re.compile(
    rf"[ \t]*+({_ENTRY}(?:(?:[ \t]*+,[ \t]*+|[ \t]++){_ENTRY})*+)[ \t]*+,?+[ \t]*+(?=[;\n%\]]|\Z)"
)
_TOKEN = re.compile(
    rf"""(?P<blank>[ \t]+)
    |(?P<join>\.\.\.[^\n]*(?:\n|\Z))
    |(?P<number>{_NUMBER})
    |(?P<name>[A-Za-z]\w*)
    |(?P<newline>\n)
    |(?P<op>\.[*/\\^']|==|~=|<=|>=|&&|\|\||[-+*/\\^=<>&|~()\[\]{{}},;:.])
    """,
    re.VERBOSE | re.ASCII,
)
# 1i, 0x1F, 1.2.3; but 1..., 1.*a and 1.' are a number and what follows.
_AFTER_NO_NUMBER = re.compile(r"\w|\.(?!\.\.|[*/\\^'])")
_BLOCK = re.compile(r"^[ \t]*%([{}])[ \t]*$", re.MULTILINE)
_STRING = {"'": re.compile(r"'((?:[^'\n]|'')*+)'"), '"': re.compile(r'"((?:[^"\n]|"")*+)"')}
_CLOSES = {")": "(", "]": "[", "}": "{"}


class Unsupported(Exception):
    """The file asks for something that cannot be carried out; the caller, who knows file and line, adds them."""


class Token(NamedTuple):
    """A piece of the text; kind is name, number, string, row, op, newline or end."""

    kind: str
    text: str
    line: int
    spaced: bool  # a blank or a joined line stands before it
    row: FloatArray | None = None  # numbers of a row


class MatlabSyntaxError(Unsupported):
    """A character or a bracket that the language does not have there."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def tokenize(text: str) -> list[Token]:
    """Split a file into tokens; the last one is of kind end.

    Raises:
        MatlabSyntaxError: with the line, at what is no token, an open string, comment or bracket, or too many tokens.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    tokens: list[Token] = []
    open_brackets: list[Token] = []
    at, line, spaced = 0, 1, False
    while at < len(text):
        if len(tokens) > MAX_TOKENS:
            raise MatlabSyntaxError(line, f"more than {MAX_TOKENS:,} tokens, expected a case file")
        last = tokens[-1] if tokens else None
        inside = open_brackets[-1].text if open_brackets else ""
        if inside == "[" and last is not None and _begins_row(last):
            row = _ROW.match(text, at)
            if row is not None:
                tokens.append(Token("row", row[1], line, spaced, _numbers(row[1])))
                at, spaced = row.end(), False
                continue
        char = text[at]
        if char == "%":
            end, lines = _end_of_comment(text, at, line)
            at, line = end, line + lines
            continue
        if char == '"' or (char == "'" and not _transposes(last, apart=spaced and inside in ("[", "{"))):
            found = _STRING[char].match(text, at)
            if found is None:
                raise MatlabSyntaxError(line, f"a string without its closing {char}")
            tokens.append(Token("string", found[1].replace(char * 2, char), line, spaced))
            at, spaced = found.end(), False
            continue
        if char == "'":
            tokens.append(Token("op", "'", line, spaced))
            at, spaced = at + 1, False
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            raise MatlabSyntaxError(line, f"the character {char!r}")
        kind, piece = str(match.lastgroup), match[0]
        at = match.end()
        if kind == "blank":
            spaced = True
            continue
        if kind == "join":
            line, spaced = line + 1, True
            continue
        if kind == "number" and _AFTER_NO_NUMBER.match(text, at):
            raise MatlabSyntaxError(line, f"{piece + text[at]}, no number,")
        token = Token(kind, piece, line, spaced)
        _count_brackets(token, open_brackets)
        tokens.append(token)
        spaced = False
        line += kind == "newline"
    if open_brackets:
        raise MatlabSyntaxError(open_brackets[-1].line, f"{open_brackets[-1].text} that is never closed")
    tokens.append(Token("newline", "\n", line, False))
    tokens.append(Token("end", "the end of the file", line, False))
    return tokens


def _numbers(text: str) -> FloatArray:
    """Entries of a row of numbers; MATLAB also writes an exponent with d."""
    if "d" in text or "D" in text:
        text = text.replace("d", "e").replace("D", "e")
    return np.array([float(entry) for entry in text.replace(",", " ").split()])


def _begins_row(last: Token) -> bool:
    """Within [ ] a row begins after the bracket, a semicolon or a line end."""
    return last.kind == "newline" or (last.kind == "op" and last.text in "[;")


def _transposes(last: Token | None, *, apart: bool) -> bool:
    """A quote transposes what ends just before it; after a blank within brackets it opens a string."""
    if last is None or apart:
        return False
    return last.kind in ("name", "number", "string") or last.text in (")", "]", "}", "'", ".'")


def _count_brackets(token: Token, open_brackets: list[Token]) -> None:
    """Open and close brackets in pairs, and refuse a line end inside of parentheses.

    Raises:
        MatlabSyntaxError: a bracket closes none, or the line ends inside of parentheses.
    """
    if token.kind == "newline" and open_brackets and open_brackets[-1].text == "(":
        raise MatlabSyntaxError(token.line, "a line that ends inside of ( ) without ...")
    if token.kind != "op":
        return
    if token.text in "([{":
        open_brackets.append(token)
        return
    opening = _CLOSES.get(token.text)
    if opening is not None and (not open_brackets or open_brackets.pop().text != opening):
        raise MatlabSyntaxError(token.line, f"{token.text} that closes nothing")


def _end_of_comment(text: str, at: int, line: int) -> tuple[int, int]:
    """Where a comment ends, before its line end, and the number of line ends in it.

    Raises:
        MatlabSyntaxError: a block comment has no end.
    """
    start = text.rfind("\n", 0, at) + 1
    opening = _BLOCK.match(text, start)
    if opening is None or opening[1] == "}":
        end = text.find("\n", at)
        return (len(text) if end < 0 else end), 0
    depth = 0
    for mark in _BLOCK.finditer(text, start):
        depth += 1 if mark[1] == "{" else -1
        if depth == 0:
            return mark.end(), text.count("\n", at, mark.end())
    raise MatlabSyntaxError(line, "a block comment %{ that no %} closes")

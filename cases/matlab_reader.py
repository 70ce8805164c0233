"""The tokens of a MATLAB file, read once from first to last."""

from __future__ import annotations

from cases.matlab_tokens import Token, Unsupported

KEYWORDS = frozenset(
    ("if", "else", "elseif", "for", "parfor", "while", "switch", "case", "otherwise", "try", "catch", "break")
    + ("continue", "global", "persistent", "classdef", "function")
)


class TokenReader:
    """Where reading stands.

    Attributes: at: position of the next token; line: of the token taken last.
    """

    def __init__(self, tokens: list[Token]) -> None:
        """At the first of these tokens, of which the last is the end of the file."""
        self.tokens = [*tokens, tokens[-1]]  # one may look a token ahead, also at the end
        self.at = 0
        self.line = 1

    def peek(self, ahead: int = 0) -> Token:
        """The token at the reader's position, or so many tokens ahead, without moving."""
        return self.tokens[self.at + ahead]

    def next(self) -> Token:
        """Take the token at the reader's position; the last one, the end of the file, is never passed."""
        token = self.peek()
        self.line = token.line
        self.at += token.kind != "end"
        return token

    def comes(self, *texts: str) -> bool:
        """The next token is one of these operators."""
        token = self.peek()
        return token.kind == "op" and token.text in texts

    def take(self, *texts: str) -> bool:
        """Take one of these operators if it comes next."""
        if self.comes(*texts):
            self.next()
            return True
        return False

    def expect(self, text: str) -> None:
        """Take this text.

        Raises:
            Unsupported: another token stands there.
        """
        if not self.take(text):
            raise self.unexpected(f" where {text} belongs")

    def name(self) -> str:
        """Take a name.

        Raises:
            Unsupported: no name stands there, or a keyword of the language.
        """
        token = self.peek()
        if token.kind != "name" or token.text in KEYWORDS:
            raise self.unexpected(" where a name belongs")
        return self.next().text

    def unexpected(self, where: str = "") -> Unsupported:
        """What stands next, as an error."""
        token = self.next()
        text = "the end of the line" if token.kind == "newline" else token.text[:40]
        return Unsupported(f"{text}{where}")

    def ends_statement(self) -> bool:
        """Does the statement end here: at a line end, a semicolon or a comma?"""
        return self.peek().kind in ("newline", "end") or self.comes(";", ",")

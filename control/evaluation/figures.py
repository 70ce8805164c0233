"""Figures of results/*.json as tables in Markdown, and the blocks of a document that they fill.

A block stands between `<!-- figures:begin NAME -->` and `<!-- figures:end NAME -->` and holds what the renderer of that
name makes of results/NAME.json, so that no number in the document is typed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Result = Mapping[str, Any]
BEGIN, END = "<!-- figures:begin {} -->", "<!-- figures:end {} -->"
FOUND = re.compile(
    r"<!-- figures:begin (?P<name>[\w-]+) -->\n(?P<body>.*?)<!-- figures:end (?P=name) -->", re.DOTALL
)


class FiguresError(ValueError):
    """The document and the results do not fit together; the message says where."""


@dataclass(frozen=True)
class Block:
    """How one block comes about."""

    command: str  # writes the result
    render: Callable[[Result], list[str]]  # result -> lines of Markdown


def filled(text: str, results: Path, blocks: Mapping[str, Block]) -> str:
    """The text with every block made anew from its result.

    Args:
        text: with blocks between `<!-- figures:begin NAME -->` and `<!-- figures:end NAME -->`.
        results: directory with a file NAME.json for each.
        blocks: command and renderer of each block, by name.

    Raises:
        FiguresError: a block is unknown or never ends, or its result is not what its command writes.
    """
    for marker in ("begin", "end"):
        names = re.findall(rf"<!-- figures:{marker} ([\w-]+) -->", text)
        for name in names:
            if name not in blocks:
                raise FiguresError(f"block {name!r} is unknown, expected one of {', '.join(blocks)}")
    complete = {match["name"] for match in FOUND.finditer(text)}
    opened = set(re.findall(r"<!-- figures:begin ([\w-]+) -->", text))
    if opened != complete:
        raise FiguresError(f"block {min(opened - complete)!r} begins and never ends")

    def block(match: re.Match[str]) -> str:
        name = match["name"]
        lines = contents(blocks[name], results / f"{name}.json")
        return "\n".join([BEGIN.format(name), *lines, "", f"`{blocks[name].command}`", END.format(name)])

    return FOUND.sub(block, text)


def contents(block: Block, path: Path) -> list[str]:
    """Lines of one block.

    Raises:
        FiguresError: the file is no JSON, or lacks a figure that the block shows.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ["Not measured yet:"]
    except json.JSONDecodeError as error:
        raise FiguresError(f"{path.name}, line {error.lineno}: {error.msg}, expected JSON") from error
    try:
        return block.render(result)
    except (KeyError, TypeError) as error:
        raise FiguresError(f"{path.name}: {error} is missing; write it anew by: {block.command}") from error


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table whose first column is text and whose others are figures."""
    return [
        "| " + " | ".join(head) + " |",
        "| --- |" + " ---: |" * (len(head) - 1),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]

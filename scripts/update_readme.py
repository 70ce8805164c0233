"""Fills the figures of docs/results.md and docs/learners.md from results/*.json, so that no number there is typed.

python scripts/update_readme.py            write both anew
python scripts/update_readme.py --check    write nothing; exit status 1 if one is not up to date

A block stands between `<!-- figures:begin NAME -->` and `<!-- figures:end NAME -->` and holds what the renderer
of that name makes of results/NAME.json. Each result is written by the command that results/commands.toml names.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import command_line
from benchmarks.figures import MEDIANS, rows
from control.evaluation import figures, grid_figures, learning_figures, trust_figures
from control.evaluation.figures import Block

PROGRAM = "update_readme.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to fill."""

    documents: tuple[Path, ...] = (
        command_line.ROOT / "docs" / "results.md",
        command_line.ROOT / "docs" / "learners.md",
    )
    """Files with the blocks."""
    results: Path = command_line.ROOT / "results"
    """Directory of the results, one JSON file a block."""
    check: bool = False
    """Only compare; exit status 1 if a block differs from its result."""


def benchmark(result: figures.Result) -> list[str]:
    """Speeds on one core, in the words of the benchmark."""
    medians = result[MEDIANS]
    return figures.table(["one core", "figure", "median of rounds"], rows(result, medians))


def blocks(commands: Path) -> dict[str, Block]:
    """How each block comes about, {name: block}; the words of `benchmark` are those of the benchmark itself."""
    named = tomllib.loads(commands.read_text(encoding="utf-8"))
    return {
        name: Block(entry["command"], renderer(entry.get("table", name))) for name, entry in named.items()
    }


def renderer(table: str) -> Callable[[Any], list[str]]:
    """The function that makes a table of this name.

    Raises:
        figures.FiguresError: there is none.
    """
    if table == "benchmark":
        return benchmark
    for module in (grid_figures, learning_figures, trust_figures):
        if hasattr(module, table):
            found: Callable[[Any], list[str]] = getattr(module, table)
            return found
    raise figures.FiguresError(f"results/commands.toml: nothing makes a table {table!r}")


BLOCKS = blocks(command_line.ROOT / "results" / "commands.toml")


def update(options: Options) -> int:
    """Fills the documents or compares them; the exit status."""
    outdated = 0
    for document in options.documents:
        before = document.read_text(encoding="utf-8")
        after = figures.filled(before, options.results, BLOCKS)
        outdated += before != after
        if options.check:
            if before != after:
                print(
                    f"{PROGRAM}: {document.name} is not up to date: run python scripts/{PROGRAM}",
                    file=sys.stderr,
                )
            continue
        if before != after:
            command_line.write_text(document, after)
        state = "updated" if before != after else "up to date"
        print(f"{document.name}: {len(figures.FOUND.findall(after))} blocks {state}")
    return int(options.check and outdated > 0)


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 up to date, 1 not up to date, 2 wrong option or a result that is not what its command writes."""
    first_line, refused = str(__doc__).splitlines()[0], (figures.FiguresError, OSError)
    return command_line.run(PROGRAM, Options, update, arguments, about=first_line, refused=refused)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

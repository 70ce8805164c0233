"""Commands that README and documents print: found here for the test that parses them and the script that runs them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Command", "block_with", "documents", "script_commands", "shell_commands"]

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = re.compile(r"python scripts/(\w+)\.py([^\n`]*)")
SHELL = re.compile(r"^ {4}((?:make|pip|ray|tensorboard|git)\b[^\n]*)", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """One command, once for all documents that print it."""

    document: str  # the first that does
    script: str  # its name, empty for another program
    rest: str  # what follows the script, or the whole line of another program

    @property
    def text(self) -> str:
        """As it is typed."""
        return f"python scripts/{self.script}.py {self.rest}".strip() if self.script else self.rest


def documents() -> list[Path]:
    """All that are held to what they print."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _lines(path: Path) -> str:
    return path.read_text(encoding="utf-8").replace("\\\n", " ")


def script_commands() -> list[Command]:
    """Those of this project's scripts, in the documents' order."""
    found: dict[tuple[str, str], str] = {}
    for document in documents():
        for script, rest in SCRIPT.findall(_lines(document)):
            found.setdefault((script, " ".join(rest.split())), document.relative_to(ROOT).as_posix())
    return [Command(document, script, rest) for (script, rest), document in found.items()]


def shell_commands() -> list[Command]:
    """Those of other programs, which set the machine up or do not end by themselves."""
    found: dict[str, str] = {}
    for document in documents():
        for line in SHELL.findall(_lines(document)):
            found.setdefault(line.split("  #")[0].strip(), document.relative_to(ROOT).as_posix())
    return [Command(document, "", line) for line, document in found.items()]


def block_with(document: str, language: str, words: str) -> str:
    """The first fenced block of a document that holds these words.

    Raises:
        LookupError: there is none.
    """
    text = (ROOT / document).read_text(encoding="utf-8")
    for block in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL):
        if words in block:
            return str(block)
    raise LookupError(f"{document} has no block of {language} with {words!r}")

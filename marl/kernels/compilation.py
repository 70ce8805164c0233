"""How the learner's kernels are compiled (`cases.compiler`), by a compiler that knows no grid.

Python may go on while a kernel runs: threads of an update work side by side.
"""

from __future__ import annotations

from pathlib import Path

from cases.compiler.kernels import Compiler

compiled = Compiler([Path(__file__).parent], nogil=True)

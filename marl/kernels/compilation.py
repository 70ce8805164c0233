"""How the learner's kernels are compiled (`cases.compiler`), by a compiler that knows no grid.

Vectors are spelled out (`lanes`), so that nobody looks for more of them. Python may go on while a kernel runs: threads
of an update work side by side.
"""

from __future__ import annotations

from pathlib import Path

from cases.compiler.kernels import Compiler
from cases.compiler.pipeline import SpelledOutPipeline

compiled = Compiler([Path(__file__).parent], pipeline=SpelledOutPipeline, nogil=True)

"""How the kernels of the grid and of its control are compiled (`cases.compiler`)."""

from __future__ import annotations

from pathlib import Path

from cases.compiler.kernels import Compiler

PACKAGES = ("grid_model.", "control.")  # whose kernels are told of, by the beginning of their modules' names
_ROOT = Path(__file__).resolve().parent.parent

compiled = Compiler(_ROOT / name for name in ("cases", "grid_model", "control"))

"""Writes a trained policy as an ONNX file, and checks that it acts as the policy does.

    python scripts/export_policy.py --model-path checkpoints/best_model.pt --out policy.onnx

The graph is one step for any number of environments, see marl/onnx_export.py; examples/onnx_policy.py runs it without
this project and without torch. Needs the extra `onnx`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import command_line
import option_checks

PROGRAM = "export_policy.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to export."""

    model_path: Path = Path("checkpoints/best_model.pt")
    """Model of a training run."""
    out: Path = Path("policy.onnx")
    """File to write."""

    def __post_init__(self) -> None:
        option_checks.require_ending("out", self.out, (".onnx",))


def export(options: Options) -> None:
    """Writes and checks.

    Raises:
        ExportError: a library is not installed, or the file does not act as the policy.
    """
    from marl.environment.policy_report import load_policy
    from marl.onnx_export import TOLERANCE, ExportError, export_onnx, largest_difference

    policy = load_policy(options.model_path)
    options.out.absolute().parent.mkdir(parents=True, exist_ok=True)
    export_onnx(policy, options.out)
    difference = largest_difference(policy, options.out)
    if not difference <= TOLERANCE:
        raise ExportError(f"{options.out} acts otherwise than the policy, by up to {difference:.2g}")
    print(f"{options.out}: acts as {options.model_path}, to {difference:.1g} (single precision)")


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 it could not be done, 2 wrong option, 130 stopped."""
    return command_line.run(PROGRAM, Options, export, arguments, about=__doc__, writes=["out"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

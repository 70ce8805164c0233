"""Rounds of an imitation, kept as they are done: a start that is killed goes on behind the last of them.

What a round leaves is what it showed and the weights that were learned from all so far; everything else of the next one
is drawn from its seeds. So an imitation that was broken off ends with the bits of one that was not.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from marl import checkpoint
from marl.networks.policy import Policy
from marl.training.run_directory import round_file

__all__ = ["KeptRounds"]

KIND = "imitation"


class KeptRounds:
    """The rounds that one run's directory holds."""

    def __init__(self, directory: Path, settings: Mapping[str, Any]) -> None:
        """Rounds of an imitation that these settings decide.

        Args:
            directory: of the run.
            settings: plain data that decides how the imitation goes; rounds of other settings are none of its own.
        """
        self.directory, self.settings = directory, dict(settings)

    def taken_up(self) -> list[dict[str, Any]]:
        """What `keep` was given in each round from the first on; a file that is broken ends the list.

        Raises:
            CheckpointError: rounds are of other settings, or cannot be read.
        """
        found: list[dict[str, Any]] = []
        for k in count():
            path = round_file(self.directory, k)
            if not path.exists():
                break
            try:
                content = checkpoint.load(path, KIND)
            except checkpoint.BrokenCheckpoint:  # done once more, and written over
                break
            if content.get("settings") != self.settings:
                raise checkpoint.CheckpointError(
                    f"{path} is of an imitation with other settings; delete it to begin anew"
                )
            found.append(content["round"])
        return found

    def keep(self, k: int, policy: Policy, **of_round: Any) -> None:
        """Writes round k, counted from 0, with the policy's weights after it.

        Raises:
            CheckpointError: it cannot be written.
        """
        content = {"weights": checkpoint.copied_state(dict(policy.state_dict())), **of_round}
        checkpoint.save(round_file(self.directory, k), KIND, {"settings": self.settings, "round": content})

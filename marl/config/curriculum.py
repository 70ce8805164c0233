"""Settings of what training episodes are drawn from: one scenario, stages of harder ones, or replayed episodes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from marl.config.check import require

CurriculumKind = Literal["constant", "stages", "replay"]


@dataclass(frozen=True, kw_only=True)
class CurriculumConfig:
    """Which curriculum, and how it moves on."""

    # constant: one scenario, new episodes. stages: harder scenarios one after the other, by measured success. replay:
    # episodes come again by how wrong the critic was in them (Jiang et al., 2021).
    curriculum: CurriculumKind = "constant"
    # Stages: success, a share of time with the frequency inside its everyday band, from which on the next stage begins.
    stage_success: float = 0.9
    # Stages: updates whose mean it is.
    stage_updates: int = 5
    # Replay: episodes that are remembered, by their seeds.
    levels: int = 500
    # Replay: chance that an episode is one of those, once half as many are known.
    level_share: float = 0.5
    # Replay: temperature of ranks; near zero the episode with the largest error comes always.
    level_temperature: float = 0.1
    # Replay: share of the chances that goes by how long ago an episode was played, so that no error is out of date.
    level_staleness: float = 0.1

    def __post_init__(self) -> None:
        require(math.isfinite(self.stage_success), f"stage_success = {self.stage_success}, expected finite")
        for name in ("stage_updates", "levels"):
            require(getattr(self, name) >= 1, f"{name} = {getattr(self, name)}, expected at least 1")
        for name in ("level_share", "level_staleness"):
            require(0 <= getattr(self, name) <= 1, f"{name} = {getattr(self, name)}, expected in [0, 1]")
        require(
            self.level_temperature > 0 and math.isfinite(self.level_temperature),
            f"level_temperature = {self.level_temperature}, expected > 0",
        )

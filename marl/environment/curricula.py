"""What training episodes on the grid are drawn from, as a configuration asks: the stages there are, and the seeds."""

from __future__ import annotations

from control.scenario.suites import STAGES, VALIDATION_SEEDS
from marl.config.check import require
from marl.config.training import TrainingConfig
from marl.training.curriculum import ConstantCurriculum, Curriculum
from marl.training.level_replay import LevelReplay
from marl.training.stages import StageCurriculum, Stages

__all__ = ["GRID_STAGES", "curriculum_of"]

# Success is the share of time with the centre of inertia within 36 mHz, the band of everyday operation.
GRID_STAGES = Stages(names=STAGES, success="within_36_mhz")


def curriculum_of(config: TrainingConfig) -> Curriculum:
    """The curriculum that a configuration names; none draws a seed that is kept for validation or held out.

    Raises:
        ConfigError: stages are asked for on another grid.
    """
    settings = config.curriculum
    below = VALIDATION_SEEDS.first
    if settings.curriculum == "stages":
        require(
            not config.case,
            'curriculum = "stages" has stages of the 68-bus grid alone: its inertia is in them',
        )
        return StageCurriculum(
            GRID_STAGES,
            threshold=settings.stage_success,
            n_update=settings.stage_updates,
            seed=config.seed,
            below=below,
        )
    if settings.curriculum == "replay":
        return LevelReplay(
            size=settings.levels,
            share=settings.level_share,
            temperature=settings.level_temperature,
            staleness=settings.level_staleness,
            seed=config.seed,
            below=below,
        )
    return ConstantCurriculum(config.seed, below)

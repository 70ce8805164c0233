"""Settings of the periodic evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from marl.config.check import require

# Seeds from here on are those of published suites (control.scenario.suites). A model chosen by them would have seen
# what it is judged on, so no evaluation while training may reach them.
FIRST_HELD_OUT_SEED = 2**31


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Periodic evaluation on held-out episodes: it chooses the best model."""

    # Updates between evaluations; 0 never evaluates, and the best model is then the last.
    eval_every: int = 25
    # Episodes of one evaluation, all in one batch; costs are heavy-tailed, and a few episodes choose at random.
    eval_episodes: int = 64
    # The grid's operating conditions to evaluate in; empty takes the training's.
    eval_scenario: str = ""
    # First seed of the evaluation episodes; none takes the first that the environment keeps for validation, which
    # neither training nor any published suite uses. Seeds of the published suites are refused.
    eval_seed: int | None = None
    # Evaluate in a process beside the learner, which goes on meanwhile: the same results, sooner where a core is free.
    eval_process: bool = True
    # Stop when this many evaluations in a row brought no better model; 0 never stops.
    patience: int = 0

    def __post_init__(self) -> None:
        for name in ("eval_every", "eval_seed", "patience"):
            value = getattr(self, name)
            require(value is None or value >= 0, f"{name} = {value}, expected >= 0")
        require(self.eval_episodes >= 1, f"eval_episodes = {self.eval_episodes}, expected at least 1")
        if self.eval_seed is not None:
            require(
                self.eval_seed + self.eval_episodes <= FIRST_HELD_OUT_SEED,
                f"eval_seed = {self.eval_seed} with eval_episodes = {self.eval_episodes} reaches the held-out seeds, "
                f"which begin at {FIRST_HELD_OUT_SEED}: the best model would be chosen by what it is judged on",
            )
        require(
            self.patience == 0 or self.eval_every > 0,
            f"patience = {self.patience} needs evaluations, but eval_every = 0",
        )

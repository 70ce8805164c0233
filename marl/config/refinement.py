"""Settings of a start that goes on by gradients: how many episodes costs are differentiated in, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from marl.config.check import require


@dataclass(frozen=True, kw_only=True)
class RefinementConfig:
    """What actors do between their start and training: costs of recorded episodes fall along their gradient."""

    # Passes over a batch of recorded episodes, from their beginning to their end; 0 leaves it out.
    refine_passes: int = 0
    # Scenarios that episodes are recorded of, with commas between them; empty is the run's own.
    refine_scenarios: str = ""
    # Episodes recorded of each scenario; a sixth of them are not learned from, they choose the actors that are kept.
    refine_episodes: int = 192
    # Episodes of a pass.
    refine_envs: int = 64
    # Steps that a gradient goes back at most; there is one for each window of so many.
    refine_window: int = 100
    # A state's gradient is cut at this multiple of what is usual among the episodes of a pass, which a start that
    # swings needs; 0 leaves it exact, so that what few episodes tell, as those with an outage just ahead do, counts.
    refine_cut: float = 10.0
    # Adam's step size at the beginning; it falls linearly.
    refine_lr: float = 1e-4

    def __post_init__(self) -> None:
        for name, least in (
            ("refine_passes", 0),
            ("refine_episodes", 6),
            ("refine_envs", 1),
            ("refine_window", 1),
        ):
            value = getattr(self, name)
            require(value >= least, f"{name} = {value}, expected at least {least}")
        require(
            isfinite(self.refine_cut) and self.refine_cut >= 0.0,
            f"refine_cut = {self.refine_cut}, expected a finite number of at least 0",
        )
        most = 65_536  # of the 68-bus system's with 22 numbers each takes a megabyte
        require(
            self.refine_episodes <= most, f"refine_episodes = {self.refine_episodes}, expected at most {most}"
        )
        names = self.refine_scenarios.split(",")
        require(
            self.refine_scenarios == "" or all(name.strip() for name in names),
            f"refine_scenarios = {self.refine_scenarios!r}, expected names with commas between them, none empty",
        )
        require(0 < self.refine_lr < 1, f"refine_lr = {self.refine_lr}, expected above 0, below 1")

    def scenarios_of(self, own: str) -> tuple[str, ...]:
        """Names of the scenarios that episodes are recorded of, where this is the run's own."""
        return tuple(name.strip() for name in self.refine_scenarios.split(",") if name.strip()) or (own,)

    @property
    def n_judged(self) -> int:
        """Recorded episodes of each scenario that are not learned from."""
        return self.refine_episodes // 6

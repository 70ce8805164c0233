"""Settings of a start by imitation: how much of an expert is shown, and how often it is gone through."""

from __future__ import annotations

from dataclasses import dataclass

from marl.config.check import require


@dataclass(frozen=True, kw_only=True)
class ImitationConfig:
    """What `--start clone:EXPERT` and `--start dagger:EXPERT` do before training."""

    # Steps shown in all, over all environments and rounds.
    imitation_steps: int = 16_000
    # Environments that the expert plays in.
    imitation_envs: int = 32
    # Rounds of DAgger: the expert plays in the first, the actors in the others.
    imitation_rounds: int = 4
    # Steps between two questions to the expert where the actors play: what an expert says in two intervals, one after
    # the other, is nearly the same, and one who plans takes long to say it. More than one only of linear laws and full
    # information, which do not live on what they said before.
    imitation_every: int = 1
    # Agents of each kind that are learned from, drawn for each environment and round; 0 takes all. Those of a kind see
    # nearly the same at an instant, and what is scarce are episodes: fewer agents leave time and memory for more of
    # them. Needs one network for each kind (--sharing type).
    imitation_agents: int = 0
    # Deviation of an agent's own frequency [Hz] beyond which it imitates the first of several experts, A+B, alone, each
    # agent by what it reads at that instant; 0 is nowhere. A planner who knows of no outage to come is no better after
    # one than a law that was tuned on costs.
    imitation_alone_hz: float = 0.0
    # Passes over what was shown so far, in each round.
    imitation_epochs: int = 10
    # Samples of a gradient step; of actors with a memory, episodes side by side, of those that are played at a time.
    imitation_minibatch: int = 64
    # Adam's step size at the beginning of each round; it falls linearly to zero.
    imitation_lr: float = 3e-3

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 0 if name in ("imitation_agents", "imitation_alone_hz") else 1
            require(name == "imitation_lr" or value >= least, f"{name} = {value}, expected at least {least}")
        require(
            self.imitation_alone_hz <= 1.0,
            f"imitation_alone_hz = {self.imitation_alone_hz}, expected at most 1 Hz; 50 mHz are 0.05",
        )
        require(0 < self.imitation_lr < 1, f"imitation_lr = {self.imitation_lr}, expected above 0, below 1")

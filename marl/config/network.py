"""Settings of the networks: sizes, sharing, what they are fed, how they begin, and the actions' dead zone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from marl.config.check import require, require_within

Sharing = Literal["type", "all", "agent"]
ActorKind = Literal["mlp", "gru", "attention"]
CriticKind = Literal["central", "agent", "local"]

MOST_WIDTH, MOST_LAYERS = 4096, 16
TOO_WIDE = f"a layer between two of {MOST_WIDTH} has 64 MB of weights in every network, and the optimiser's beside them"

# Settings that came after the first files, of this part of the configuration and the others: a file without them was
# made with the default, which is what was done before there was a choice.
LATER = (
    "fused",
    "soft_zones",
    "algorithm",
    "case",
    "actor",
    "critic_memory",
    "memory_size",
    "attention_size",
    "attention_heads",
    "sequence_steps",
    "burn_in_steps",
    "off_policy",
    "exploration_density",
    "physics",
    "async_updates",
    "curriculum",
    "pool",
    "shield",
    "violation_budget",
    "violation_rate",
    "imitation",
    "imitation_lr",
    "reduced_episodes",
    "slow_gamma",
    "log_std_final",
    "update_threads",
    "imitation_every",
    "imitation_minibatch",
    "imitation_agents",
    "imitation_alone_hz",
    "refinement",
    "refine_cut",
)

# Settings that are no more, none of which moved a result: files of before may name them.
GONE = ("n_workers",)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Actors and critic: multilayer perceptrons, each hidden layer Linear -> LayerNorm -> ReLU; they may remember."""

    # What an actor is: a perceptron; one with a gated recurrent unit (Cho et al., 2014) before its last layer; or one
    # that attends to messages of the other agents (Vaswani et al., 2017), which observations must carry.
    actor: ActorKind = "mlp"
    # Numbers that an attentive actor makes of a message, and attention heads that share them.
    attention_size: int = 32
    attention_heads: int = 4
    # The critic has a gated recurrent unit as well.
    critic_memory: bool = False
    # Numbers that a recurrent network remembers, for each agent.
    memory_size: int = 64
    # Hidden layers of every actor.
    actor_hidden: tuple[int, ...] = (128, 128)
    # Hidden layers of the critic.
    critic_hidden: tuple[int, ...] = (256, 256)
    # One actor per agent type, one for all agents, or one for each agent.
    sharing: Sharing = "type"
    # With one actor for all: append the agent's identity (one-hot) to its observation.
    agent_id: bool = True
    # "central" sees the environment's state (MAPPO); "agent" sees it beside each agent's own observation, which
    # suits rewards of agents' own (Yu et al., 2022, sec. 5.2); "local" sees the observation alone (IPPO).
    critic: CriticKind = "central"
    # Layer normalisation after each hidden Linear (Ba et al., 2016).
    layer_norm: bool = True
    # Orthogonal weights, gain sqrt(2) (Saxe et al., 2014), against torch's uniform default.
    orthogonal_init: bool = True
    # Gain of the actors' last layer: small, so that a fresh policy acts near zero (Andrychowicz et al.,
    # 2021).
    actor_last_gain: float = 0.01
    # Mean action = perceptron + linear map of the same inputs (structured control net, Srouji et al., 2018): the
    # linear part goes on where inputs are larger than any that were often seen.
    actor_linear: bool = False
    # Logarithm of the policy's initial standard deviation; actions span [-1, 1].
    log_std_init: float = math.log(0.35)
    # Compress observations and state x to asinh(x): linear below 1, logarithmic above.
    compress_inputs: bool = False
    # Magnify what is small, and keep what is large: x becomes x + asinh(g x) with this gain g, steeper by 1 + g near
    # zero and by about 1 beyond one. Everyday deviations are a few mHz, a tenth of the scale; 0 leaves x as it is.
    magnify_inputs: float = 0.0
    # Normalise observations and state by running mean and variance, frozen in updates and in evaluation.
    normalize_inputs: bool = False
    # Compiled kernels run and differentiate plain networks on the CPU: one for its agents, hidden layers of 32, 64, ...
    # with layer_norm, a critic of kind central. torch does so everywhere else, or where this is off; results differ in
    # the last bits.
    fused: Literal["auto", "off"] = "auto"
    # Deterministic actions smaller than this become zero: |dP| has a kink at zero that noise smooths away.
    dead_zone: float = 0.15
    # The same for each agent type in order, where types differ; empty takes dead_zone for all.
    dead_zones: tuple[float, ...] = ()
    # Before that all actions, exploring ones too, are drawn towards zero by this much, one number for each agent type;
    # empty by nothing. A move that costs in proportion to its size is worth making beyond some zone alone, and then
    # to the zone's edge (Davis & Norman, Portfolio selection with transaction costs, 1990).
    soft_zones: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("actor_hidden", "critic_hidden"):
            widths = getattr(self, name)
            require(
                len(widths) > 0 and all(w > 0 for w in widths),
                f"{name} = {widths}, expected at least one positive width",
            )
            require(
                len(widths) <= MOST_LAYERS,
                f"{name} = {widths}, {len(widths)} layers, expected at most {MOST_LAYERS}",
            )
            require_within(self, name, 1, MOST_WIDTH, TOO_WIDE)
        for name in ("memory_size", "attention_size"):
            require_within(self, name, 1, MOST_WIDTH, TOO_WIDE)
        require(
            self.attention_heads >= 1
            and self.attention_size >= 1
            and self.attention_size % self.attention_heads == 0,
            f"attention_size = {self.attention_size}, expected a multiple of attention_heads = {self.attention_heads}",
        )
        require(
            self.actor != "attention" or not self.normalize_inputs,
            "normalize_inputs would scale away who sends messages, but actor = attention",
        )
        require(
            self.actor == "mlp" or not self.actor_linear,
            f"actor_linear adds to a perceptron, but actor = {self.actor}",
        )
        require(self.actor_last_gain > 0, f"actor_last_gain = {self.actor_last_gain}, expected > 0")
        require(
            self.magnify_inputs >= 0 and math.isfinite(self.magnify_inputs),
            f"magnify_inputs = {self.magnify_inputs}, expected >= 0",
        )
        require(0 <= self.dead_zone < 1, f"dead_zone = {self.dead_zone}, expected in [0, 1)")
        require(
            all(0 <= dead_zone < 1 for dead_zone in self.dead_zones),
            f"dead_zones = {self.dead_zones}, expected each in [0, 1)",
        )
        require(
            all(soft_zone >= 0 and math.isfinite(soft_zone) for soft_zone in self.soft_zones),
            f"soft_zones = {self.soft_zones}, expected each >= 0",
        )
        require(math.isfinite(self.log_std_init), f"log_std_init = {self.log_std_init}, expected finite")

    @property
    def remembers(self) -> bool:
        """Whether a network has a memory: what is learned from are then sequences."""
        return self.actor == "gru" or self.critic_memory

"""Policies and simple agents on the same held-out episodes, and the record of one episode.

Whoever acts is a function from observations to actions, {group: [env, agent, ...]} both. The episodes of a seed are the
same for all of them, so differences are paired. Intervals are percentile bootstraps of the mean over episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from cases.arrays import FloatArray, IntArray
from control.scenario.suites import FIRST_HELD_OUT_SEED, HELD_OUT, event_words
from marl.environment.batch import GridBatch
from marl.protocol import Float32Array
from marl.sampling.episode_statistics import Act, play

__all__ = [
    "Recording",
    "bootstrap_ci95",
    "do_nothing",
    "evaluate",
    "evaluation_seeds",
    "random_agents",
    "record_episode",
    "summarise",
]

N_BOOTSTRAP = 10_000
OWN_SCENARIO_SEEDS = (
    FIRST_HELD_OUT_SEED + 100_000
)  # evaluation seeds of scenarios without a suite of their own


def do_nothing(batch: GridBatch) -> Act:
    """Agents that never move their set-points."""
    still = {
        g.name: np.zeros((batch.n_env, g.n_agent, g.action_size), dtype=np.float32) for g in batch.groups
    }
    return lambda observations: still


def random_agents(batch: GridBatch, seed: int = 0) -> Act:
    """Agents that act uniformly in [-1, 1]."""
    rng = np.random.default_rng(seed)

    def act(observations: Mapping[str, Float32Array]) -> Mapping[str, Float32Array]:
        return {
            g.name: rng.uniform(-1.0, 1.0, (batch.n_env, g.n_agent, g.action_size)).astype(np.float32)
            for g in batch.groups
        }

    return act


def evaluation_seeds(scenario: str, n_episodes: int, first: int = 0) -> IntArray:
    """Seeds of n held-out episodes of a scenario, from number `first` on.

    Raises:
        ValueError: the suite has fewer episodes.
    """
    if scenario in HELD_OUT:
        seeds = HELD_OUT[scenario].seeds
        if first + n_episodes > len(seeds):
            raise ValueError(
                f"suite {scenario} has {len(seeds)} held-out episodes, not {first + n_episodes}; "
                "ask for fewer or start earlier"
            )
        return seeds[first : first + n_episodes]
    return OWN_SCENARIO_SEEDS + first + np.arange(n_episodes, dtype=np.int64)


def bootstrap_ci95(values: FloatArray, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of [episode] (Efron & Tibshirani, 1993, ch. 13)."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(N_BOOTSTRAP, len(values)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def evaluate(act: Act, batch: GridBatch, seeds: IntArray) -> dict[str, FloatArray]:
    """Play the episodes of these seeds to their ends; each term as [episode], in the seeds' order."""
    return play(act, batch, seeds)


def summarise(episodes: Mapping[str, FloatArray]) -> dict[str, float | list[float]]:
    """What a table says of a set of episodes; the means are over episodes.

    Returns:
        `return_mean`, `return_ci95`, `rms_mhz`, `share_within_36mhz`, `share_within_200mhz`,
        `violations_per_episode` (kinds of limit times intervals), `cost_mean` (movement and effort), `episodes`.
    """
    rms_mhz = float(np.sqrt(np.mean(np.square(episodes["rms_df_mhz"]))))
    return {
        "return_mean": float(episodes["return"].mean()),
        "return_ci95": list(bootstrap_ci95(episodes["return"])),
        "rms_mhz": rms_mhz,
        "share_within_36mhz": float(episodes["within_36_mhz"].mean()),
        "share_within_200mhz": float(episodes["within_200_mhz"].mean()),
        "violations_per_episode": float(episodes["violations"].mean()),
        "cost_mean": -float((episodes["reward_movement"] + episodes["reward_effort"]).mean()),
        "episodes": len(episodes["return"]),
    }


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One episode, interval by interval; the first axis of every array is time."""

    time_s: FloatArray  # [t], ends of the intervals
    df_hz: FloatArray  # [t, bus]
    p_mw: FloatArray  # outputs of the resources around schedule, [t, resource]
    energy_share: FloatArray  # state of charge of the batteries, [t, bess]
    loading_percent: FloatArray  # of the applicable rating, [t, branch]
    terms: Mapping[str, FloatArray]  # reward terms, {name: [t]}
    marks: tuple[tuple[float, str], ...]  # events that happened: time [s] and words

    @property
    def reward(self) -> FloatArray:
        """Shared reward of each interval, [t]."""
        return np.sum(np.stack(list(self.terms.values())), axis=0)


def record_episode(
    act: Act, batch: GridBatch, seed: int, on_interval: Callable[[GridBatch], None] | None = None
) -> Recording:
    """Play one episode in a batch of one and keep what pictures need.

    Args:
        act: who acts; batch: of one environment; seed: of the episode.
        on_interval: called after every interval, for live output.
    """
    if batch.n_env != 1:
        raise ValueError(f"a recording needs a batch of one environment, not {batch.n_env}")
    case, loop = batch.case, batch.loop
    observed = batch.reset(np.array([seed]))
    events = loop.episode[0].events if loop.episode[0] is not None else ()
    time_s, df_hz, p_mw, energy, loading = [], [], [], [], []
    terms: dict[str, list[float]] = {}
    for k in range(1, batch.scenario.n_intervals + 1):
        transition = batch.step(dict(act(observed.observations)))
        end = batch.last_result
        assert end is not None
        time_s.append(k * batch.scenario.interval_s)
        df_hz.append(end.bus_df_hz[0])
        p_mw.append(end.resource_mw[0])
        energy.append(end.utilisation[0, case.resource.of_kind("bess")])
        loading.append(end.loading_percent[0])
        for name, value in transition.terms.items():
            if name.startswith("reward_"):
                terms.setdefault(name.removeprefix("reward_"), []).append(float(value[0]))
        if on_interval is not None:
            on_interval(batch)
        if transition.terminated[0] or transition.truncated[0]:
            break
        observed = transition.observation
    marks = [(event.time_s, event_words(event, case)) for event in events if event.time_s <= time_s[-1]]
    return Recording(
        time_s=np.array(time_s),
        df_hz=np.array(df_hz),
        p_mw=np.array(p_mw),
        energy_share=np.array(energy),
        loading_percent=np.array(loading),
        terms={name: np.array(values) for name, values in terms.items()},
        marks=tuple(marks),
    )

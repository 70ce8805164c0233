"""The benchmark's figures: what measures each, how it is told, and which of its rounds is reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_high as median

MEDIANS = "median_of_rounds"  # of the figures of a fastest round, under this key of the JSON file


@dataclass(frozen=True)
class Figure:
    """One figure of the benchmark."""

    part: str  # of the benchmark, which measures it
    words: str
    form: str  # of its number
    of_rounds: Callable[[Sequence[float]], float] = median  # the fastest or, of ratios, the median


def speed(part: str, words: str) -> Figure:
    """Of the fastest round: the largest."""
    return Figure(part, words, ",.0f", max)


def time(part: str, words: str, form: str = ",.1f") -> Figure:
    """Of the fastest round: the smallest."""
    return Figure(part, words, form, min)


# In the order in which they are told.
FIGURES: Mapping[str, Figure] = {
    "env_steps_per_s_64": speed("simulator", "environment steps a second, 64 environments"),
    "env_steps_per_s_256": speed("batch_size", "environment steps a second, 256 environments"),
    "env_steps_per_s_1": speed("simulator", "environment steps a second, 1 environment"),
    **{
        f"env_steps_per_s_64_{name}": speed("own_grids", f"the same on {name}")
        for name in ("case39", "case118", "case300", "case1354pegase")
    },
    **{
        f"reduced_env_steps_per_s_{n}{name}": speed("reduced", f"reduced model{words}: {n:,} environments")
        for n in (64, 1024)
        for name, words in (("", ""), ("_areas", ", areas"))
    },
    "pettingzoo_steps_per_s": speed("simulator", "steps a second through PettingZoo's dictionaries"),
    "ratio_to_runpp_64": Figure("simulator", "a step of 64 environments, times faster than on runpp", ",.0f"),
    "ratio_to_runpp_1": Figure("simulator", "a step of 1 environment, times faster than on runpp", ",.0f"),
    "power_flow_us": time("simulator", "AC power flow, warm start, per environment [us]"),
    "power_flow_ratio_to_lightsim2grid": Figure(
        "power_flow", "the same of 64 environments, times faster than lightsim2grid", ",.1f"
    ),
    **{
        f"power_flow_ratio_to_lightsim2grid_{n}": Figure(
            "power_flow", f"AC power flow of {n:,} buses, times faster than lightsim2grid", ",.1f"
        )
        for n in (118, 300, 1354, 2869, 9241)
    },
    "first_step_cold_cpu_s": Figure(
        "first_step", "from a fresh clone to the third training step, compilation included [CPU s]", ",.1f"
    ),
    "first_step_warm_cpu_s": time("first_step", "the same at the next start [CPU s]", ",.2f"),
    "memory_1024_envs_gb": Figure(
        "batch_size", "memory of a process that plays 1,024 environments [GB]", ",.2f"
    ),
    "series_load_s": time("simulator", "start-up: the year of load, wind and sun from its cache [s]", ",.3f"),
    "runpp_us": time("simulator", "the same with runpp, warm start [us]", ",.0f"),
    "dynamics_area_us": Figure(
        "dynamics", "swing equations of an interval, level area, per environment [us]", ",.1f"
    ),
    "dynamics_machine_us": Figure(
        "dynamics", "swing equations of an interval, level machine, per environment [us]", ",.1f"
    ),
    "plan_ms": Figure("planning", "a plan of 520 s, by MPC or full information [ms]", ",.2f"),
    "two_process_ratio": Figure(
        "processes", "steps of two processes, 64 environments each, over those of one", ",.2f"
    ),
    "two_process_ratio_arithmetic": Figure(
        "processes", "two processes over one that only calculate: what this machine has to give", ",.2f"
    ),
    "two_process_ratio_stream": Figure("processes", "the same of two that stream through memory", ",.2f"),
    "dynamics_us": time("simulator", "frequency dynamics and coupling, per environment [us]"),
    "outage_speed_ratio": Figure(
        "simulator", "speed with 20 times the outages of training, over that without any", ",.2f"
    ),
    "n1_ac_ms": Figure(
        "security", "N-1 by AC power flow, all circuits and transformers, flows included [ms]", ",.1f"
    ),
    "n1_ratio_to_lightsim2grid": Figure(
        "security", "N-1, times faster than lightsim2grid's contingency analysis with flows", ",.1f"
    ),
    "n1_ratio_to_pandapower": Figure(
        "security", "N-1, times faster than pandapower's run_contingency", ",.0f"
    ),
    "lodf_us_per_env": Figure("security", "N-1 by distribution factors, 64 environments, each [us]", ",.1f"),
    "observation_us": time("simulator", "observations and state, per environment [us]"),
    "resources_us": time("simulator", "resources and injections of an interval, per environment [us]"),
    "rest_us": time("simulator", "limits, reward, telemetry and resets, per environment [us]"),
    "training_steps_per_s": Figure(
        "training", "default training, steps a second, everything in one process", ",.0f"
    ),
    "training_s": time("whole_training", "the whole default training, as a command [s]"),
    "time_to_agc_s": time(
        "whole_training",
        "quick preset, from its start until held-out `normal` beats tuned AGC with feed-forward [s]",
    ),
    "ray_two_sampler_ratio": Figure(
        "cluster", "default training with two samplers of a local Ray cluster, over that", ",.2f"
    ),
    "ray_overhead_percent": Figure(
        "cluster", "what a rollout of one sampler takes longer than one beside the learner [%]", ",.1f"
    ),
    "update_s": time("learner", "learner: update of 2048 steps, 20 agents, 10 epochs [s]", ".2f"),
    "update_ratio_to_floor": Figure(
        "learner", "learner: times a plain torch loop of the same arithmetic", ".2f"
    ),
    "update_two_thread_ratio": Figure(
        "learner", "learner: update on two threads, times faster than on one", ",.2f"
    ),
    "act_64_ms": time("learner", "learner: acting for 64 environments [ms]", ".2f"),
    "act_ratio_to_floor": Figure("learner", "the same in times of plain torch", ".2f"),
}
LARGE_GRIDS = frozenset(f"power_flow_ratio_to_lightsim2grid_{n}" for n in (300, 1354, 2869, 9241)) | {
    "env_steps_per_s_64_case300",
    "env_steps_per_s_64_case1354pegase",
}  # minutes
OF_CLUSTER = frozenset(key for key, figure in FIGURES.items() if figure.part == "cluster")  # need Ray
WHOLE = frozenset(key for key, figure in FIGURES.items() if figure.part == "whole_training")  # minutes
OF_LEARNER = frozenset(
    key for key, figure in FIGURES.items() if figure.part in ("training", "whole_training", "learner")
)


def summary(rounds: Mapping[str, Sequence[float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Figures of all rounds, {key: value}: the fastest or, of ratios, the median; and medians of the former."""
    figures = {key: FIGURES[key].of_rounds(values) for key, values in rounds.items()}
    medians = {key: median(values) for key, values in rounds.items() if FIGURES[key].of_rounds is not median}
    return figures, medians


def rows(figures: Mapping[str, float], medians: Mapping[str, float]) -> list[list[str]]:
    """What is measured, its figure and its median, in words and in the order of `FIGURES`."""
    return [
        [
            figure.words,
            format(figures[key], figure.form),
            format(medians[key], figure.form) if key in medians else "",
        ]
        for key, figure in FIGURES.items()
        if key in figures
    ]

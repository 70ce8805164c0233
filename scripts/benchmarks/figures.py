"""The benchmark's figures: what each is called, how it is told, and which of its rounds is reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median_high as median

WORDS = {
    "env_steps_per_s_64": ("environment steps a second, 64 environments", ",.0f"),
    "env_steps_per_s_256": ("environment steps a second, 256 environments", ",.0f"),
    "env_steps_per_s_1": ("environment steps a second, 1 environment", ",.0f"),
    "pettingzoo_steps_per_s": ("steps a second through PettingZoo's dictionaries", ",.0f"),
    "ratio_to_runpp_64": ("a step of 64 environments, times faster than on runpp", ",.0f"),
    "ratio_to_runpp_1": ("a step of 1 environment, times faster than on runpp", ",.0f"),
    "power_flow_us": ("AC power flow, warm start, per environment [us]", ",.1f"),
    "power_flow_ratio_to_lightsim2grid": (
        "the same of 64 environments, times faster than lightsim2grid",
        ",.1f",
    ),
    "power_flow_ratio_to_lightsim2grid_118": (
        "AC power flow of 118 buses, times faster than lightsim2grid",
        ",.1f",
    ),
    "power_flow_ratio_to_lightsim2grid_300": (
        "AC power flow of 300 buses, times faster than lightsim2grid",
        ",.1f",
    ),
    "power_flow_ratio_to_lightsim2grid_1354": (
        "AC power flow of 1,354 buses, times faster than lightsim2grid",
        ",.1f",
    ),
    "power_flow_ratio_to_lightsim2grid_2869": (
        "AC power flow of 2,869 buses, times faster than lightsim2grid",
        ",.1f",
    ),
    "power_flow_ratio_to_lightsim2grid_9241": (
        "AC power flow of 9,241 buses, times faster than lightsim2grid",
        ",.1f",
    ),
    "first_step_cold_cpu_s": (
        "from a fresh clone to the third training step, compilation included [CPU s]",
        ",.1f",
    ),
    "first_step_warm_cpu_s": ("the same at the next start [CPU s]", ",.2f"),
    "memory_1024_envs_gb": ("memory of a process that plays 1,024 environments [GB]", ",.2f"),
    "series_load_s": ("start-up: the year of load, wind and sun from its cache [s]", ",.3f"),
    "runpp_us": ("the same with runpp, warm start [us]", ",.0f"),
    "dynamics_area_us": ("swing equations of an interval, level area, per environment [us]", ",.1f"),
    "dynamics_machine_us": ("swing equations of an interval, level machine, per environment [us]", ",.1f"),
    "two_process_ratio": ("steps of two worker processes, 64 environments each, over those of one", ",.2f"),
    "two_process_ratio_same_batch": ("the same 128 environments in two processes over one", ",.2f"),
    "dynamics_us": ("frequency dynamics and coupling, per environment [us]", ",.1f"),
    "outage_speed_ratio": ("speed with 20 times the outages of training, over that without any", ",.2f"),
    "n1_ac_ms": ("N-1 by AC power flow, all circuits and transformers, flows included [ms]", ",.1f"),
    "n1_ratio_to_lightsim2grid": (
        "N-1, times faster than lightsim2grid's contingency analysis with flows",
        ",.1f",
    ),
    "n1_ratio_to_pandapower": ("N-1, times faster than pandapower's run_contingency", ",.0f"),
    "lodf_us_per_env": ("N-1 by distribution factors, 64 environments, each [us]", ",.1f"),
    "observation_us": ("observations and state, per environment [us]", ",.1f"),
    "resources_us": ("resources and injections of an interval, per environment [us]", ",.1f"),
    "rest_us": ("limits, reward, telemetry and resets, per environment [us]", ",.1f"),
    "training_steps_per_s": ("default training, steps a second, everything in one process", ",.0f"),
    "training_one_worker_ratio": ("the same with the environments in a process beside it, over that", ",.2f"),
    "training_two_workers_ratio": ("the same with the environments in two processes, over that", ",.2f"),
    "update_s": ("learner: update of 2048 steps, 20 agents, 10 epochs [s]", ".2f"),
    "update_ratio_to_floor": ("learner: times a plain torch loop of the same arithmetic", ".2f"),
    "act_64_ms": ("learner: acting for 64 environments [ms]", ".2f"),
    "act_ratio_to_floor": ("the same in times of plain torch", ".2f"),
}


# What the fastest round is told by: the largest of these speeds and the smallest of these times.
SPEEDS = frozenset(
    {"env_steps_per_s_64", "env_steps_per_s_256", "env_steps_per_s_1", "pettingzoo_steps_per_s"}
)
TIMES = frozenset(
    {
        "power_flow_us",
        "series_load_s",
        "first_step_warm_cpu_s",
        "runpp_us",
        "dynamics_us",
        "observation_us",
        "resources_us",
        "rest_us",
        "update_s",
        "act_64_ms",
    }
)
MEDIANS = "median_of_rounds"  # their medians, under this key of the JSON file


def summary(rounds: Mapping[str, Sequence[float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Figures of all rounds, {key: value}: the fastest or, of ratios, the median; and medians of the former."""
    figures, medians = {}, {}
    for key, values in rounds.items():
        figures[key] = medians[key] = median(values)
        if key in SPEEDS:
            figures[key] = max(values)
        elif key in TIMES:
            figures[key] = min(values)
        else:
            del medians[key]
    return figures, medians


def rows(figures: Mapping[str, float], medians: Mapping[str, float]) -> list[list[str]]:
    """What is measured, its figure and its median, in words and in the order of `WORDS`."""
    return [
        [text, format(figures[key], form), format(medians[key], form) if key in medians else ""]
        for key, (text, form) in WORDS.items()
        if key in figures
    ]

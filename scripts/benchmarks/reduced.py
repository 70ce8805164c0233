"""Speed of the reduced model, observations, critic's view and rewards included; episodes are of a pool drawn before.

A round is a whole episode of every environment: late in one, batteries stand at their limits, and a step takes longer.
"""

from __future__ import annotations

from benchmarks.simulator import step_time_s
from marl.environment.batch import make_batch

SIZES = (64, 1024)


def measure(rounds: int, n_step: int = 500, pool: int = 64) -> dict[str, list[float]]:
    """{key: its value of every round}, whole system as one group and areas."""
    found: dict[str, list[float]] = {}
    for n_env in SIZES:
        for level, name in (("system", ""), ("area", "_areas")):
            batch = make_batch(
                "training",
                n_env,
                level=level,  # type: ignore[arg-type]
                stagger=True,
                check=False,
                physics="reduced",
                pool=pool,
            )
            batch.reset()
            step_time_s(batch, 5)
            found[f"reduced_env_steps_per_s_{n_env}{name}"] = [
                1.0 / step_time_s(batch, n_step) for _ in range(rounds)
            ]
    return found

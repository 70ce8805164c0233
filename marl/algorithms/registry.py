"""Algorithms by the names that a configuration calls them by.

A learner that is added stands in a file of its own beside `mappo.py` and has the constructor that `MakeAlgorithm` asks
for; it gets a line here and a name in `marl.config.training.AlgorithmName`. Settings of its own, where those of
`PPOConfig` are not what it needs, are a part of `TrainingConfig`.
"""

from __future__ import annotations

from importlib import import_module

from marl.algorithms.algorithm import MakeAlgorithm
from marl.config.training import AlgorithmName

__all__ = ["ALGORITHMS", "algorithm_named"]

# Module and class of each: imported when it is asked for, so that a run loads its own learner alone.
ALGORITHMS: dict[AlgorithmName, tuple[str, str]] = {
    "mappo": ("marl.algorithms.mappo", "MAPPO"),
    "masac": ("marl.algorithms.masac", "MASAC"),
    "happo": ("marl.algorithms.happo", "HAPPO"),
    "hierarchical": ("marl.algorithms.hierarchical", "HierarchicalMAPPO"),
}


def algorithm_named(name: AlgorithmName) -> MakeAlgorithm:
    """What builds the learner of this name."""
    module, of_class = ALGORITHMS[name]
    make: MakeAlgorithm = getattr(import_module(module), of_class)
    return make

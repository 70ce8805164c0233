"""The grid as environments: the batch of the learner, PettingZoo and Gymnasium. Only this folder of `marl`
knows the grid."""

from marl.environment.batch import ActionError, GridBatch, make_batch
from marl.environment.pettingzoo_env import GridParallelEnv, parallel_env

__all__ = ["ActionError", "GridBatch", "GridParallelEnv", "make_batch", "parallel_env"]

"""The books of a batch: what an interval is worth, what is logged of it, and whose time is over, in one call."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray, IntArray
from control.task.limits import Judged, LimitCheck
from control.task.reward import REWARD_TERMS, RewardPrices, charge
from control.task.step_metrics import MEASUREMENTS, measure
from grid_model.compilation import compiled
from grid_model.kernels.held import hold

__all__ = ["Ledger"]

N_TERM = len(REWARD_TERMS)


class Account(NamedTuple):
    """What the books are kept by."""

    prices: RewardPrices
    interval: IntArray  # done, [env]
    length: IntArray  # of the present episodes, [env]
    kind: IntArray  # of each plant, 0, 1 .., [resource]
    n_bus: int


class Ledger:
    """The books of a batch.

    Attributes:
        logged: names of what `enter` fills in: the reward's terms, MEASUREMENTS, and how far the plants of each kind
            moved.
    """

    def __init__(
        self, prices: RewardPrices, interval: IntArray, length: IntArray, kinds: tuple[str, ...], n_bus: int
    ) -> None:
        """Open the books.

        Args:
            prices: what is charged.
            interval: intervals done, an array that stays, [env].
            length: intervals that the present episodes have, an array that stays, [env].
            kinds: of the plants, [resource].
            n_bus: buses of the grid.
        """
        names = list(dict.fromkeys(kinds))
        self.logged = (
            *(f"reward_{name}" for name in REWARD_TERMS),
            *MEASUREMENTS,
            *(f"moved_mw_{name}" for name in names),
        )
        kind = np.array([names.index(name) for name in kinds])
        self._account = hold(Account(prices, interval, length, kind, n_bus))

    def enter(self, result: LimitCheck, found: FloatArray) -> tuple[FloatArray, BoolArray, int]:
        """Book one interval.

        Args:
            result: what it came to.
            found: filled with what is logged, [quantity, env].

        Returns:
            The reward, [env]; whose time is over without the grid being lost, [env]; and how many episodes end, either
            way.
        """
        n_env = len(result.grid_lost)
        reward, truncated = np.empty(n_env), np.empty(n_env, dtype=np.bool_)
        n_done: int = _enter(self._account, found, reward, truncated, *result.judged)
        return reward, truncated, n_done


@compiled
def _enter(
    account: Account, found: FloatArray, reward: FloatArray, truncated: BoolArray, *arrays: npt.NDArray[Any]
) -> int:
    """See Ledger.enter; `found`, `reward` and `truncated` are filled.

    `arrays`: those of a `Judged`, in turn; one by one they are handed over faster.
    """
    judged = Judged(*arrays)
    interval = account.interval
    charge(judged, interval, account.prices, found, reward)
    measure(judged, account.n_bus, account.kind, found[N_TERM:])
    n_done = 0
    for e in range(interval.size):
        truncated[e] = interval[e] >= account.length[e] and not judged.grid_lost[e]
        n_done += int(judged.grid_lost[e] or truncated[e])
    return n_done

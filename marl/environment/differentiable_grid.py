"""Episodes once more with other actions, and what they cost, so that it can be differentiated by the actions.

An episode is played on the reduced model and written down (`recorded_episodes.py`): what agents saw, where frequency
went, and what drove the grid. Then it is played again on one mass, in torch, with whatever actions; what the agents do
not change, loads, weather, schedules, forecasts and outages, is as it was:

    M df/dt = A + r + sum_i s_i p_i + P_governor - D f - drawn

A runs along a straight line within an interval. r is constant in it and chosen so that with the recorded actions the
mass is at each interval's end where the centre of inertia was; it holds what is left out here: an outage within the
interval, motion of areas against each other, curtailment. s_i is what the grid meets of a plant's power, `drawn` what
loads take more because plants have raised their voltage. Plants follow their set-points with their lags, within their
ramps and ranges; a battery stops in time before it is empty or full. Frequencies that agents see move with that of the
mass, as late as telemetry is; of a value that was lost or noisy, too. All else that depends on actions, outputs, states
of charge and memories, is made anew.

Costs are those of the reward for frequency, movement and effort. Violations have no gradient and are in none.

It is here, and not beside the reduced model, because it needs torch, which only the learner has. The compiled model is
the reference: costs, views and gradients are held to it by tests.

References:
    C. D. Freeman et al., Brax, NeurIPS 2021 (analytic policy gradients).
    J. Xu et al., Accelerated policy learning with parallel differentiable simulation, ICLR 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cases.arrays import FloatArray, IntArray
from control.plants.battery import S_PER_H
from control.task.layout import (
    AVERAGE_DF,
    AVERAGE_S,
    BEFORE_DF,
    DF_HZ,
    EARLIER_DF,
    EXTENDED_SIZE,
    LAST_ACTION,
    NEAR_LIMIT,
    NEAR_LIMIT_FROM,
    NEAREST_DF,
    OBSERVATION_SIZE,
    OWN_DF,
    OWN_OUTPUT,
    SYSTEM_DF,
    UTILISATION,
)
from control.telemetry.scada import MAX_DELAY_INTERVALS

__all__ = ["MassState", "PlayedAgain", "steps_of"]

# Of integration: in one all but frequency itself is exact. An interval of 4 s has four.
LEAST_STEPS, LONGEST_STEP_S = 4, 1.0
LARGEST_CORRECTION_MW = 1e4  # of a grid that is being lost
# A battery's room to stop in is a square root, whose slope at nothing is infinite [MW^2].
LEAST_ROOM_MW2 = 1e-2


def steps_of(interval_s: float) -> int:
    """Steps of integration in an interval of this length."""
    return max(LEAST_STEPS, int(np.ceil(interval_s / LONGEST_STEP_S)))


class MassState(NamedTuple):
    """Where the episodes stand, [env] or [env, resource]."""

    df_hz: Tensor
    valve_mw: Tensor
    reheat_mw: Tensor
    drawn_mw: Tensor  # what loads take more by plants' doing, in this interval and in the next
    drawn_next_mw: Tensor
    command_mw: Tensor
    set_point_mw: Tensor
    output_mw: Tensor
    energy_mwh: Tensor
    sent_hz: tuple[Tensor, ...]  # frequencies of the last intervals, the newest last
    own_df: Tensor  # as seen an interval ago, and two
    earlier_df: Tensor
    averages: tuple[Tensor, ...]
    last_action: Tensor


class _Seen(NamedTuple):
    """Own frequencies as they were just shown, to be remembered."""

    own_df: Tensor
    averages: tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class PlayedAgain:
    """Recorded episodes of one length; arrays lead with [interval, env].

    Attributes:
        n_interval, n_env: how many.
    """

    of_kind: Mapping[str, IntArray]  # plants of each group
    seen: Tensor  # what agents saw, [interval, env, resource, number]
    df_hz: Tensor  # of the centre of inertia, [interval + 1, env]
    driving: Mapping[str, Tensor]  # as `control.task.reduced_driving.Driving` has it
    correction_mw: Tensor  # r
    energy_mwh: Tensor  # at the beginning, [env, resource]
    delay: Tensor  # of the system's and the buses' frequencies [intervals], [2, env]
    fleet: Mapping[str, Tensor]  # [resource]
    frequency_per_hz2: float  # of all buses together
    governor_decay: tuple[float, float]  # of valve and reheater over a step
    high_pressure_fraction: float
    load_fade: float
    interval_s: float
    half_full_per_mwh2: float

    @property
    def n_step(self) -> int:
        """Steps of integration in an interval."""
        return steps_of(self.interval_s)

    @property
    def n_interval(self) -> int:
        """Intervals of an episode."""
        return len(self.seen)

    @property
    def n_env(self) -> int:
        """Episodes."""
        return self.seen.shape[1]

    def some(self, envs: IntArray | Sequence[int]) -> PlayedAgain:
        """Some of the episodes."""
        rows = torch.as_tensor(envs)
        return replace(
            self,
            seen=self.seen[:, rows],
            df_hz=self.df_hz[:, rows],
            driving={name: x[:, rows] for name, x in self.driving.items()},
            correction_mw=self.correction_mw[:, rows],
            energy_mwh=self.energy_mwh[rows],
            delay=self.delay[:, rows],
        )

    def begin(self) -> MassState:
        """At their beginning."""
        none, plants = torch.zeros(self.n_env), torch.zeros(self.n_env, self.seen.shape[2])
        return MassState(
            df_hz=none,
            valve_mw=none,
            reheat_mw=none,
            drawn_mw=none,
            drawn_next_mw=none,
            command_mw=plants,
            set_point_mw=plants,
            output_mw=plants,
            energy_mwh=self.energy_mwh,
            sent_hz=(none,) * (MAX_DELAY_INTERVALS + 1),
            own_df=plants,
            earlier_df=plants,
            averages=(plants,) * len(AVERAGE_S),
            last_action=plants,
        )

    def observe(self, k: int, state: MassState) -> tuple[dict[str, Tensor], _Seen]:
        """What the agents see at the beginning of interval k, {group: [env, agent, number]}."""
        shown = list(self.seen[k].unbind(-1))
        own = shown[OWN_DF] + ((state.df_hz - self.df_hz[k]) / DF_HZ)[:, None]
        shown[OWN_DF] = own
        shown[SYSTEM_DF] = shown[SYSTEM_DF] + self._moved(k, state, self.delay[0])
        by_bus = self._moved(k, state, self.delay[1])
        for i in range(NEAREST_DF.start, NEAREST_DF.stop):
            shown[i] = shown[i] + by_bus
        fleet, output = self.fleet, state.output_mw
        shown[OWN_OUTPUT] = output / fleet["range_mw"]
        reach_mw = torch.where(output >= 0.0, fleet["high_mw"], -fleet["low_mw"])
        share = torch.where(reach_mw > 0.0, output / reach_mw.clamp(min=1e-9), torch.zeros_like(output))
        charge = 2.0 * state.energy_mwh / fleet["capacity_mwh"] - 1.0
        use = torch.where(fleet["is_battery"], charge, share)
        shown[UTILISATION] = use
        averages = state.averages
        if k > 0:
            keep = [float(np.exp(-self.interval_s / tau_s)) for tau_s in AVERAGE_S]
            averages = tuple(own + (x - own) * a for x, a in zip(averages, keep, strict=True))
        if len(shown) > OBSERVATION_SIZE:
            shown[BEFORE_DF], shown[LAST_ACTION] = state.own_df, state.last_action
        if len(shown) > EXTENDED_SIZE:
            shown[EARLIER_DF] = state.earlier_df
            shown[AVERAGE_DF] = averages
            beyond = (use.abs() - NEAR_LIMIT_FROM).clamp(min=0.0) / (1.0 - NEAR_LIMIT_FROM)
            shown[NEAR_LIMIT] = torch.copysign(beyond, use)
        x = torch.stack(shown, dim=-1)
        return {name: x[:, rows] for name, rows in self.of_kind.items()}, _Seen(own, averages)

    def _moved(self, k: int, state: MassState, delay: Tensor) -> Tensor:
        """How much else a late frequency is than it was, scaled, [env, 1]."""
        then = (k - delay).clamp(min=0)
        was = self.df_hz[then, torch.arange(self.n_env)]
        sent = torch.stack(state.sent_hz)
        now = sent[len(sent) - 1 - delay, torch.arange(self.n_env)]
        return ((now - was) / DF_HZ)[:, None]

    def step(
        self, k: int, state: MassState, seen: _Seen, action: Mapping[str, Tensor]
    ) -> tuple[MassState, Tensor]:
        """Interval k.

        Args:
            k: which one.
            state: at its beginning.
            seen: what `observe` said is to be remembered.
            action: {group: [env, agent, 1]}; cut at -1 and 1.

        Returns:
            The state at its end, and what the interval costs, [env].
        """
        wanted = torch.zeros_like(state.command_mw)
        for name, rows in self.of_kind.items():
            wanted = wanted.index_copy(1, torch.as_tensor(rows), action[name][..., 0])
        wanted = wanted.clamp(-1.0, 1.0)
        command, set_point = self._set_points(state, wanted)
        outputs = self._outputs(state, set_point)
        output = outputs[-1]
        df_hz, valve, reheat, square = self._frequency(k, state, outputs)
        fleet, h = self.fleet, self.interval_s
        whole_mws = (state.set_point_mw + set_point) * (0.5 * h)
        whole_mws = whole_mws - (output - state.output_mw) * fleet["lag_s"]
        given = whole_mws.clamp(min=0.0) / fleet["discharging_efficiency"]
        taken = (-whole_mws).clamp(min=0.0) * fleet["charging_efficiency"]
        stored_mws = torch.where(fleet["is_battery"], taken - given, whole_mws)
        change_mw = command - state.command_mw
        cost = self.frequency_per_hz2 * square
        cost = cost + (change_mw.abs() * fleet["movement_per_mw"]).sum(dim=1)
        cost = cost + (change_mw.square() * fleet["effort_per_mw2"]).sum(dim=1)
        relieved = ((output - state.output_mw) * self.driving["plant_relief"][k]).sum(dim=1)
        after = MassState(
            df_hz=df_hz,
            valve_mw=valve,
            reheat_mw=reheat,
            drawn_mw=state.drawn_next_mw,
            drawn_next_mw=(state.drawn_next_mw + relieved) * self.load_fade,
            command_mw=command,
            set_point_mw=set_point,
            output_mw=output,
            energy_mwh=state.energy_mwh + stored_mws / S_PER_H,
            sent_hz=(*state.sent_hz[1:], df_hz),
            own_df=seen.own_df,
            earlier_df=state.own_df,
            averages=seen.averages,
            last_action=wanted,
        )
        return after, cost

    def ahead(self, state: MassState) -> Tensor:
        """What the batteries' charge is worth beyond a horizon: see `HorizonConfig.half_full_per_mwh2`, [env]."""
        half = 0.5 * self.fleet["capacity_mwh"]
        away_mwh = ((state.energy_mwh - half) * self.fleet["is_battery"]).sum(dim=1)
        return self.half_full_per_mwh2 * away_mwh.square()

    def _set_points(self, state: MassState, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Commands and set-points at the interval's end [MW]."""
        fleet, h = self.fleet, self.interval_s
        step, low, high = fleet["step_mw"], fleet["low_mw"], fleet["high_mw"]
        command = torch.minimum(torch.maximum(state.command_mw + wanted * step, low), high)
        # What a battery may give is what it can take back, at its ramp, before it is empty: u^2 h / (2 step).
        left_mws = (state.energy_mwh * fleet["discharging_efficiency"]).clamp(min=0.0) * S_PER_H
        room_mws = (fleet["capacity_mwh"] - state.energy_mwh).clamp(min=0.0) * S_PER_H
        room_mws = room_mws / fleet["charging_efficiency"]
        most = torch.sqrt(left_mws * (2.0 * step / h) + LEAST_ROOM_MW2)
        least = -torch.sqrt(room_mws * (2.0 * step / h) + LEAST_ROOM_MW2)
        stopped = torch.minimum(torch.maximum(command, least), most)
        command = torch.where(fleet["is_battery"], stopped, command)
        lent = command - state.energy_mwh * (S_PER_H / fleet["rebound_s"])
        lowest = torch.maximum(state.set_point_mw - step, low)
        highest = torch.minimum(state.set_point_mw + step, high)
        lent = torch.minimum(torch.maximum(lent, lowest), highest)
        return command, torch.where(fleet["is_flexible_load"], lent, command)

    def _outputs(self, state: MassState, set_point: Tensor) -> Tensor:
        """Of the plants at the beginning and after every step [MW], [step + 1, env, resource]."""
        lag_s = self.fleet["lag_s"]
        rise = (set_point - state.set_point_mw) / self.interval_s
        at_s = torch.arange(1, self.n_step + 1)[:, None, None] * (self.interval_s / self.n_step)
        behind = rise * lag_s
        gap = state.output_mw - state.set_point_mw + behind
        later = state.set_point_mw + rise * at_s - behind + gap * torch.exp(-at_s / lag_s)
        return torch.cat([state.output_mw[None], later])

    def _frequency(self, k: int, state: MassState, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Frequency [Hz], valves and reheaters [MW] at the interval's end, and the mean square of frequency [Hz^2]."""
        now = {name: x[k] for name, x in self.driving.items()}
        n_step = self.n_step
        dt = self.interval_s / n_step
        plants_mw = (outputs * now["plant_share"]).sum(dim=2)
        begin = now["begin_mw"] + self.correction_mw[k] - state.drawn_mw
        rise = now["end_mw"] - now["begin_mw"]
        half = 0.5 * dt * now["damping_mw_per_hz"]
        keeps, gains = now["inertia_mws_per_hz"] - half, 1.0 / (now["inertia_mws_per_hz"] + half)
        valve_keeps, reheat_keeps = self.governor_decay
        high, band = self.high_pressure_fraction, now["dead_band_hz"]
        f, valve, reheat = state.df_hz, state.valve_mw, state.reheat_mw
        square = torch.zeros_like(f)
        for j in range(n_step):
            beyond = (f - band).clamp(min=0.0) + (f + band).clamp(max=0.0)
            asked = torch.maximum(-now["governor_mw_per_hz"] * beyond, -now["room_down_mw"])
            asked = torch.minimum(asked, now["room_up_mw"])
            moved = asked + (valve - asked) * valve_keeps
            mean = 0.5 * (valve + moved)
            warmed = mean + (reheat - mean) * reheat_keeps
            power = begin + rise * ((j + 0.5) / n_step) + 0.5 * (plants_mw[j] + plants_mw[j + 1])
            power = power + high * mean + (1.0 - high) * 0.5 * (reheat + warmed)
            after = (f * keeps + dt * power) * gains
            square = square + (f * f + f * after + after * after) * (1.0 / (3.0 * n_step))
            f, valve, reheat = after, moved, warmed
        return f, valve, reheat, square

    def corrected(self, actions: FloatArray) -> PlayedAgain:
        """The same with r as the recorded actions ask for, [interval, env, resource]."""
        correction = torch.zeros_like(self.correction_mw)
        found = replace(self, correction_mw=correction)
        done = torch.from_numpy(actions.astype(np.float32))
        with torch.no_grad():
            state = found.begin()
            for k in range(self.n_interval):
                _, seen = found.observe(k, state)
                by_kind = {name: done[k][:, rows, None] for name, rows in self.of_kind.items()}
                wrong_hz = self.df_hz[k + 1] - found.step(k, state, seen, by_kind)[0].df_hz
                inertia = self.driving["inertia_mws_per_hz"][k]
                damped = 0.5 * self.interval_s * self.driving["damping_mw_per_hz"][k]
                correction[k] = (wrong_hz * (inertia + damped) / self.interval_s).clamp(
                    -LARGEST_CORRECTION_MW, LARGEST_CORRECTION_MW
                )
                after, _ = found.step(k, state, seen, by_kind)
                now_hz = self.df_hz[k + 1]
                state = after._replace(df_hz=now_hz, sent_hz=(*after.sent_hz[:-1], now_hz))
        return found

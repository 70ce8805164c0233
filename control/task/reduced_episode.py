"""An episode of the full simulator, reduced once to what accelerates the groups: no power flow is left to solve.

The episode is drawn by the full builder and its first power flow is the full one, so the same seed means the same
episode in both. What acts on the groups g besides agents and governors is a line from interval to interval,

    A_g(t) = P_schedule,g(t) - P_elec,g(t),     dP_elec,g = sum_b Phi_bg d(load_b - renewable_b)(t) + d losses_g(t)

with the impact shares Phi of the topology that holds. Where machines are dispatched anew, and where elements are
switched, an AC power flow says how losses and voltages jump, A jumps by what the groups meet at that instant, and the
next `Segment` holds: inertia, governors and network. Between these moments

* losses change by the slope that they have in the AC power flow, and curve as those of a linear network do;
* loads follow their voltage, P ~ V^alpha, and forget it within the recovery time. Voltages answer changes of power by
  their sensitivity there, so what loads draw more is the high pass of a weighted sum of powers. In everyday intervals
  the full model lets a load draw what the voltage before the last said; so does this.

An agent's power does both too, by factors of the segment. Left out: voltages that machines regulate with a lag after an
event, and everything that takes more than one island.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray, IntArray
from cases.case import Case
from cases.series import Series
from control.scenario.config import ScenarioConfig
from control.scenario.episode import Episode, EpisodeBuilder
from control.task.followed_grid import FollowedGrid, Service, Solved, Switching
from control.task.staged_loop import StagedLoop
from grid_model.dynamics.coherency import SwingTopology
from grid_model.dynamics.parameters import SwingConfig
from grid_model.reduced.losses import LinearNetwork
from grid_model.reduced.sensitivity import sensitivity_at

__all__ = ["EpisodeReducer", "ReducedEpisode", "Segment"]

ComplexArray = npt.NDArray[np.complex128]


class Segment(NamedTuple):
    """What holds between two switchings."""

    inertia_mws_per_hz: FloatArray  # [group]
    rate_mw_per_s: FloatArray  # of the governors, [group]
    gain_mw_per_hz: FloatArray  # of each machine's governor, [machine]
    stiffness_mw_per_rad: FloatArray  # T, [group, group]
    plant_share: (
        FloatArray  # what each group feels of a plant's power, marginal losses off, [resource, group]
    )
    plant_relief: (
        FloatArray  # what loads draw more of each group by the voltage, for a plant's MW, [resource, group]
    )
    bus_frequency: FloatArray  # the frequency divider, [bus, group]


@dataclass(frozen=True, kw_only=True)
class ReducedEpisode:
    """One episode as the reduced model plays it; axis `time` has T + 1 entries, the ends of the intervals."""

    episode: Episode
    accelerating_mw: FloatArray  # A at the end of each interval, [time, group]
    damping_mw_per_hz: FloatArray  # of the loads, [time, group]
    curtailable_mw: FloatArray  # wind and sun as each group feels them, [time, group]
    room_up_mw: FloatArray  # of each machine's governor, [time, machine]
    room_down_mw: FloatArray  # [time, machine]
    load_mw: FloatArray  # with steps, [time, load]
    renewable_mw: FloatArray  # [time, renewable]
    schedule_mw: FloatArray  # of all machines, [time]
    forecast_mw: FloatArray  # renewables as forecast less their schedule, [time, horizon]
    elements_out: IntArray  # at the end of each interval, [time]
    segments: tuple[Segment, ...]
    switch_interval: IntArray  # in which the next segment begins, from 1 on, [switching]
    switch_at: FloatArray  # at which share of it, 0 to below 1, [switching]
    before_mw: FloatArray  # A just before, [switching, group]
    after_mw: FloatArray  # and just after, [switching, group]
    keep: FloatArray  # share of its governors that each group keeps, [switching, group]


class _Stretch(NamedTuple):
    """What happens between two switchings, both ends included."""

    line_mw: FloatArray  # A from its beginning on, zero there, [point, group]
    # What loads would draw more if they kept to their voltage, zero at the beginning, [point, group].
    drawn_mw: FloatArray
    load_mw: FloatArray  # at the end, [load]
    injection_mw: FloatArray  # there, [bus]
    weight_mw_per_pu: FloatArray  # what a voltage more makes loads draw of each group, [bus, group]
    delivered: FloatArray  # share of each group in the losses, [group]


class EpisodeReducer:
    """Draws episodes of a scenario and reduces them, on one grid of its own.

    Attributes:
        config: the frequency model; n_group: of its groups.
        machine_order: machines, one group after the other; group_of_sorted: their groups in that order.
    """

    def __init__(
        self, case: Case, series: Series, scenario: ScenarioConfig, swing: SwingConfig | None = None
    ) -> None:
        """Build the grid.

        Raises:
            ValueError: the level of the frequency model is `machine`.
        """
        if swing is not None and swing.level == "machine":
            raise ValueError("level = 'machine' with physics = 'reduced', expected 'area' or 'system'")
        self.case, self.scenario = case, scenario
        self._loop = StagedLoop(case, series, scenario, 1, swing=swing, check=False)
        grid = self._loop.grid
        self.config = grid.config
        self._group: IntArray = grid.group_of_machine
        self.n_group = int(self._group.max()) + 1
        self.machine_order = np.argsort(self._group, kind="stable")
        self.group_of_sorted: IntArray = self._group[self.machine_order]
        self._mvar_per_mw = self._loop.plan.mvar_per_mw
        self._grid = FollowedGrid(case, self.config, self._group, scenario.name, self._mvar_per_mw)

    @property
    def builder(self) -> EpisodeBuilder:
        """Of the scenario's episodes."""
        return self._loop.builders[0]

    def reduce(
        self, generator: np.random.Generator, dt_s: float, builder: EpisodeBuilder | None = None
    ) -> ReducedEpisode:
        """The next episode of a generator.

        Args:
            generator: draws it.
            dt_s: integration step of the model that plays it.
            builder: of another scenario's episodes.

        Raises:
            ScenarioError: its events cut the grid apart, which takes more frequencies than this model has.
        """
        loop, case = self._loop, self.case
        loop.builders = [builder or loop.builders[0]]
        loop.reset(np.array([0]), [generator])
        episode, engine = loop.episode[0], loop.grid.engine
        assert episode is not None
        self._grid.inertia_share = float(loop.grid.topology.inertia_share[0])
        load_mw, renewable_mw, schedule_mw, committed_share, redispatched = loop.exogenous(0)
        n_time, n_group = len(load_mw), self.n_group
        service = Service(
            branch=np.ones(case.n_branch, dtype=np.bool_),
            machine=np.ones(case.n_machine, dtype=np.bool_),
            share=committed_share[0],
            reactor_share=engine.reactor_share[0].copy(),
            load_step_mw=np.zeros(case.n_load),
        )
        solved = Solved(engine.v_pu[0].copy(), loop.grid.machine_mvar[0].copy(), 0.0)
        accelerating_mw, drawn_mw = np.zeros((n_time, n_group)), np.zeros((n_time, n_group))
        damping, curtailable_mw = np.zeros((n_time, n_group)), np.zeros((n_time, n_group))
        room_up_mw, room_down_mw = np.zeros((n_time, case.n_machine)), np.zeros((n_time, case.n_machine))
        elements_out = np.zeros(n_time, dtype=np.int64)
        load_step_mw = np.zeros((n_time, case.n_load))
        switchings = self._switchings(episode, redispatched, committed_share)
        segments: list[Segment] = []
        before, after, keeps, jumps = [], [], [], []
        a_mw, drawn = np.zeros(n_group), np.zeros(n_group)
        begin = 0.0
        for index in range(len(switchings) + 1):
            following = switchings[index] if index < len(switchings) else None
            end = float(n_time - 1) if following is None else following.at
            found, running = self._grid.topology(service), service.running
            whole = np.arange(int(np.floor(begin)) + 1, int(np.ceil(end)))
            points = np.concatenate([[begin], whole, [end]])
            powers = (_at(load_mw, points), _at(renewable_mw, points), _at(schedule_mw, points))
            segment, stretch = self._follow(*powers, service, found, solved, dt_s)
            segments.append(segment)
            accelerating_mw[whole] = a_mw + stretch.line_mw[1:-1]
            drawn_mw[whole] = drawn + stretch.drawn_mw[1:-1]
            a_mw, drawn = a_mw + stretch.line_mw[-1], drawn + stretch.drawn_mw[-1]
            if end == np.floor(end):
                accelerating_mw[int(end)], drawn_mw[int(end)] = a_mw, drawn
            span = slice(int(np.ceil(begin)), n_time if following is None else int(np.ceil(end)))
            load_step_mw[span] = service.load_step_mw
            by_load = found.impact_share[case.load.bus]
            damping[span] = (self.config.load_damping / case.f0_hz) * (
                (load_mw + load_step_mw)[span] @ by_load
            )
            curtailable_mw[span] = renewable_mw[span] @ found.impact_share[case.renewable.bus]
            room_up_mw[span], room_down_mw[span] = self._grid.rooms(schedule_mw[span], service, found)
            elements_out[span] = service.elements_out
            if following is None:
                break
            before.append(a_mw)
            gain = (found.governor_share * service.share * running) @ self._grid.member
            event, met = following.event, found.impact_share
            if event is not None and event.kind == "load_step":
                service.load_step_mw = service.load_step_mw.copy()
                service.load_step_mw[event.index] += event.p_mw
                a_mw = a_mw - event.p_mw * met[case.load.bus[event.index]]
            elif event is not None:
                which = service.branch if event.kind.startswith("branch") else service.machine
                which[event.index] = event.kind.endswith("_in")
            then, solved, away_pu = self._grid.switch(
                service, running, following, stretch.load_mw, stretch.injection_mw, solved
            )
            a_mw = a_mw - then * stretch.delivered
            jumps.append(away_pu @ stretch.weight_mw_per_pu)
            now = self._grid.topology(service)
            due_mw = _at(schedule_mw, np.array([end]))[0]
            gone, come = running & ~service.running, service.running & ~running
            a_mw = a_mw - (due_mw * gone) @ now.impact_share[case.machine.bus]
            a_mw = a_mw + (due_mw * come) @ met[case.machine.bus]
            after.append(a_mw)
            gain_now = (now.governor_share * service.share * service.running) @ self._grid.member
            keeps.append(np.minimum(1.0, gain_now / np.maximum(gain, 1e-12)))
            begin = end
        at = np.array([s.at for s in switchings])
        shape = (len(at), n_group)
        before_mw, after_mw = np.reshape(before, shape), np.reshape(after, shape)
        self._follow_voltage(drawn_mw, at, np.reshape(jumps, shape), accelerating_mw, before_mw, after_mw)
        interval = np.floor(at).astype(np.int64) + 1
        return ReducedEpisode(
            episode=episode,
            accelerating_mw=accelerating_mw,
            damping_mw_per_hz=damping,
            curtailable_mw=curtailable_mw,
            room_up_mw=room_up_mw,
            room_down_mw=room_down_mw,
            load_mw=load_mw + load_step_mw,
            renewable_mw=renewable_mw,
            schedule_mw=schedule_mw.sum(axis=1),
            forecast_mw=episode.forecast_renewable_mw - episode.schedule_renewable_ahead_mw,
            elements_out=elements_out,
            segments=tuple(segments),
            switch_interval=interval,
            switch_at=at - (interval - 1.0),
            before_mw=before_mw,
            after_mw=after_mw,
            keep=np.reshape(keeps, shape),
        )

    def _follow(
        self,
        load_mw: FloatArray,
        renewable_mw: FloatArray,
        schedule_mw: FloatArray,
        service: Service,
        found: SwingTopology,
        solved: Solved,
        dt_s: float,
    ) -> tuple[Segment, _Stretch]:
        """From one switching to the next, powers at its points given, [point, x]."""
        case, running, phi = self.case, service.running, found.impact_share
        load_mw = load_mw + service.load_step_mw
        schedule_mw = np.where(running, schedule_mw, 0.0)
        gain = found.governor_share * service.share * running
        balance = gain / gain.sum()
        injection = self._injection(load_mw, renewable_mw, schedule_mw)
        change = injection - injection[0]
        reactive = np.zeros((case.n_bus, len(load_mw)))
        np.subtract.at(reactive, case.load.bus, ((load_mw - load_mw[0]) * self._mvar_per_mw).T)
        sensitivity = sensitivity_at(
            case, solved.v_pu, service.branch, running, service.reactor_share, balance
        )
        vm_pu = np.abs(solved.v_pu)
        network = LinearNetwork(case, vm_pu, service.branch, balance)
        loss_mw = network.losses_mw(injection)
        # The slope of the losses is that of the AC power flow, their curvature that of the linear network.
        more_mw = change @ (sensitivity.losses_mw_per_mw - network.marginal_losses(injection[0]))
        more_mw += reactive.T @ sensitivity.losses_mw_per_mvar
        by_branch = 0.5 * (phi[case.branch.from_bus] + phi[case.branch.to_bus])
        delivered = loss_mw[0] @ by_branch / max(float(loss_mw[0].sum()), 1e-9)
        loads = self.config.load
        weight = np.zeros((case.n_bus, self.n_group))
        np.add.at(weight, case.load.bus, load_mw[0][:, None] * phi[case.load.bus])
        weight *= loads.p_exponent * (1.0 - loads.constant_share) / vm_pu[:, None]
        by_mw = sensitivity.voltage_pu_per_mw.T @ weight
        by_mvar = sensitivity.voltage_pu_per_mvar.T @ weight
        elec_mw = load_mw @ phi[case.load.bus] - renewable_mw @ phi[case.renewable.bus]
        elec_mw += loss_mw @ by_branch + more_mw[:, None] * delivered
        line_mw = schedule_mw @ self._grid.member - elec_mw
        bus = case.resource.bus
        segment = Segment(
            inertia_mws_per_hz=self._grid.inertia_mws_per_hz(found, service),
            rate_mw_per_s=self.config.governor.rate_mw_per_s * (gain @ self._grid.member),
            gain_mw_per_hz=self.config.governor.gain_mw_per_hz * gain,
            stiffness_mw_per_rad=self._grid.stiffness(found, service, solved, dt_s),
            plant_share=phi[bus] * (1.0 - sensitivity.losses_mw_per_mw[bus])[:, None],
            plant_relief=by_mw[bus],
            bus_frequency=found.bus_frequency,
        )
        return segment, _Stretch(
            line_mw - line_mw[0],
            change @ by_mw + reactive.T @ by_mvar,
            load_mw[-1],
            injection[-1],
            weight,
            delivered,
        )

    def _follow_voltage(
        self,
        drawn_mw: FloatArray,
        at: FloatArray,
        jump_mw: FloatArray,
        accelerating_mw: FloatArray,
        before_mw: FloatArray,
        after_mw: FloatArray,
    ) -> None:
        """Take off A what loads draw more because of their voltage, in place.

        Args:
            drawn_mw: what they would if they kept to it, without jumps, [time, group].
            at: switchings, in intervals, [switching].
            jump_mw: of what they draw there, [switching, group].
            accelerating_mw: [time, group].
            before_mw: [switching, group].
            after_mw: [switching, group].
        """
        fade = np.exp(-self.scenario.interval_s / self.config.load.recovery_s)
        kept = np.zeros_like(drawn_mw)
        for k in range(1, len(kept)):
            kept[k] = fade * (kept[k - 1] + drawn_mw[k] - drawn_mw[k - 1])
        # An interval is played with what the voltage at the beginning of the one before let loads draw.
        late = np.zeros_like(kept)
        late[2:] = 0.5 * (kept[:-2] + kept[1:-1])
        time = np.arange(len(kept), dtype=np.float64)
        accelerating_mw -= late
        if len(at):
            before_mw -= _at(late, at)
            after_mw -= _at(late, at)
        for j, moment in enumerate(at):
            since = time[time > moment] - moment
            accelerating_mw[time > moment] -= fade ** since[:, None] * jump_mw[j]
            later = np.arange(len(at)) > j
            before_mw[later] -= fade ** (at[later, None] - moment) * jump_mw[j]
            after_mw[later] -= fade ** (at[later, None] - moment) * jump_mw[j]
            after_mw[j] -= jump_mw[j]

    def _injection(
        self, load_mw: FloatArray, renewable_mw: FloatArray, schedule_mw: FloatArray
    ) -> FloatArray:
        """Power into every bus [MW], [point, bus]."""
        case = self.case
        result = np.zeros((case.n_bus, len(load_mw)))
        np.subtract.at(result, case.load.bus, load_mw.T)
        np.add.at(result, case.renewable.bus, renewable_mw.T)
        np.add.at(result, case.machine.bus, schedule_mw.T)
        return np.ascontiguousarray(result.T)

    def _switchings(
        self, episode: Episode, redispatched: BoolArray, committed_share: FloatArray
    ) -> list[Switching]:
        """What is switched in an episode, in order of time."""
        found = [
            Switching(float(k), None, committed_share[k]) for k in np.flatnonzero(redispatched[:-1]).tolist()
        ]
        dt_s = self.config.dt_s
        for event in episode.events:
            at = round(event.time_s / dt_s) * dt_s / self.scenario.interval_s
            if at < len(redispatched) - 1:
                found.append(Switching(at, event, committed_share[0]))
        return sorted(found, key=lambda s: s.at)


def _at(values: FloatArray, at: FloatArray) -> FloatArray:
    """Straight lines between whole numbers, [time, x] -> [at, x]."""
    low = np.minimum(np.floor(at).astype(np.int64), len(values) - 2)
    weight = (at - low)[:, None]
    found: FloatArray = (1.0 - weight) * values[low] + weight * values[low + 1]
    return found

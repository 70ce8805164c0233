"""Frequency and AC power flow together: one control interval of a batch of grids.

An interval runs in this order, and `GridSimulator.advance` reads so:

    1. loads, renewables, schedules and set-points move along straight lines to the interval's end;
    2. the swing equations of the groups are integrated with governors and the resources' lags;
    3. the electrical power of every machine at the end follows: a group's power is what it had at the last power
       flow, plus its impact share Phi of every change of injection, plus what the angles between the groups make
       flow, and inside a group the accelerating power is shared by inertia;
    4. the AC power flow is solved at that point. What is left over (the change of losses and the curvature of the
       network) is shared by the machines by governor gain;
    5. the machines' powers of that solution, with its losses and tie flows in them, and tie stiffness at its
       voltages are where the next interval starts.

    M_a dDf_a/dt = P_sched,a + P_gov,a - P_elec,a - D_a (Df_a - Df_a0) - tie damping
    P_elec,a(t) = P_elec,a(power flow) + sum_b Phi_ba [dP_load,b - dP_renewable,b - dP_resource,b](t) + T_ab theta_b(t)

At the `machine` level T theta is not linear: it is the power that flows between the machines' internal voltages E,
recomputed from every AC solution, through the reduced network of `grid_model.dynamics.kron_reduction`,
sum_j E_i E_j B_ij [sin delta_ij - sin delta_ij(power flow)]. The conductances of that network stand for loads and
losses and are left out: loads here draw constant power and belong to the power flow. With them, voltages that sag
in a swing would unload the grid by hundreds of MW until the next power flow loads it again. At every level the
change of losses with the angles is there to first order. The classical model with constant-impedance loads, which
has none of that, is in `grid_model.validation.classical`.

After an event, while groups swing against each other by more than `renewal_spread_hz`, and until machines' voltages
have come to rest, macro steps are no longer than `renewal_s`.

P_elec,a is the sum of what an area's machines send out in the AC solution. There it equals load plus losses plus
net export of the area, the terms of the textbook equation.

Load-shedding relays act at the integration step at which their pick-up time is over: the macro step is integrated,
the relays look at its trace, and it is cut there.

Events are met at their instant, rounded to the integration step: the macro step before it is integrated and solved,
the element switched, and the macro step after it starts from a power flow of its own. At the instant itself rotors
stand still; the power of what was lost is met by the groups through Phi of the new topology, which for a circuit is
its flow taken back at both ends.

Where switching cuts the grid apart, every island that has a machine and load lives on with a frequency of its own: a
power flow with a slack of its own, groups of its own (`island_groups`), relays that measure it. One that
has none, or for which the model has no group left, goes dark, and so does a smaller island whose frequency leaves
`island_trip_hz`, where its machines trip; `dark` says why. A larger one that does is for whoever judges the grid.
Islands that come together again close in phase, whatever the difference of their frequencies. "The" frequency of the
grid is that of the centre of inertia of all machines in service, whatever their island.

Loads follow the voltage (`load_model`), and from an event on, until all has come to rest, machines regulate theirs
with a lag instead of holding it (`terminal_voltage`). A swing in which a power flow has no solution, or voltages sag
deeply, is ridden through at the rotors' angles (`coupled_power_flow`); where there is nobody's solution the groups keep
the powers they have. The grid is lost after `lost_after_s` without any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cases.arrays import BoolArray, CaseDataError, ComplexArray, FloatArray, IntArray, any_set
from cases.case import Case
from grid_model.dynamics.coupled_power_flow import CoupledPowerFlow
from grid_model.dynamics.events import Event
from grid_model.dynamics.grid_arrays import arrays_of, no_injections
from grid_model.dynamics.group_network import GroupNetwork
from grid_model.dynamics.group_sums import centre_of_inertia, sum_groups, weigh_groups
from grid_model.dynamics.injections import InjectionProfile, Injections
from grid_model.dynamics.interruption import Interruptions
from grid_model.dynamics.island_groups import MOST_ISLANDS
from grid_model.dynamics.load_shedding import SheddingRelays
from grid_model.dynamics.macro_steps import MacroSteps
from grid_model.dynamics.over_excitation import OverExcitation
from grid_model.dynamics.over_frequency import OverFrequencyRelays
from grid_model.dynamics.parameters import SwingConfig
from grid_model.dynamics.recorder import Recorder
from grid_model.dynamics.saved_state import SavedState
from grid_model.dynamics.service import Service
from grid_model.dynamics.storage import StoragePlants, response_state, storage_at_rest
from grid_model.dynamics.swing_state import SwingState
from grid_model.dynamics.switching import Switching
from grid_model.dynamics.synchronising_power import SynchronisingPower
from grid_model.dynamics.terminal_voltage import TerminalVoltage
from grid_model.dynamics.unit_loading import UnitLoading
from grid_model.kernels.bus_injection import inject
from grid_model.kernels.held import hold
from grid_model.kernels.structs import placement_of
from grid_model.power_flow.newton import NewtonEngine
from grid_model.power_flow.reactive_limits import typical_limits

__all__ = ["GridSimulator"]


class GridSimulator:
    """A batch of grids in which swing equations and AC power flow advance together.

    Attributes (read them, change them only through the methods):
        topology: who is in service, and how the network joins the groups.
        engine: the power flows, with voltages, circuit flows and topology of every environment.
        profile: what acts on the grid in the last interval, with load steps and what shedding has left.
        swing_state: states and traces of the groups.
        synchronising_power: what flows between them as they turn against each other.
        relays: load shedding; plant_relays: machines that trip at over-frequency.
        interruptions: dark buses and load not served, as means over the last interval.
        storage: batteries' response to frequency, with its states; None where none responds.
        terminal_voltage: what the machines hold, their voltage or their field.
        service: who is to be in service, and in the schedule.
        flow: power flows, and which of them failed.
        lost: whether the power flow has gone without a solution for too long, [env].
        failed_solves: power flows of the last interval without a solution, [env].
        arrays: all arrays of the above, as compiled functions take them.
        machine_mw, machine_mvar: what each machine sends out at the last power flow, [env, machine].
        df_hz: frequency deviation of each group, [group, env]; the array of `swing_state`.
        dark: islands of each environment that went dark, and why, [env].
    """

    def __init__(
        self,
        case: Case,
        n_env: int,
        config: SwingConfig,
        *,
        resource_lag_s: FloatArray,
        interval_s: float = 4.0,
        storage: StoragePlants | None = None,
        check: bool = True,
    ) -> None:
        """Build engine and frequency model; every environment stands in the published state.

        Args:
            case: the grid.
            n_env: number of environments.
            config: choices of the frequency model.
            resource_lag_s: time constant of each resource [s], [resource].
            interval_s: length of a control interval, a whole number of integration steps [s].
            storage: batteries that respond to frequency within an interval; none if None.
            check: let pandapower confirm the engine, see `NewtonEngine`.

        Raises:
            ValueError: the control interval is not a whole number of integration steps.
            CaseDataError: the grid has several islands.
            EngineMismatch: with `check`, the engine's published state is not pandapower's.
            PowerFlowDiverged: the published state has no solution.
        """
        n_steps = round(interval_s / config.dt_s)
        if n_steps < 1 or abs(n_steps * config.dt_s - interval_s) > 1e-9:
            raise ValueError(
                f"control interval {interval_s} s is not a whole number of integration steps of {config.dt_s} s"
            )
        if case.n_island > 1:
            raise CaseDataError(
                f"case {case.name}: {case.n_island} islands, expected one, as each has a frequency of its own. Open "
                "them as grids of their own."
            )
        self.case = case
        self.n_env = n_env
        self.config = config
        self.interval_s = interval_s
        self.n_steps = n_steps
        limits = typical_limits(case.machine) if config.reactive_limits else None
        self.engine = NewtonEngine(case, n_env, check=check, n_island=MOST_ISLANDS, limits=limits)
        if config.level == "area":
            self.group_of_machine = case.bus.area[case.machine.bus]
            self.n_group = case.n_area + config.spare_groups
        elif config.level == "machine":
            self.group_of_machine = np.arange(case.n_machine)
            self.n_group = case.n_machine
        else:
            self.group_of_machine = np.zeros(case.n_machine, dtype=np.int64)
            self.n_group = 1 + config.spare_groups
        self._all = np.arange(n_env)
        self._recorders: dict[int, Recorder] = {}
        self.topology = GroupNetwork(config, self.engine, self.group_of_machine, self.n_group)
        self.profile = InjectionProfile(case, n_env, resource_lag_s, interval_s, n_steps)
        self.relays = SheddingRelays(config.load_shedding, case, n_env, config.dt_s)
        self.plant_relays = OverFrequencyRelays(config.over_frequency, case, n_env, config.dt_s)
        self.storage = None if storage is None else storage_at_rest(storage, n_env, case.f0_hz)
        self.interruptions = Interruptions(self.engine.bus_live, self.profile.served_share, case.load.bus)
        injected = no_injections(case, n_env)
        self.terminal_voltage = TerminalVoltage(
            config.terminal_voltage, case, self.engine, config.load.recovery_s
        )
        placement = placement_of(case, self.topology.machine_group)
        self.synchronising_power = SynchronisingPower(
            config.level, self.engine, self.topology, placement, injected.others_mva
        )
        engine, topology, governor = self.engine, self.topology, config.governor
        self.service = Service(
            engine, topology, self.synchronising_power, self.group_of_machine, config.island_trip_hz
        )
        self.dark = self.service.dark
        self._loading = UnitLoading(case, n_env, self.profile, governor.loading_percent_per_min, interval_s)
        self.arrays = hold(
            arrays_of(
                config,
                interval_s=interval_s,
                n_steps=n_steps,
                n_group=self.n_group,
                lag_s=resource_lag_s,
                placement=placement,
                injected=injected,
                engine=engine,
                topology=topology,
                profile=self.profile,
                service=self.service,
                synchronising_power=self.synchronising_power,
                terminal_voltage=self.terminal_voltage,
                storage=self.storage,
                relays=self.relays,
                plant_relays=self.plant_relays,
            )
        )
        self.swing_state = SwingState(self.arrays)
        self.df_hz = self.swing_state.df_hz
        self.machine_mw, self.machine_mvar = self.arrays.machine_state
        self.flow = CoupledPowerFlow(
            engine,
            self.arrays,
            self.terminal_voltage,
            self.synchronising_power,
            loads_depend=config.load.depends_on_voltage,
            lost_after_s=config.lost_after_s,
            limiters=None
            if limits is None
            else OverExcitation(n_env, limits.q_max_mvar, case.machine.rating_mva),
        )
        self.lost, self.failed_solves = self.flow.lost, self.flow.failed_solves
        self._switching = Switching(
            case=case,
            engine=engine,
            topology=topology,
            profile=self.profile,
            swing_state=self.swing_state,
            relays=self.relays,
            interruptions=self.interruptions,
            terminal_voltage=self.terminal_voltage,
            service=self.service,
            loading=self._loading,
            flow=self.flow,
            arrays=self.arrays,
            island_trip_hz=config.island_trip_hz,
        )
        self._macro_steps = MacroSteps(
            config=config,
            n_steps=n_steps,
            engine=engine,
            topology=topology,
            swing_state=self.swing_state,
            terminal_voltage=self.terminal_voltage,
            flow=self.flow,
            relays=self.relays,
            plant_relays=self.plant_relays,
            switching=self._switching,
            recorders=self._recorders,
        )
        self._saved = SavedState(
            arrays=self.arrays,
            engine=engine,
            topology=topology,
            profile=self.profile,
            swing_state=self.swing_state,
            relays=self.relays,
            plant_relays=self.plant_relays,
            service=self.service,
            loading=self._loading,
            synchronising_power=self.synchronising_power,
            terminal_voltage=self.terminal_voltage,
            flow=self.flow,
        )

    @property
    def injections(self) -> Injections:
        """What acts at the end of the last interval; the next one changes the arrays."""
        return self.profile.end

    @property
    def coming_injections(self) -> Injections:
        """Arrays to fill with what acts at the end of the next interval, for `advance`."""
        return self.profile.arrays.coming

    def start(
        self,
        envs: IntArray,
        injections: Injections,
        reactor_share: FloatArray,
        *,
        next_share: Callable[[FloatArray, FloatArray], FloatArray] | None = None,
        n_switching: int = 0,
        committed_share: FloatArray | None = None,
    ) -> FloatArray:
        """Put environments at rest at 60 Hz with everything in service that is in the schedule.

        The power flow is solved with the scheduled powers and what it leaves over is shared by governor gain; the
        machines' powers there are what a schedule in balance would have said.

        Args:
            envs: positions of the environments to start, [n].
            injections: what acts at the start, rows for these environments only.
            reactor_share: share of each shunt reactor switched in, [n, reactor] or [n, 1].
            next_share: the shares that an operator would choose from the present ones and the voltages at the
                reactors' buses [pu], all [n, reactor].
            n_switching: how often this was done before the start.
            committed_share: how much of each machine is in the schedule, [n, machine], see `commit`; all if None.

        Returns:
            Machines' powers in balance minus their schedule [MW], [n, machine].

        Raises:
            ValueError: n_switching is above zero, but there is no next_share.
        """
        if next_share is None and n_switching > 0:
            raise ValueError(f"n_switching = {n_switching} without next_share, which says what to switch")
        everything = np.ones((len(envs), self.case.n_machine))
        share = everything if committed_share is None else committed_share
        for env, its_share in zip(envs.tolist(), share, strict=True):
            self.service.start(env, its_share)
            if env in self._recorders:
                self._recorders[env].clear()
        self.profile.start(envs, injections)
        self.relays.start(envs)
        self.plant_relays.start(envs)
        self._loading.cap_mw[envs] = np.inf
        self.terminal_voltage.start(envs)
        self.flow.forget(envs)
        loads = self.arrays.loads
        loads.reference_pu[envs] = loads.p_share[envs] = loads.q_share[envs] = 1.0
        self.swing_state.start(envs)
        for array in response_state(self.storage).values():
            array[envs] = 0.0
        self.synchronising_power.topology_changed(envs)
        # Where no solution is found, the schedule stands in for what the machines send out.
        self.machine_mw[envs] = injections.schedule_mw
        self.machine_mvar[envs] = 0.0
        scheduled_mw = sum_groups(injections.schedule_mw, self.topology.machine_group[envs], self.n_group)
        self.swing_state.p_elec_mw[:, envs] = scheduled_mw
        inject(self.arrays, envs, injections.schedule_mw, self.n_steps)
        self.flow.start(envs, reactor_share)
        for _ in range(n_switching):
            vm_pu = np.abs(self.engine.v_pu[envs][:, self.case.reactor.bus])
            reactor_share = next_share(reactor_share, vm_pu)  # type: ignore[misc]
            self.flow.start(envs, reactor_share)
        self.flow.adopt(envs, at_rest=True)
        return self.machine_mw[envs] - injections.schedule_mw

    def shift_schedule(self, envs: IntArray, offset_mw: FloatArray) -> None:
        """Add to the schedules that act now, so that an episode starts in balance; offset_mw [n, machine]."""
        self.profile.shift_schedule(envs, offset_mw)

    def set_reactors(self, env: int, share: FloatArray) -> None:
        """Switch the shunt reactors of one environment, [reactor]; takes effect at the next power flow."""
        self.engine.set_reactors(env, share)

    def commit(self, env: int, committed_share: FloatArray) -> None:
        """Units of one environment join or leave the schedule between two intervals.

        One that joins synchronises without power, one that leaves opens its breaker at what its schedule has come down
        to; what that was the others meet. A machine that is not in the schedule is out of service: it turns no mass,
        governs nothing and holds no voltage, while its step-up transformer stays energised. Of an equivalent any share
        may be in the schedule; inertia, gain and limits are that share of the published ones.

        Args:
            env: the environment.
            committed_share: of each machine in the schedule, 0 to 1, [machine].
        """
        was = self.service.committed[env] & self.service.machine_wanted[env]
        if np.array_equal((committed_share > 0.0) & self.service.machine_wanted[env], was):
            share_was = self.topology.group_share[:, env].copy()
            self.service.take_commitment(env, committed_share)
            self.swing_state.keep_governors(env, share_was)
        else:
            self._switching.follow_breakers(env, self.n_steps, committed_share)

    def advance(
        self, injections: Injections, events: Mapping[int, Sequence[Event]] | None = None
    ) -> BoolArray:
        """One control interval.

        Args:
            injections: what acts at the interval's end; it starts where the last one ended.
            events: switching events and load steps of some environments, in order of time, `time_s` counted from
                the start of this interval and less than its length.

        Returns:
            Whether the grid still has a power flow, the opposite of `lost`, [env]. Where the last one of the interval
            found no solution, the voltages are those of the last that did.
        """
        for recorder in self._recorders.values():
            recorder.next_interval()
        if self.storage is not None:
            self.storage.drawn_mwh[:] = 0.0
        restored = (
            self._switching.blocks_to_restore(self.interval_s) if any_set(self.relays.shed_stages) else {}
        )
        self.profile.announce(injections)
        if self._loading.holds_back:
            self._loading.advance()
        self.interruptions.begin()
        self.failed_solves[:] = 0
        swinging, n_swinging = self.swing_state.begin_interval()
        regulating = any_set(self.terminal_voltage.state.regulating)
        if n_swinging > 0 or regulating or any_set(self.flow.failing):
            n_swinging += self._short_of_rest(swinging)
        eventful = sorted({*(events or ()), *restored})
        if eventful:
            swinging[eventful] = False
            n_swinging = int(np.count_nonzero(swinging))
        if not eventful and n_swinging == 0:
            self._macro_steps.whole_interval(self._all)
        elif len(eventful) + n_swinging < self.n_env:
            quiet = ~swinging
            quiet[eventful] = False
            self._macro_steps.whole_interval(np.flatnonzero(quiet))
        if n_swinging > 0:
            self._macro_steps.follow(np.flatnonzero(swinging), 0, self.n_steps)
        for env in eventful:
            only, at = np.array([env]), 0
            if env in restored:
                self._switching.restore(env, restored[env], at)
            for event in events.get(env, ()) if events else ():
                step = min(max(round(event.time_s / self.config.dt_s), at), self.n_steps)
                if step > at:
                    self._macro_steps.follow(only, at, step)
                    at = step
                self._switching.switch(env, event, at)
            if at < self.n_steps:
                self._macro_steps.follow(only, at, self.n_steps)
        return ~self.lost & (self.topology.n_island > 0)

    def bus_df_hz(self) -> FloatArray:
        """Frequency deviation of every bus at the interval's end [Hz], [env, bus]; zero at dead buses."""
        found = np.empty(self.topology.bus_frequency.shape[:2])
        weigh_groups(self.topology.bus_frequency, self.df_hz, found)
        return found

    def bus_extremes_hz(self, env: int) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest frequency deviation of each bus within the interval [Hz], two arrays [bus]."""
        trace = self.topology.bus_frequency[env] @ np.ascontiguousarray(
            self.swing_state.trace_hz[:, :, env].T
        )
        return trace.min(axis=1), trace.max(axis=1)

    def coi_df_hz(self) -> FloatArray:
        """Frequency deviation of the centre of inertia at the interval's end [Hz], [env]."""
        return centre_of_inertia(self.df_hz[None], self.topology.inertia)[0]

    def island_df_hz(self, env: int) -> FloatArray:
        """Deviation of the centre of inertia of each living island, the largest first [Hz], [island]."""
        topology = self.topology
        found = np.empty(topology.n_island[env])
        for island in range(len(found)):
            weight = np.where(topology.group_island[env] == island, topology.inertia[:, env], 0.0)
            found[island] = weight @ self.df_hz[:, env] / weight.sum()
        return found

    def coi_trace_hz(self) -> FloatArray:
        """Deviation of the centre of inertia at the end of every step of the last interval [Hz], [step, env]."""
        return centre_of_inertia(self.swing_state.trace_hz[1:], self.topology.inertia)

    def served_mw(self) -> FloatArray:
        """Loads at the interval's end, at 60 Hz: after steps, shedding and lost buses [MW], [env, load]."""
        return self.profile.served_mw(self.engine.bus_live)

    def drawn_mw(self) -> FloatArray:
        """What all loads draw in the last power flow, at their frequency and voltage [MW], [env]."""
        drawn_mw: FloatArray = self.arrays.injected.drawn_mva.real.sum(axis=1)
        return drawn_mw

    def drawn_mva(self) -> ComplexArray:
        """What loads draw there at every bus [MVA], [env, bus]."""
        return self.arrays.injected.drawn_mva

    def renewable_mw(self) -> FloatArray:
        """What wind and sun give at the interval's end [MW], [env, renewable]; zero at dead buses.

        Less what they give up above their threshold of frequency.
        """
        bus, over = self.case.renewable.bus, self.arrays.over
        given_mw = np.where(self.engine.bus_live[:, bus], self.injections.renewable_mw, 0.0)
        if over is None:
            return given_mw
        beyond_hz = np.maximum(self.df_hz - over.from_hz, 0.0)
        met_hz = np.einsum("epg,ge->ep", self.topology.impact_share[:, bus], beyond_hz)
        return given_mw * np.maximum(1.0 - over.share_per_hz * met_hz, 0.0)

    def unserved_mw(self) -> FloatArray:
        """Load on dead buses and load that was shed [MW], [env]."""
        return self.profile.unserved_mw(self.engine.bus_live)

    def record(self, env: int) -> Recorder:
        """Record an environment from now on at every integration step; `start` begins its trace anew."""
        if env not in self._recorders:
            self._recorders[env] = Recorder(
                env,
                self.engine,
                self.topology,
                self.synchronising_power,
                self.swing_state,
                self.profile,
                dt_s=self.config.dt_s,
                interval_s=self.interval_s,
            )
        return self._recorders[env]

    def get_state(self) -> dict[str, Any]:
        """All that `set_state` needs to go on bit for bit, as arrays."""
        return self._saved.copied()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned.

        Raises:
            ValueError: it lacks an array, as one of another version of the simulator does.
        """
        self._saved.restore(state)

    def _short_of_rest(self, swinging: BoolArray) -> int:
        """Add to those whose groups swing, [env], who has not come to rest otherwise; how many that are."""
        terminal = self.terminal_voltage
        n_before = int(np.count_nonzero(swinging))
        swinging |= self.flow.failing
        if any_set(terminal.state.regulating):
            swinging |= terminal.moving(swinging)
        n_after = int(np.count_nonzero(swinging))
        if n_after > 0:
            terminal.begin(self.arrays, np.flatnonzero(swinging))
        return n_after - n_before

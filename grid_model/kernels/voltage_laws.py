"""What depends on voltage in the power flow, compiled: loads, and machines whose terminal voltage is not held.

Where voltages move fast, `write_laws` fills in the law of every bus before a power flow, in the columns of
`grid_model.power_flow.newton.load_law`. In quiet macro steps loads draw what the voltages of the last power flow let
them: these move by too little from one to the next to matter, and constant powers are solved quicker. After a power
flow `adopt_voltages` takes over what followed: what the loads drew, where their recovery and the machines' fields have
come to; `note_worst` keeps the worst loadings and voltages. The equations are in `grid_model.dynamics.load_model` and
`grid_model.dynamics.terminal_voltage`.

A machine sends out, with its E' behind x'd and its active power P given,

    Q x'd = sqrt(w^2 - (P x'd)^2) - V^2,       w = E' V,       E' = a + b V

where a + b V is the implicit Euler step of its field over the time since the last solution: what a regulator makes of
the voltage that is being solved for. The square root is replaced by its tangent at the last voltage,
w / c - w0 s^2 / c with s = P x'd / w0 and c = sqrt(1 - s^2), which leaves a constant, a current and an impedance.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray, IntArray
from grid_model.compilation import compiled
from grid_model.kernels.structs import (
    ALPHA,
    BETA,
    P_CURRENT,
    P_EXPONENT,
    P_IMPEDANCE,
    Q_CURRENT,
    Q_EXPONENT,
    Q_IMPEDANCE,
    ExcitationState,
    GridArrays,
    LoadShape,
)

__all__ = [
    "adopt_voltages",
    "begin_field",
    "begin_regulation",
    "field_step",
    "forget_worst",
    "limit_fields",
    "note_worst",
    "write_laws",
]

# Beyond this sine of the angle between E' and V (78 degrees) the tangent would be too steep to be of use; a machine
# that far is about to fall out of step, and the power flow has no solution soon.
LARGEST_SINE = 0.98


@compiled
def write_laws(grid: GridArrays, envs: IntArray) -> None:
    """Fill in law and constant powers beside it, from what `inject` has left.

    Args:
        grid: of it `injected.total_mva` and `injected.law_mva` are filled.
        envs: environments, [n].
    """
    injected, loads = grid.injected, grid.loads
    for row in range(envs.size):
        e = envs[row]
        law = injected.law_mva[e]
        for bus in range(law.shape[0]):
            for part in range(law.shape[1]):
                law[bus, part] = 0.0
            s, demand = injected.others_mva[e, bus], injected.demand_mva[e, bus]
            if demand.real != 0.0 or demand.imag != 0.0:
                s += injected.drawn_mva[e, bus]
                s -= demand - _load_law(demand, loads, loads.reference_pu[e, bus], law[bus])
            injected.total_mva[e, bus] = s
        for i in range(grid.placement.machine_bus.size):
            if grid.status.machine[e, i]:
                injected.total_mva[e, grid.placement.machine_bus[i]] += injected.machine_mw[e, i]
        if grid.excitation_state.regulating[e]:
            _machine_laws(grid, e)


@compiled
def _load_law(demand_mva: complex, loads: LoadShape, reference_pu: float, law_mva: FloatArray) -> complex:
    """Write the law of one bus; what of the demand goes from its constant power into it [MVA].

    P = demand [k + (1 - k) (V / Vr)^alpha], likewise Q: an exponent of 1 is a constant current, of 2 an impedance.
    """
    moved = (1.0 - loads.constant_share) * demand_mva
    given = complex(0.0, 0.0)
    if loads.p_exponent != 0.0:
        given += moved.real
        power = moved.real * reference_pu ** (-loads.p_exponent)
        if loads.p_exponent == 1.0:
            law_mva[P_CURRENT] = power
        elif loads.p_exponent == 2.0:
            law_mva[P_IMPEDANCE] = power
        else:
            law_mva[P_EXPONENT] = power
            law_mva[ALPHA] = loads.p_exponent
    if loads.q_exponent != 0.0:
        given += 1j * moved.imag
        power = moved.imag * reference_pu ** (-loads.q_exponent)
        if loads.q_exponent == 1.0:
            law_mva[Q_CURRENT] = power
        elif loads.q_exponent == 2.0:
            law_mva[Q_IMPEDANCE] = power
        else:
            law_mva[Q_EXPONENT] = power
            law_mva[BETA] = loads.q_exponent
    return given


@compiled
def _machine_laws(grid: GridArrays, e: int) -> None:
    """Reactive power of the machines of one environment behind their x'd, added to law and constant powers."""
    injected, state, base_mva = grid.injected, grid.excitation_state, grid.base_mva
    for i in range(grid.placement.machine_bus.size):
        if not grid.status.machine[e, i]:
            continue
        bus = grid.placement.machine_bus[i]
        vm_pu = abs(grid.power_flow.v_pu[e, bus])
        x = grid.machines.reactance_pu[i]
        p_pu = injected.machine_mw[e, i] / base_mva
        state.cosine[e, i] = _cosine(p_pu * x / (state.emf_pu[e, i] * vm_pu))
        a, b = field_step(grid, e, i)
        product = (a + b * vm_pu) * vm_pu
        sine = min(max(p_pu * x / product, -LARGEST_SINE), LARGEST_SINE)
        cosine = np.sqrt(1.0 - sine * sine)
        injected.law_mva[e, bus, Q_CURRENT] -= base_mva * a / (cosine * x)
        injected.law_mva[e, bus, Q_IMPEDANCE] -= base_mva * (b / cosine - 1.0) / x
        injected.total_mva[e, bus] -= 1j * base_mva * product * sine * sine / (cosine * x)


@compiled
def _cosine(sine: float) -> float:
    sine = min(max(sine, -LARGEST_SINE), LARGEST_SINE)
    return float(np.sqrt(1.0 - sine * sine))


@compiled
def field_step(grid: GridArrays, e: int, i: int) -> tuple[float, float]:
    """a and b of E' = a + b V after the time since the last solution, V being the voltage then.

        T'd0 dE'/dt = E_fd - E' - (x_d - x'd) I_d,     I_d = (E' - V cos delta) / x'd

    by the implicit Euler method. Free of its limits the field voltage is E_fd = bias + K_t e + z with e = Vref - V,
    T_e dz/dt = (K - K_t) e - z and dVref/dt = r (Vset - V); at a limit it is that. The angle delta between E' and V
    is the one at the last voltage.

    Args:
        grid: of which data and state of the machines' fields are read.
        e: the environment.
        i: the machine.
    """
    data, state = grid.excitation, grid.excitation_state
    elapsed_s = state.elapsed_s[e]
    part = elapsed_s / data.t_field_s[i]
    excess = data.reactance_ratio[i] - 1.0
    constant = state.emf_pu[e, i]
    slope = part * excess * state.cosine[e, i]
    if state.side[e, i] == 0:
        step = elapsed_s / data.lag_s[i]
        slow = (data.gain[i] - data.transient_gain[i]) * step / (1.0 + step)
        steep = data.transient_gain[i] + slow
        reset = elapsed_s * data.reset_per_s[i]
        constant += part * (state.bias_pu[e, i] + state.lagging_pu[e, i] / (1.0 + step))
        constant += part * steep * (state.reference_pu[e, i] + reset * state.set_point_pu[e, i])
        slope -= part * steep * (1.0 + reset)
    else:
        floor, ceiling = _field_limits(grid, e, i)
        constant += part * (ceiling if state.side[e, i] > 0 else floor)
    whole = 1.0 + part * data.reactance_ratio[i]
    return constant / whole, slope / whole


@compiled
def _field_limits(grid: GridArrays, e: int, i: int) -> tuple[float, float]:
    """Floor and ceiling of the field voltage of a machine; what it needs at rest is never beyond them."""
    bias_pu = grid.excitation_state.bias_pu[e, i]
    return min(grid.excitation.efd_min_pu[i], bias_pu), max(grid.excitation.efd_max_pu[i], bias_pu)


@compiled
def _field_voltage(grid: GridArrays, e: int, i: int, vm_pu: float) -> tuple[float, float, float]:
    """Field voltage of a machine free of its limits, its lagging part and Vref after the time that has elapsed."""
    data, state = grid.excitation, grid.excitation_state
    elapsed_s = state.elapsed_s[e]
    reset = elapsed_s * data.reset_per_s[i]
    reference_pu = state.reference_pu[e, i] + reset * (state.set_point_pu[e, i] - vm_pu)
    error = reference_pu - vm_pu
    step = elapsed_s / data.lag_s[i]
    lagging = (state.lagging_pu[e, i] + step * (data.gain[i] - data.transient_gain[i]) * error) / (1.0 + step)
    return state.bias_pu[e, i] + data.transient_gain[i] * error + lagging, lagging, reference_pu


@compiled
def limit_fields(grid: GridArrays, envs: IntArray, redo: IntArray) -> int:
    """Look at which limits of the field voltage the solution stands, and correct what was assumed.

    Args:
        grid: just solved; of it `excitation_state.side` is changed.
        envs: environments, [n].
        redo: filled with those of them whose assumption was wrong, in order, [n].

    Returns:
        How many these are.
    """
    state, found = grid.excitation_state, 0
    for row in range(envs.size):
        e = envs[row]
        if not (state.regulating[e] and grid.power_flow.converged[e] and state.elapsed_s[e] > 0.0):
            continue
        wrong = False
        for i in range(grid.placement.machine_bus.size):
            if grid.status.machine[e, i]:
                vm_pu = abs(grid.power_flow.v_pu[e, grid.placement.machine_bus[i]])
                wanted = _field_voltage(grid, e, i, vm_pu)[0]
                floor, ceiling = _field_limits(grid, e, i)
                side = int(wanted > ceiling) - int(wanted < floor)
                # Off a limit by way of no limit: from a limit that was wrong, voltage overshoots to the other one.
                side = min(max(side, state.side[e, i] - 1), state.side[e, i] + 1)
                wrong = wrong or side != state.side[e, i]
                state.side[e, i] = side
        if wrong:
            redo[found] = e
            found += 1
    return found


@compiled
def begin_regulation(grid: GridArrays, envs: IntArray) -> None:
    """From now on the machines hold their fields, not their voltages: at rest in the last solution.

    Args:
        grid: of it the state of the machines' fields is filled in.
        envs: environments, [n].
    """
    state, machine = grid.excitation_state, grid.machine_state
    for row in range(envs.size):
        e = envs[row]
        state.regulating[e] = True
        state.elapsed_s[e] = 0.0
        for i in range(grid.placement.machine_bus.size):
            begin_field(grid, e, i, machine.p_mw[e, i], machine.q_mvar[e, i])


@compiled
def begin_field(grid: GridArrays, e: int, i: int, p_mw: float, q_mvar: float) -> None:
    """The field of one machine at rest where it sends out this power at the last voltage of its bus."""
    state, x = grid.excitation_state, grid.machines.reactance_pu[i]
    vm_pu = abs(grid.power_flow.v_pu[e, grid.placement.machine_bus[i]])
    if vm_pu == 0.0:
        return
    along = vm_pu + x * q_mvar / (grid.base_mva * vm_pu)
    across = x * p_mw / (grid.base_mva * vm_pu)
    emf_pu = np.sqrt(along * along + across * across)
    state.emf_pu[e, i] = emf_pu
    # E' cos(delta) is what lies along V, so V cos(delta) = V along / E'.
    i_d = (emf_pu - vm_pu * along / emf_pu) / x
    state.bias_pu[e, i] = emf_pu + (grid.excitation.reactance_ratio[i] - 1.0) * x * i_d
    state.lagging_pu[e, i] = 0.0
    state.set_point_pu[e, i] = state.reference_pu[e, i] = vm_pu
    state.side[e, i] = 0


@compiled
def adopt_voltages(grid: GridArrays, envs: IntArray, by_law: bool, at_rest: bool) -> None:
    """Take over what followed from the last power flow, where it found a solution.

    Args:
        grid: of it the loads' powers in `injected.others_mva`, the references of the loads and the machines' fields
            are changed.
        envs: environments, [n].
        by_law: `write_laws` has been called before.
        at_rest: the loads' voltages become their references.
    """
    state = grid.excitation_state
    for row in range(envs.size):
        e = envs[row]
        if not grid.power_flow.converged[e]:
            continue
        _adopt_loads(grid, e, by_law, at_rest)
        if state.regulating[e]:
            _adopt_fields(grid, e, state)
        state.elapsed_s[e] = 0.0


@compiled
def forget_worst(grid: GridArrays) -> None:
    """A new interval begins: nothing has been seen of it."""
    worst = grid.worst
    for e in range(worst.loading_percent.shape[0]):
        for k in range(worst.loading_percent.shape[1]):
            worst.loading_percent[e, k] = 0.0
        for bus in range(worst.vm_lowest_pu.shape[1]):
            worst.vm_lowest_pu[e, bus] = np.inf
            worst.vm_highest_pu[e, bus] = -np.inf


@compiled
def note_worst(grid: GridArrays, envs: IntArray) -> None:
    """Take the last power flow into the worst of the interval; envs [n], where it found a solution.

    A circuit is judged by the rating that holds at that moment, rate B while any element is out.
    """
    worst, power_flow, status = grid.worst, grid.power_flow, grid.status
    for row in range(envs.size):
        e = envs[row]
        if not power_flow.converged[e]:
            continue
        whole = True
        for k in range(status.branch.shape[1]):
            whole = whole and status.branch[e, k]
        for i in range(status.machine.shape[1]):
            whole = whole and (status.machine[e, i] or not status.committed[e, i])
        rating_mva = grid.rate_a_mva if whole else grid.rate_b_mva
        for k in range(status.branch.shape[1]):
            a, b = power_flow.s_from_mva[e, k], power_flow.s_to_mva[e, k]
            square = max(a.real * a.real + a.imag * a.imag, b.real * b.real + b.imag * b.imag)
            loading = 100.0 * np.sqrt(square) / rating_mva[k]
            worst.loading_percent[e, k] = max(worst.loading_percent[e, k], loading)
        for bus in range(status.bus.shape[1]):
            if status.bus[e, bus]:
                v = power_flow.v_pu[e, bus]
                vm_pu = np.sqrt(v.real * v.real + v.imag * v.imag)
                worst.vm_lowest_pu[e, bus] = min(worst.vm_lowest_pu[e, bus], vm_pu)
                worst.vm_highest_pu[e, bus] = max(worst.vm_highest_pu[e, bus], vm_pu)


@compiled
def _adopt_loads(grid: GridArrays, e: int, by_law: bool, at_rest: bool) -> None:
    """What the loads of one environment drew, how far they have recovered, and what they draw from now on."""
    loads, injected, v_pu = grid.loads, grid.injected, grid.power_flow.v_pu
    p_exponent, q_exponent, varying = loads.p_exponent, loads.q_exponent, 1.0 - loads.constant_share
    if p_exponent == 0.0 and q_exponent == 0.0:
        return
    recovered = 1.0 - np.exp(-grid.excitation_state.elapsed_s[e] / loads.recovery_s)
    for bus in range(v_pu.shape[1]):
        demand = injected.demand_mva[e, bus]
        if demand.real == 0.0 and demand.imag == 0.0:
            continue
        v = v_pu[e, bus]
        vm_pu = np.sqrt(v.real * v.real + v.imag * v.imag)
        if at_rest:
            loads.reference_pu[e, bus] = vm_pu
            continue
        if by_law:
            ratio = vm_pu / loads.reference_pu[e, bus]
            p = demand.real * (1.0 + varying * (_power(ratio, p_exponent) - 1.0))
            q = demand.imag * (1.0 + varying * (_power(ratio, q_exponent) - 1.0))
            injected.others_mva[e, bus] += injected.drawn_mva[e, bus] - complex(p, q)
            injected.drawn_mva[e, bus] = complex(p, q)
        loads.reference_pu[e, bus] += recovered * (vm_pu - loads.reference_pu[e, bus])
        ratio = vm_pu / loads.reference_pu[e, bus]
        loads.p_share[e, bus] = 1.0 + varying * (_power(ratio, p_exponent) - 1.0)
        loads.q_share[e, bus] = 1.0 + varying * (_power(ratio, q_exponent) - 1.0)


@compiled
def _power(base: float, exponent: float) -> float:
    if exponent == 0.0:
        return 1.0
    if exponent == 1.0:
        return base
    if exponent == 2.0:
        return base * base
    return float(base**exponent)


@compiled
def _adopt_fields(grid: GridArrays, e: int, state: ExcitationState) -> None:
    """Where the machines' fields have come to in one environment."""
    for i in range(grid.placement.machine_bus.size):
        if not grid.status.machine[e, i]:
            continue
        vm_pu = abs(grid.power_flow.v_pu[e, grid.placement.machine_bus[i]])
        a, b = field_step(grid, e, i)
        _, lagging, reference_pu = _field_voltage(grid, e, i, vm_pu)
        state.emf_pu[e, i] = a + b * vm_pu
        state.lagging_pu[e, i] = lagging
        if state.side[e, i] == 0:  # no wind-up at a limit
            state.reference_pu[e, i] = reference_pu

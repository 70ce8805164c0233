#!/usr/bin/env bash
# pypowsybl 1.16.1: convert_from_pandapower drops whole tables of a pandapower 3.5.6 net without a word.
#
# Expected: the converted network solves to the voltages of runpp, or the conversion refuses what it cannot take
#   (as lightsim2grid and power-grid-model-io refuse most of these).
# What happens: storage, wards, impedances and DC lines are left out, the scaling of loads counts as 1, and a
#   line open at a switch or a bus out of service stays live. No exception, no warning, nothing in the log; the load
#   flow converges to good-looking voltages.
# Documented: the function has no text of its own; nothing says that the rest of a net is ignored.
# Why it matters: pypowsybl is the natural second opinion on a pandapower result (security analysis, sensitivities).
#   A battery fleet vanishes, a load profile applied through `scaling` has no effect, and both look like agreement within 1 %.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check pandapower==3.5.6 pypowsybl==1.16.1 numpy==2.4.6
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -iE '^(pandapower|pypowsybl|numpy)='
"$dir/venv/bin/python" -W ignore - <<'PY'
import logging
import warnings
import pandapower as pp
import pypowsybl
from pypowsybl.loadflow import Parameters, run_ac
said = []
logging.getLogger().addHandler(type("Keep", (logging.Handler,), {"emit": lambda _, r: said.append(r.getMessage())})())
plain = Parameters(distributed_slack=False, use_reactive_limits=False, transformer_voltage_control_on=False)

def lowest(change):  # voltage of a ring of four buses, by pandapower and by pypowsybl
    net = pp.create_empty_network(sn_mva=100.0)
    pp.create_buses(net, 4, 110.0)
    pp.create_ext_grid(net, 0, vm_pu=1.02)
    for start, end in ((0, 1), (1, 2), (2, 3), (0, 3)):
        pp.create_line_from_parameters(net, start, end, 40, 0.1, 0.4, 9, 0.6)
    pp.create_load(net, 1, 40, 15)
    change(net)
    pp.runpp(net, numba=False)
    said.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        network = pypowsybl.network.convert_from_pandapower(net)
    assert run_ac(network, plain)[0].status.name == "CONVERGED" and not said and not caught, (said, caught)
    return net.res_bus.vm_pu.min(), network.get_buses().v_mag.min() / 110.0

base = lowest(lambda net: None)
assert abs(base[0] - base[1]) < 1e-4
for name, change in {
    "storage": lambda net: pp.create_storage(net, 2, 30, 50, q_mvar=5),
    "ward": lambda net: pp.create_ward(net, 2, 20, 5, 10, 5),
    "impedance": lambda net: pp.create_impedance(net, 1, 3, 0.01, 0.05, 100),
    "dcline": lambda net: pp.create_dcline(net, 3, 1, 20, 1, 0.5, 1.0, 1.01),
    "load scaling": lambda net: net.load.__setitem__("scaling", 1.5),
    "open line switch": lambda net: pp.create_switch(net, 1, 0, et="l", closed=False),
    "bus out": lambda net: net.bus.__setitem__("in_service", [True, True, False, True]),
}.items():
    exact, converted = lowest(change)
    print(f"{name:18s} moves the lowest voltage by {exact - base[0]:+.4f} pu in pandapower, {converted - base[1]:+.4f} in pypowsybl")
    assert abs(exact - base[0]) > 5e-4 and abs(converted - base[1]) < 1e-6
print("nothing was said; as described")
PY

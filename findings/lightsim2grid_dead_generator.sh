#!/usr/bin/env bash
# lightsim2grid 1.2.0 reading pandapower 3.5.6: where an ext_grid is the slack, generators out of service run.
#
# Expected: net.gen.in_service False is a generator that neither feeds in nor keeps a voltage, as in runpp; the converter
#   says so to the model (deactivate_gen) right after it has made the generators.
# What happens: an ext_grid without a generator at its bus becomes a generator of its own, and for that all
#   generators are made a second time, in service. Their power and their voltage are back in the solution. With
#   a slack generator (gen.slack) in place of the ext_grid the list is made once and both agree.
# Documented: no. The warning says that no generator is tagged as slack and that "ext_grid" will be tried; it comes with
#   every such net.
# Why it matters: nets have an ext_grid by default. Outages and unit commitment are studied by in_service, and every such
#   case comes back as the grid with all units running: no missing power, no missing reactive support.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check pandapower==3.5.6 lightsim2grid==1.2.0 numpy==2.4.6
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -iE '^(pandapower|lightsim2grid|numpy)='
"$dir/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import pandapower as pp
from lightsim2grid.network import init_from_pandapower

def slack_mw(name, by_ext_grid, running):
    """A ring of four buses, the slack at the first, 90 MW of load, a generator of 60 MW that holds the last."""
    net = pp.create_empty_network(sn_mva=100.0, f_hz=60.0)
    pp.create_buses(net, 4, 110.0)
    if by_ext_grid:
        pp.create_ext_grid(net, 0, vm_pu=1.02)
    else:
        pp.create_gen(net, 0, 0.0, vm_pu=1.02, slack=True)
    for start, end in ((0, 1), (1, 2), (2, 3), (0, 3)):
        pp.create_line_from_parameters(net, start, end, 40, 0.1, 0.4, 9, 0.6)
    pp.create_load(net, 1, 40, 15)
    pp.create_load(net, 2, 50, 20)
    pp.create_gen(net, 3, 60, vm_pu=1.01, in_service=running)
    pp.runpp(net, lightsim2grid=False, numba=False)
    grid = init_from_pandapower(net, pp_orig_file="pandapower_v3")
    light = np.abs(grid.ac_pf(np.full(4, 1.0 + 0j), 20, 1e-10))
    exact = (net.res_ext_grid if by_ext_grid else net.res_gen).p_mw.iloc[0]
    seen = max((unit for unit in grid.get_generators() if unit.bus_id == 0), key=lambda unit: unit.connected).res_p_mw
    lowest = net.res_bus.vm_pu.min()
    print(f"{name}: lowest voltage {lowest:.4f} pu by runpp, {light.min():.4f} here; slack {exact:.1f} MW, {seen:.1f} MW")
    return exact - seen, lowest - light.min()

for by_ext_grid, slack in ((True, "ext_grid"), (False, "gen     ")):
    assert np.allclose(slack_mw(f"slack by {slack}, unit runs", by_ext_grid, True), 0.0, atol=1e-6)
    power, voltage = slack_mw(f"slack by {slack}, unit out ", by_ext_grid, False)
    assert (power > 55 and voltage < -0.01) if by_ext_grid else max(abs(power), abs(voltage)) < 1e-6
print("as described")
PY

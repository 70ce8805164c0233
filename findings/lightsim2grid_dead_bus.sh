#!/usr/bin/env bash
# lightsim2grid 1.2.0 reading pandapower 3.5.6: a bus taken out of service is back in service.
#
# Expected: with net.bus.in_service False at a bus, its lines carry nothing and its load is not served, as in
#   runpp; the converter switches such a bus off (its code calls deactivate_bus).
# What happens: the lines, loads and generators are read after the buses by their own in_service column, and the
#   bus they stand on comes alive again. get_bus_status() says True, the load at the dead bus is served and
#   the ring that the outage opened is closed. There is a warning about the slack, none about this.
# Documented: no.
# Why it matters: an outage of a busbar, the worst single outage of a station, is studied by this flag. All such cases
#   come back as the intact grid, solved and with good voltages. The elements at the bus must be switched off
#   one by one (then both agree, as the last line shows).
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

def compare(name, one_by_one, bus_out):
    """A ring of four buses, 20 MW at the last."""
    net = pp.create_empty_network(sn_mva=100.0, f_hz=60.0)
    for _ in range(4):
        pp.create_bus(net, 110.0)
    pp.create_ext_grid(net, 0, vm_pu=1.02)
    for start, end in ((0, 1), (1, 2), (2, 3), (0, 3)):
        pp.create_line_from_parameters(net, start, end, 40, 0.1, 0.4, 9, 0.6)
    for bus, p_mw in ((1, 40), (2, 30), (3, 20)):
        pp.create_load(net, bus, p_mw, p_mw / 4)
    if bus_out:
        net.bus.loc[3, "in_service"] = False
    if one_by_one:
        net.line.loc[[2, 3], "in_service"] = False
        net.load.loc[2, "in_service"] = False
    pp.runpp(net, lightsim2grid=False, numba=False)
    grid = init_from_pandapower(net, pp_orig_file="pandapower_v3")
    alive = grid.get_bus_status()
    light = np.abs(grid.ac_pf(np.full(4, 1.0 + 0j), 20, 1e-10))
    p_mw = grid.get_generators()[0].res_p_mw
    print(f"{name}: runpp {net.res_bus.vm_pu.round(4).to_list()} pu, slack {net.res_ext_grid.p_mw[0]:.2f} MW")
    print(f"{'':{len(name)}}  light {light.round(4).tolist()} pu, slack {p_mw:.2f} MW, buses alive {alive}")
    return p_mw - net.res_ext_grid.p_mw[0], alive[3], light[3]

assert abs(compare("intact grid", False, False)[0]) < 1e-6
difference_mw, alive, vm_pu = compare("bus 3 out  ", False, True)
assert difference_mw > 15 and alive and 0.9 < vm_pu < 1.02
assert abs(compare("one by one ", True, True)[0]) < 1e-6
print("as described")
PY

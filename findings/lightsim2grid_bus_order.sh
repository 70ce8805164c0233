#!/usr/bin/env bash
# lightsim2grid 1.2.0 reading pandapower 3.5.6: buses whose index does not ascend get each other's voltage level.
#
# Expected: the order in which buses were added to the pandapower net does not matter; the index says which
#   bus is meant, in lightsim2grid as in runpp.
# What happens: init_from_pandapower renumbers the buses when their index is not 0, 1, 2... With the index in
#   the order 5, 2, 9, 1 it sorts the nominal voltages one way and the connections the other (the permutation
#   where its inverse is meant). Powers stay right; kV and kA are those of another voltage level: here
#   1.01 kA in a 110-kV line that carries 0.18 kA. The map back to pandapower's numbers (_ls_to_orig) names
#   the wrong buses in every order that does not ascend, those of right currents included.
# Documented: in part. The function's text lists an index that does not start at 0 or has gaps among what
#   may not convert, and asks to compare with pandapower. It is accepted without a word, and right while it ascends.
# Why it matters: line loading in kA is what N-1 screens and agents' rewards are made of. Nets joined from
#   parts, or with a bus added at a chosen number, have such an index.
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

LEVEL = {1: 110.0, 2: 110.0, 5: 20.0, 9: 20.0}

def currents(order):
    net = pp.create_empty_network(sn_mva=100.0, f_hz=60.0)
    for bus in order:
        pp.create_bus(net, LEVEL[bus], index=bus)
    pp.create_ext_grid(net, 1, vm_pu=1.02)
    pp.create_line_from_parameters(net, 1, 2, 20, 0.1, 0.4, 9, 0.6)
    pp.create_transformer_from_parameters(net, 2, 5, 40, 110, 20, 0.3, 12, 0, 0)
    net.trafo["tap_dependency_table"] = False
    pp.create_line_from_parameters(net, 5, 9, 5, 0.1, 0.3, 9, 0.6)
    pp.create_load(net, 9, 10, 3)
    pp.create_load(net, 2, 20, 15)
    pp.runpp(net, lightsim2grid=False, numba=False)
    grid = init_from_pandapower(net, pp_orig_file="pandapower_v3")
    named = dict(zip(grid._ls_to_orig, np.abs(grid.ac_pf(np.full(4, 1.0 + 0j), 20, 1e-10)), strict=True))
    light = np.array([line.res_a1_ka for line in grid.get_lines()])
    power = np.array([line.res_p1_mw for line in grid.get_lines()])
    assert np.allclose(power, net.res_line.p_from_mw, atol=1e-6)
    exact = net.res_line.i_from_ka.to_numpy()
    print(order, "runpp", exact.round(4), "kA, lightsim2grid", light.round(4), "kA")
    print("    pu:", net.res_bus.vm_pu.round(4).to_dict(), {int(bus): round(float(v), 4) for bus, v in named.items()})
    return np.abs(light / exact - 1).max()

assert currents((1, 2, 5, 9)) < 1e-6
assert currents((2, 1, 9, 5)) < 1e-6
assert currents((5, 2, 9, 1)) > 4
assert currents((9, 1, 2, 5)) > 4
print("as described")
PY

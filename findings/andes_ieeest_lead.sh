#!/usr/bin/env bash
# ANDES 2.0.0 (numpy 2.4.6): the stabiliser IEEEST drops its filter A3, A5, A6 where A4 = 0.
#
# Expected: (1 + A5 s + A6 s^2) / (1 + A3 s + A4 s^2) with A4 = A6 = 0 is a lead of first order: A5 = 0.2, A3 = 0.02
#   damps exactly as T1 = 0.2, T2 = 0.02 in the next block, which has the same form.
# What happens: the second-order block takes A4 = 0 for "not there" and hands its input through, whatever A3, A5
#   and A6 are. The run is that of a stabiliser without any lead, to the last digit, and nothing is said. With
#   A4 = A6 = 1e-6 the lead is there, and the response is that of T1 and T2.
# Documented: in the docstring of the block LeadLag2ndOrd ("bypass is the correct behavior"), not in that of IEEEST.
# Why it matters: three leads in a row are usual, IEEEST has two, and the third goes into A5 and A3. In Kundur's
#   two-area system the swing between the areas is a sixth larger at 10 s, and a study of damping blames the tuning.
#   The cure is one of A4 and A6 that are not zero: two equal leads in the filter, (1 + T s)^2.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check andes==2.0.0 numpy==2.4.6
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -iE '^(andes|numpy)='
cd "$dir"
HOME="$dir" "$dir/venv/bin/python" - <<'PY'
import andes
import numpy as np

andes.config_logger(50)
plain = {"A1": 0.0, "A2": 0.0, "A3": 0.0, "A4": 0.0, "A5": 0.0, "A6": 0.0, "T1": 1.0, "T2": 1.0, "T3": 1.0, "T4": 1.0}

def swing(**lead):
    """Speed of G1 against G3 [Hz] after the line trip of the case, stabilisers at all four machines."""
    path = andes.get_case("kundur/kundur_full.xlsx")
    system = andes.load(path, default_config=True, no_output=True, setup=False)
    for exciter in list(system.EXDC2.idx.v):
        system.add("IEEEST", {"avr": exciter, "MODE": 1, "KS": 10.0, "T5": 10.0, "T6": 10.0} | plain | lead)
    system.setup()
    system.PFlow.run()
    config = system.TDS.config
    config.tf, config.fixt, config.tstep, config.no_tqdm = 10.0, 1, 0.01, 1
    assert system.TDS.run()
    speed = np.asarray(system.dae.ts.x)[:, system.GENROU.omega.a]
    return 60.0 * (speed[:, 0] - speed[:, 2])

no_lead, by_filter = swing(), swing(A5=0.2, A3=0.02)
by_lead, by_full_filter = swing(T1=0.2, T2=0.02), swing(A5=0.2, A3=0.02, A4=1e-6, A6=1e-6)
for name, trace in (("no lead", no_lead), ("A5 and A3", by_filter), ("T1 and T2", by_lead), ("A4 too", by_full_filter)):
    print(f"{name:10s} swing in the last 2 s: {1e3 * np.ptp(trace[-200:]):.2f} mHz")
assert np.array_equal(no_lead, by_filter)
assert np.ptp(by_lead[-200:]) < 0.9 * np.ptp(no_lead[-200:])
assert np.abs(by_full_filter - by_lead).max() < 1e-3
print("as described")
PY

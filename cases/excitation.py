"""What holds the machines' terminal voltage: fields, and the regulators that excite them.

A regulator is known here to first order: at once it answers an error of the terminal voltage with `transient_gain`
times as much field voltage, with its lag by `gain` times as much, an integral part takes out what error is left, and
field voltage has a floor and a ceiling. Saturation and the small lags of transducer and amplifier are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import (
    CaseDataError,
    FloatArray,
    freeze_arrays,
    require_length,
    require_non_negative,
    require_positive,
)

__all__ = ["ExcitationTable", "typical_excitation"]


@dataclass(frozen=True, kw_only=True)
class ExcitationTable:
    """Fields and regulators of the machines; every array has shape [machine].

    Field voltage is in per unit of what gives nominal voltage at no load, whatever the machine's base.
    """

    t_field_s: FloatArray  # T'd0, transient open-circuit time constant of the direct axis
    gain: FloatArray  # field voltage per terminal voltage after the lag; 0 where the field is set by hand
    transient_gain: FloatArray  # at once
    lag_s: FloatArray
    reset_per_s: FloatArray  # integral over proportional gain; 0 without an integral part
    efd_min_pu: FloatArray  # may be infinite, as the next
    efd_max_pu: FloatArray

    def __post_init__(self) -> None:
        freeze_arrays(self)
        n = len(self.t_field_s)
        require_length("excitation table", n, {f: getattr(self, f) for f in self.__dataclass_fields__})
        row = range(n)
        for name in ("t_field_s", "lag_s"):
            require_positive(name, getattr(self, name), label="excitation, row", of=row)
        for name in ("gain", "transient_gain", "reset_per_s"):
            require_non_negative(name, getattr(self, name), label="excitation, row", of=row)
        for k in np.flatnonzero(~(self.efd_max_pu > self.efd_min_pu)):
            raise CaseDataError(
                f"excitation, row {k}: efd_max_pu = {self.efd_max_pu[k]}, expected > {self.efd_min_pu[k]}."
            )


def typical_excitation(n_machine: int) -> ExcitationTable:
    """For grids that come without data: a static exciter as most units built since the 1970s have one.

    Typical values, not data: T'd0 = 6 s and a gain of 200 without a lag (P. Kundur, Power System Stability and
    Control, 1994, table 4.2 and sec. 13.3.4), ceilings of 5 pu to either side.
    """

    def all_of(value: float) -> FloatArray:
        return np.full(n_machine, value)

    return ExcitationTable(
        t_field_s=all_of(6.0),
        gain=all_of(200.0),
        transient_gain=all_of(200.0),
        lag_s=all_of(0.01),
        reset_per_s=all_of(0.0),
        efd_min_pu=all_of(-5.0),
        efd_max_pu=all_of(5.0),
    )

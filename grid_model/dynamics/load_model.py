"""How loads depend on voltage: at once by exponents, slowly not at all.

    P = P0 (1 + D Df) [k + (1 - k) (V / Vr)^alpha],     Q = Q0 [k + (1 - k) (V / Vr)^beta],     T dVr/dt = V - Vr

At once a load follows the voltage; then tap changers and thermostats bring it back to what was wanted, by the
reference voltage Vr that follows V with the recovery time T. An episode starts with Vr = V, so that at rest loads draw
what their series say, and schedules, losses and plans minutes ahead see constant power. A dead bus keeps its Vr.

P ~ V (constant current) and Q ~ V^2 (constant impedance) are what transient studies take where nothing is measured.
Left out: motors that stall, tap changers' steps and dead bands.

References: IEEE Task Force on Load Representation for Dynamic Performance, IEEE Trans. Power Systems 8(2), 1993, and
10(3), 1995 (exponents); D. Karlsson, D. J. Hill, Modelling and identification of nonlinear dynamic loads in power
systems, IEEE Trans. Power Systems 9(1), 1994 (recovery; T of 60 s is typical).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["LoadModel", "LoadModelName", "load_model"]

LoadModelName = Literal["default", "impedance", "half", "power"]


@dataclass(frozen=True, kw_only=True)
class LoadModel:
    """Dependence of all loads on voltage: 0 is constant power, 1 constant current, 2 constant impedance."""

    p_exponent: float = 1.0  # alpha
    q_exponent: float = 2.0  # beta
    constant_share: float = 0.0  # k, share of P and Q that does not depend on voltage
    recovery_s: float = 60.0  # T; infinite: no recovery

    def __post_init__(self) -> None:
        for name in ("p_exponent", "q_exponent"):
            if not 0.0 <= getattr(self, name) <= 6.0:
                raise ValueError(f"load model: {name} = {getattr(self, name)}, expected 0 to 6")
        if not 0.0 <= self.constant_share <= 1.0:
            raise ValueError(f"load model: constant_share = {self.constant_share}, expected 0 to 1")
        if not self.recovery_s > 0.0:
            raise ValueError(f"load model: recovery_s = {self.recovery_s} s, expected > 0")

    @property
    def depends_on_voltage(self) -> bool:
        """Whether anything but constant power is drawn."""
        return self.constant_share < 1.0 and (self.p_exponent > 0.0 or self.q_exponent > 0.0)


def load_model(name: LoadModelName, recovery_s: float = 60.0) -> LoadModel:
    """A load model by its name.

    Args:
        name: `default` (P at constant current, Q at constant impedance), `impedance` (both), `half` (half of both at
            constant impedance, half at constant power) or `power` (both constant).
        recovery_s: see `LoadModel`.

    Raises:
        ValueError: there is no such name.
    """
    if name == "default":
        return LoadModel(recovery_s=recovery_s)
    if name == "impedance":
        return LoadModel(p_exponent=2.0, q_exponent=2.0, recovery_s=recovery_s)
    if name == "half":
        return LoadModel(p_exponent=2.0, q_exponent=2.0, constant_share=0.5, recovery_s=recovery_s)
    if name == "power":
        return LoadModel(p_exponent=0.0, q_exponent=0.0, recovery_s=recovery_s)
    raise ValueError(f"load model {name!r}, expected one of {', '.join(get_args(LoadModelName))}")

"""Power that enters the circuits at their ends, for eight environments."""

from __future__ import annotations

from cases.arrays import IntArray
from grid_model.compilation import compiled
from grid_model.kernels.lanes import fma, fnma, load, store
from grid_model.power_flow.batch_rows import Work


@compiled
def circuit_power(branch_end: IntArray, work: Work) -> None:
    """S_f = V_f conj(y_ff V_f + y_ft V_t) and S_t = V_t conj(y_tf V_f + y_tt V_t) of every circuit, per unit."""
    v, flow, branch_y = work.v, work.flow, work.branch_y
    for k in range(branch_end.shape[1]):
        f, t = branch_end[0, k], branch_end[1, k]
        fx, fy, tx, ty = load(v, 2 * f), load(v, 2 * f + 1), load(v, 2 * t), load(v, 2 * t + 1)
        for end in range(2):
            row = 8 * k + 4 * end  # y_ff and y_ft, or y_tf and y_tt
            g1, b1 = load(branch_y, row), load(branch_y, row + 1)
            g2, b2 = load(branch_y, row + 2), load(branch_y, row + 3)
            ix = fnma(b2, ty, fma(g2, tx, fnma(b1, fy, g1 * fx)))
            iy = fma(b2, tx, fma(g2, ty, fma(b1, fx, g1 * fy)))
            x, y = (fx, fy) if end == 0 else (tx, ty)
            store(flow, 4 * k + 2 * end, fma(x, ix, y * iy))
            store(flow, 4 * k + 2 * end + 1, fnma(x, iy, y * ix))

"""Published data of grids as frozen tables, and the real series of load, wind and sun that drive them."""

from cases.installation import require_own_package

# Everything that knows the grid imports `cases` before `control`, so no entry point can forget this check.
require_own_package("control")

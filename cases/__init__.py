"""Published data of grids as frozen tables, and the real series of load, wind and sun that drive them."""

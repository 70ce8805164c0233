"""N-1: outages, their power flows, distribution factors and verdicts."""

"""Plants that change their set-points on purpose: batteries, gas turbines, demand response."""

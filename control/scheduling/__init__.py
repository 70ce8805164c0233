"""Tertiary control: economic dispatch on the forecast, planned power flows, switching of reactors."""

"""Everything that moves power on purpose: resources, SCADA, dispatch, automatic generation control."""

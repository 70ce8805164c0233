"""What a control centre knows: delayed SCADA, forecasts that err, and the noise behind both."""

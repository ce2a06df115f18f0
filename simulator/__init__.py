"""A deterministic WaveSpeed double with faults on demand, for development, tests and drills."""

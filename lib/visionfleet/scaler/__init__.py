"""The parts of the scaler: what it sees, how it decides, what it does, who of several acts."""

"""The parts of the scaler daemon: its lease, its eyes, its hands, its records. One noun a file."""

"""This machine and process: signals, systemd, watchdog, CPUs."""

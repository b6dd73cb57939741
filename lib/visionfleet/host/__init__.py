"""This machine and this process: signals, systemd, watchdog, CPUs."""

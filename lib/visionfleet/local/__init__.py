"""What stands in for AWS and systemd when everything runs on one machine."""

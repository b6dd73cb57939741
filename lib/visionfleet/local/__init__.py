"""Replacements for AWS and systemd when everything runs on one machine."""

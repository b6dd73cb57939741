"""AWS for tests: fakes, proxies that inject faults, IAM policy evaluation."""

"""AWS for tests: fakes, proxies that do harm, and judges of IAM."""

"""Daemons under kills, stops, frozen and false clocks, faults and outages of AWS."""

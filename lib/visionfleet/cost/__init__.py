"""The cost of a fleet by a price table. No I/O here: neither network nor clock."""

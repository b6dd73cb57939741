"""What a fleet costs by a table of prices. No I/O here: neither network nor clock."""

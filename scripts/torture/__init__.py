"""What attacks a fleet, and what it is held against. scripts/fleet --torture runs it."""

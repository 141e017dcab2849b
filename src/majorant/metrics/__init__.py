"""How estimates are judged."""

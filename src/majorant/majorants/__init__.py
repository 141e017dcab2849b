"""How the energy is bounded, and the guard."""

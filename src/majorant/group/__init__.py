"""From the estimates of many subjects to what they have in common."""

"""What a cap and a signal-to-noise ratio let a study expect, before anybody is recorded."""

"""What is minimised: value and closed-form gradient, per sample."""

"""Parts with parameters, and what the bounds need of them."""

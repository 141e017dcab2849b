"""Many recordings: a BIDS data set in, derivatives in BIDS layout and a group page out."""

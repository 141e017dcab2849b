"""`SourceImager`: a solver fitted to the channels of a recording, and what it does with data."""

"""How an estimate is judged against a known truth."""

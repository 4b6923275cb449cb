"""The boards: each a function from a state to what is shown."""

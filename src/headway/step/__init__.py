"""The time of one pass of a model on a system."""

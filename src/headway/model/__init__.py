"""Models: a config read into an architecture, and what it weighs, multiplies and keeps."""

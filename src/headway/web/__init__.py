"""The page of live blackboards: a state in, a board out, and a server that hands it to a browser."""

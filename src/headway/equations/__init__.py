"""Equations: one published relation, one pure function; numbers or arrays in, the same out.

Every function takes SI numbers or arrays of any array-API library (NumPy, JAX, …), broadcasts, and keeps nothing.
Its docstring gives the formula, the unit of each argument, the source and the limits, in the layout that
`headway.equations._docstring` reads; `--explain` prints from it and the tests hold the code to it.
"""

"""Fuzz tests that are guided by what of the code an input reaches (atheris).

usage: python -m tests.guided TARGET [--seconds N] [--corpus FOLDER] [--input FILE]

An input that raises what it should not, takes longer than ten seconds or more than 1 GiB ends the run with
a status that is not 0, and is kept in the folder.
"""

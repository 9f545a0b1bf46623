"""Delivery: lanes that take entries from the spool to destinations, and the destinations.

Import from the modules: a folder store then needs nothing of the network.
"""

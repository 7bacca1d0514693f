"""Trying to break it: what is done to the program, and what must come of it."""

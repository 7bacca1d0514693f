"""Trying to break the project: faults, bad input, other machines, planted bugs.

Each script can be run again, is bounded in time, and writes results/trust_*.json.
"""

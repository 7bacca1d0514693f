"""What the project does with faults and bad input: each script can be run again, is bounded in time, and writes results/trust_*.json."""

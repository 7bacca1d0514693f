"""Mutants that no test can tell from the original, by their line before and after, and why."""

REASONS = {
}

"""A run: its configuration, its epochs, its folder."""

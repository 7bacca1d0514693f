"""The cases of the golden op vectors, one file a family of ops."""

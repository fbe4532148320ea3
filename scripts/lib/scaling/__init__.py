"""Scaling experiments: runs over a list of rank counts, what each cost, and what follows from them."""

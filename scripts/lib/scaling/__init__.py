"""Scaling experiments: runs with several numbers of ranks, their times, and the scaling that follows."""

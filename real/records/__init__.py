"""What is kept of a run: rows that survive a kill, and how results came about."""

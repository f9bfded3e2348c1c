"""What ``benchmarks/fuzz.py`` works with: readers and their valid cases, changes of cases, and the watch."""

"""Scores, tables of measurements, comparisons and their intervals."""

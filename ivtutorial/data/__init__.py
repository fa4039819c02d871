"""Clips, captions and prompts: lists, checks, encoded clips, batches."""

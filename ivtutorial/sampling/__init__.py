"""From prompts to clips."""

"""The reduced world: a procedural zoo whose clips, captions, faults and truth are all known."""

"""The drawings: a pen, subjects and scenes."""

"""Files, processes, and what a result was made with."""

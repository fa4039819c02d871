"""Everything about the small world. The library above never imports it."""

"""The demo: fine-tune the small model, compare before and after."""

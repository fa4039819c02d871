"""Video files in and out, and pictures of clips."""

"""Reading weights without running code: files, the hub, pipeline folders."""

"""What is trained: each part's network, loss and configuration."""

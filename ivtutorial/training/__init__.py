"""Fine-tuning: configuration, steps, checkpoints, logs."""

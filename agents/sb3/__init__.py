"""stable-baselines3: its algorithms as agents of ours, and ours as its models."""

"""SLIM (arXiv 2402.00823): skills without a task reward, one critic per reward."""

from agents.slim.slim import SEEN, Slim, SlimConfig

__all__ = ["SEEN", "Slim", "SlimConfig"]

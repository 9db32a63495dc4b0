"""SLIM (arXiv 2402.00823): skills without a task reward, one critic per reward."""

from agents.slim.slim import Slim, SlimConfig

__all__ = ["Slim", "SlimConfig"]

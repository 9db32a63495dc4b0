"""The archive of MAP-Elites: elites in cells, on a device, on disk."""

from agents.archive.archive import IMPROVED, NEW, REJECTED, Archive

__all__ = ["IMPROVED", "NEW", "REJECTED", "Archive"]

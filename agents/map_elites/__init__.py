"""MAP-Elites (arXiv 1504.04909) and its kin: what is played, how it is varied, what learns beside the archive."""

from agents.map_elites.map_elites import FOLDER, MapElites, MapElitesConfig, map_elites

__all__ = ["FOLDER", "MapElites", "MapElitesConfig", "map_elites"]

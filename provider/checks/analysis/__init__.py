"""What an analysis reads: the counters of every Traefik, or of a Prometheus, and the answers to its queries (rule 23).

Nothing is judged here. An answer that does not come, or is no metrics, is a cause and no evidence.
"""

from provider.checks.analysis.analyser import Analyser

__all__ = ["Analyser"]

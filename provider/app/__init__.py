"""The composition root: builds the parts, owns the task groups and the signals.

`Daemon` is what the process does for all of its life: it listens, answers polls with the last document, follows the
files of tokens and certificates, and keeps conditions. `Term` is what it does only while it leads: the controller with
its edges, and the desired state. A daemon alone with SQLite leads from its start to its end; of several replicas over
one store one leads, and the others answer with the document that it has committed. `Reporting` is who hears of what
they decide and find.
"""

from provider.app.daemon import Daemon, serve
from provider.app.settings import Settings
from provider.app.start import share_the_interpreter

__all__ = ["Daemon", "Settings", "serve", "share_the_interpreter"]

"""The one owner of mutable state: takes inputs, decides, commits, then publishes.

`State` is all that is known, with a method for each input that returns which groups it touched; it knows no asyncio, no
clock, no log. `Inputs` are what edges call: the state's method, then the loops are woken. The controller decides on the
groups that were touched (`State.plan`), commits all decisions in one transaction, and only then adopts them; the
publisher makes the next document of that (`Draft`), so that nothing is shown that is not on disk (P5). Inputs never
wait, and there is no order of events to get wrong: what counts is the state at the moment of the look.

A failing store (`journal`) freezes decisions and keeps serving. A fault of this program on one group sets that group
aside and keeps serving it (`faults`). This room opens no connection of its own: the edges bring values in, and are
asked for more through the `Outputs`.
"""

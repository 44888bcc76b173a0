"""The edges of the doctor: each module asks one source, and returns facts, or why there are none."""

"""The checks of the doctor, by what they look at. Pure: from facts to findings, without asking anything."""

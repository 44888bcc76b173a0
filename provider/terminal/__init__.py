"""What people see on a terminal of what the admin API answers: tables, a picture that follows, lines in a pipe."""

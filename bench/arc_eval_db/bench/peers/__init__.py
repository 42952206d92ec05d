"""What a user would pick instead, at the same work: outcomes from a topic into the table `outcomes`.

Each is tuned as its documentation says, reads the same records, validates them with this project's models, and writes
the same columns. None of them writes where a row came from, the rows of `executions`, offsets or dead letters.
"""

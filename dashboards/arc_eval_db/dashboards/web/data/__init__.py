"""What pages show, read from the database: plain functions of a session, without a web framework."""

"""What people look at and talk to: the admin API."""

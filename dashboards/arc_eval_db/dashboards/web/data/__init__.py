"""What the pages show: plain functions of a database session, which return frozen objects. No page asks by itself."""

"""The PostgreSQL sink, also for TimescaleDB."""

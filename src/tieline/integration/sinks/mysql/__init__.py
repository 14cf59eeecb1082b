"""The MySQL sink, also for MariaDB."""

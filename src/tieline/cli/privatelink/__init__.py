"""Commands about links and services: connect, expose, accept, doctor."""

"""Health checks and checks: what is to be probed, when, from where, and what a result means."""

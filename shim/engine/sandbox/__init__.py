"""Sandboxes without a host: output and files of tasks, kept by the shim or asked of the engine."""

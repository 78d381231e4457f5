"""A simulator of Triton's Docker endpoint, which refuses and lacks what the real one does.

It was made without access to a Triton datacenter, from Triton's documentation and source. Where
those leave a doubt it errs on the strict side: a simulator that accepts what Triton refuses would
hide a bug. ``python -m tests.triton`` starts it. Begin to read with ``simulator.py``.
"""

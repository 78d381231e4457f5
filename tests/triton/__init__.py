"""A stand-in for Triton's Docker endpoint that refuses and lacks what the real one does.

Nobody who works on this has a Triton datacenter, so the stand-in errs on the strict side: a
double that accepts what Triton refuses is worse than none. ``python -m tests.triton`` starts it.
"""

"""What the rooms tell each other: ids, containers, facts (past tense) and orders (imperative).

Everything here is plain frozen data. Rooms never import one another; they meet in these types.
"""

"""A purchasing office and the branches that receive what it orders, through the weather. The rules of its histories:

P1: what a line has received and what was returned of it is what was recorded, once, and was not voided: at the branch
at any moment, at head office once it has the log. P2: once the faults have ended, head office, the branch and a ledger
of the simulation's own agree on every order: received, returned, open, over, closed, state; on what is on order; and
which orders there are. P3: a delivery that is told again is answered with the events of the first time. P4: the report
of each morning is made once, for every morning that came, and asked for again it is the same to the byte.
"""

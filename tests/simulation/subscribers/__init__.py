"""Who follows the messages of the simulated logs: receivers of webhooks, readers of lists, and what they must get.

The rules have names, which a broken one is told by:

- M1 a cursor, and a page's `next`, passes no message that was not delivered: at least once, nothing skipped.
  (None is given up here: that takes 72 hours of refusals.)
- M2 first deliveries of a location are in the order of its log, each the next one of those that are wanted.
- M3 a message has one id and the same bytes each time, at the branch and at head office.
- M4 a message says what the log says, by another model than the product's.
- M5 LowStockDetected comes once for each crossing of a reorder point, with what to order.
- M6 once the faults end, every subscriber gets everything.
- M7 who is paused is sent nothing, and nobody is sent a type or a location that was not asked for.
"""

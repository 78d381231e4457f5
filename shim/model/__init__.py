"""The types that packages exchange: ids, containers, facts, orders, records, resources.

One job: plain data with the rules of Mesos that more than one package needs. A fact is named in the
past tense, an order in the imperative. Nothing here acts or keeps state, apart from the pure
:class:`~shim.model.timer_queue.TimerQueue`.

May import: ``protos`` and ``errors``. Imported by every package. Begin with
:mod:`shim.model.facts` and :mod:`shim.model.orders`: between them stands :mod:`shim.core`.
"""

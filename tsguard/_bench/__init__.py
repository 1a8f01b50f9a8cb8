"""``tsguard bench``: a grid of experiments that can be stopped, resumed and spread over machines.

A grid file says what to combine (``_grid``, ``_names``). Every combination is a cell: it is run by
a worker (``_cell``, ``_workers``) and stored in a file of its own (``_results``), so what is there
is never run twice.
"""

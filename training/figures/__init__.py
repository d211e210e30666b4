"""Pictures of training and of evaluation; the only importer of Matplotlib.

Figures are objects of their own: nothing is kept in Matplotlib's global state, and no window is
ever opened.
"""

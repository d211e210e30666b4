"""What is wrong with a training set, by the similarities that a model finds in it.

Copies, people shared with other sets, one person under two names, and images under a wrong name
are listed with the pictures side by side, and a list to exclude is proposed. Nothing is deleted.
"""

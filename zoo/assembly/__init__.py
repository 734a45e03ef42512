"""Puts stages together: builds what a configuration names and hands it on.

The verbs tell the story; here each sentence of it is carried out. Several verbs share these pieces, which is why they
are not in the verbs themselves. Stages never import from here.
"""

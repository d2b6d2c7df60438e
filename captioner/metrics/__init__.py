"""BLEU, ROUGE-L and CIDEr-D as coco-caption defines them: pure functions on plain text, numpy only.

They take ``hypotheses`` (one caption a clip) and ``references`` (several), both by clip id, as people wrote them;
tokenisation is theirs. Each gives the corpus score and one for each clip, in the order of ``hypotheses``.
"""

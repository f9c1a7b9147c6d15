"""Decoding with a causal LM: many prompts of many adapters together, each as if it were alone.

write.py    writes answers, greedy or sampled
score.py    log-probabilities of given answers
search.py   finds all answers above a probability
frontier.py the rows that write.py and search.py extend token by token, fork and drop
"""

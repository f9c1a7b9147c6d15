"""Writing with a causal LM: many prompts of many adapters together, each as if it were alone.

write.py    answers, greedy or sampled        frontier.py   rows that are forked, dropped, extended
score.py    log-probabilities of given ones   search.py     all answers above a probability
"""

"""What a judge model is asked, and what its reply means: text in, text out, no network.

A `rubric` says what is graded and on which scale, `neutral` makes a trace harmless, `template` renders the chat, `question`
holds one item to be judged, `parse` and `expected` read the reply, `prefixes` decides which prefixes are asked about.
"""

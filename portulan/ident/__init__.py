"""Name: what a reply says about the service, the software and the system behind it.

Pure: bytes in, verdicts out. Dialogues say what to ask next; `drive/` holds the connections.
"""

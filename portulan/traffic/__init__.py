"""Read: frames become flows, conversations, streams, notes and tables.

Pure: works on batches of frames and columns; who opens the file or the link is `drive/`.
"""

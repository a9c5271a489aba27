"""Do: joins a machine, links or sockets, and the clock; yields records.

Law: the only room that reads the real clock. It never imports `store` or `render`: whoever runs a
job keeps and shows what it yields. Evidence goes to a sink the caller gives.
"""

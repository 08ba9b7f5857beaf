"""Sending mail by SMTP: the address of a server, addresses of people, one message at a time."""

"""Server-rendered pages: what the pages of every service share. They need no script and nothing from the internet.

`site.Site` holds templates, sessions and the common routes; `forms` parses submitted forms; `words` formats times and
figures.
"""

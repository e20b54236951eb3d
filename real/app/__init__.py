"""A page in the browser to play with KDS on your own photo: `python -m real app`.

`jobs` turns what the page holds into photo, mask and settings, `runs` restores step by step and can be stopped, `page`
is the page itself (gradio, the extra `app`), `server` serves it here and lets it load nothing from elsewhere.
"""

"""Texts of strangers where people read them: ids, names of files and values of columns may hold commands for a terminal
or markup for a page.

HTML pages escape by their templates (`fraudline/quality/pages.py`); this is for terminals, logs and Markdown.
"""

_MARKUP = str.maketrans({character: f"&#{ord(character)};" for character in "<>&`[]|\\"})


def printable(text: str) -> str:
    """The text with what a terminal or a log would act upon told as an escape.

    >>> printable("U1\\x1b[2J\\nroot logged in")
    'U1\\\\x1b[2J\\\\nroot logged in'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def markdown_text(text: str) -> str:
    """The text as Markdown that shows just that.

    >>> markdown_text("<img src=x>")
    '&#60;img src=x&#62;'
    """
    return printable(text).translate(_MARKUP)


def markdown_code(text: str) -> str:
    """The text in a span of code, out of which a backtick would lead.

    >>> markdown_code("location=`x`")
    "`location='x'`"
    """
    return f"`{printable(text).replace('`', chr(39))}`"

"""Read markup as a browser does: elements, attributes and text."""

from html.parser import HTMLParser


class Markup(HTMLParser):
    """Elements and text of a page or a piece of one."""

    def __init__(self, text):
        super().__init__()
        self.found, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def names(self):
        """Names of the elements, in order."""
        return [name for name, _ in self.found]

    def attributes(self, name):
        """Attributes of every element of one name."""
        return [attributes for element, attributes in self.found if element == name]


def policy_of(page):
    """Security policy of a page."""
    return next(meta["content"] for meta in Markup(page).attributes("meta") if "http-equiv" in meta)

"""HTML pages in one file: templates, a style sheet and scripts, under a policy without requests.

Markup is written in templates alone. Jinja2 escapes every value that they show, so a case id or a
path appears as text and never as markup. The page's security policy names its style sheet and its
script by their digests, allows pictures that lie inside the file, and forbids every request.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup

from bratsprep.drawing.colours import ERRORS
from bratsprep.labels import ClassSet

DRAWING: Final = "bratsprep.drawing"
DASHES: Final = ("7 3", "none", "2 2", "10 3 2 3", "4 4", "12 4")
"""Of the lines of the classes, used in turn."""
STYLE: Final = "page.css"


@cache
def environment(package: str = DRAWING) -> Environment:
    """Templates of this package as `drawing/...`, and those of another by its last name.

    Args:
        package: such as `bratstrain.pages`, whose templates are then `pages/...`.
    """
    loaders = {name.rpartition(".")[2]: PackageLoader(name) for name in (DRAWING, package)}
    made = Environment(
        loader=PrefixLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return made


def page(
    package: str,
    title: str,
    sections: Mapping[str, object],
    classes: ClassSet,
    assets: Sequence[str] = (),
    template: str = "page.html",
) -> str:
    """Fill a page's template.

    Args:
        package: package of the template and the assets.
        title: title of the window, plain text.
        sections: the values that the template shows.
        classes: whose colours the page uses.
        assets: style sheets and scripts of the package, by file name.
        template: name of the template; it extends `drawing/base.html`.

    Returns:
        HTML that needs no other file.

    Raises:
        jinja2.UndefinedError: the template shows a value that is not in `sections`.
    """
    styles = [colour_rules(classes), asset(DRAWING, STYLE)]
    styles += [asset(package, name) for name in assets if name.endswith(".css")]
    style = "\n".join(styles)
    script = "\n".join(asset(package, name) for name in assets if name.endswith(".js"))
    name = f"{package.rpartition('.')[2]}/{template}"
    return (
        environment(package)
        .get_template(name)
        .render(
            title=title,
            policy=Markup(policy(style, script)),  # noqa: S704  digests of our own files
            style=Markup(style),  # noqa: S704  our own file
            script=Markup(script),  # noqa: S704  our own files
            **sections,
        )
    )


def asset(package: str, name: str) -> str:
    """Text of a style sheet or script that is installed with a package."""
    return files(package).joinpath("assets", name).read_text(encoding="utf-8")


def colour_rules(classes: ClassSet) -> str:
    """Colours of the error map and of the classes, and dashes of the latter, as a style sheet.

    Class 2 is `--k2` and `.k2`: names of classes are the user's, and need be none of CSS.
    """
    named = ERRORS | {f"k{k}": classes.colours[k] for k in range(1, len(classes))}
    rules = " ".join(f"--{name}: {colour};" for name, colour in named.items())
    lines = [
        f".k{k} {{ --colour: var(--k{k}); --dashes: {DASHES[(k - 1) % len(DASHES)]}; }}"
        for k in range(1, len(classes))
    ]
    return "\n".join([f":root {{ {rules} }}", *lines])


def policy(style: str, script: str) -> str:
    """Security policy that allows one style sheet, one script and pictures in the file.

    Args:
        style: text of the style sheet.
        script: text of the script; empty where the page has none.
    """
    allowed = f"script-src '{digest(script)}'; " if script else ""
    return (
        f"default-src 'none'; {allowed}style-src '{digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def digest(content: str) -> str:
    """SHA-256 of a text in base 64, as a security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
